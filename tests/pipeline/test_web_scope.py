"""``RequestScopeMiddleware``: what one user of the site is answered, no other one gets."""

from __future__ import annotations

import asyncio
import enum
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import Client as DjangoClient
from django.test import RequestFactory, override_settings
from django.urls import path
from django.utils.functional import SimpleLazyObject
from django.views import View

from django_llmcache import LLMRequest, cache, policy
from django_llmcache.middleware.scope import RequestScopeMiddleware, user_of, web_request

QUESTION = LLMRequest("openai", payload={"model": "m", "messages": [{"role": "user", "content": "Who am I?"}]})


class Tenant(str, enum.Enum):  # noqa: UP042 - a StrEnum is shown by its text
    SEVENTH = "tenant-7"


def person(number):
    return SimpleNamespace(pk=number, is_authenticated=True)


def web(user=None, **attributes):
    request = RequestFactory().get("/")
    if user is not None:
        request.user = user
    for name, value in attributes.items():
        setattr(request, name, value)
    return request


class Site:
    """A site whose view asks an LLM, which answers who asks."""

    def __init__(self, middleware=RequestScopeMiddleware, **settings):
        self.calls = 0
        self.middleware = middleware

    def ask(self, said=None):
        def call(request):
            self.calls += 1
            return {"choices": [{"message": {"content": str(said)}, "finish_reason": "stop"}]}

        return cache.with_cache(QUESTION, call)

    def get(self, request):
        answers = []

        def view(request):
            user = getattr(request, "user", None)
            answers.append(self.ask(getattr(user, "pk", None)))
            return HttpResponse()

        self.middleware(view)(request)
        return answers[0]

    async def aget(self, request):
        answers = []

        async def view(request):
            user = user_of(request)

            async def call(_):
                self.calls += 1
                return {"choices": [{"message": {"content": str(user.pk)}, "finish_reason": "stop"}]}

            answers.append(await cache.awith_cache(QUESTION, call))
            return HttpResponse()

        await self.middleware(view)(request)
        return answers[0]


def test_each_user_has_answers_of_their_own():
    site = Site()

    texts = [site.get(web(person(number))).text for number in (1, 2, 1, 2)]

    assert texts == ["1", "2", "1", "2"]
    assert site.calls == 2


@pytest.mark.parametrize("how", ["threads", "tasks"])
def test_no_answer_crosses_between_fifty_users_at_once(how):
    site = Site()
    numbers = [number for number in range(50) for _ in range(4)]

    if how == "threads":
        with ThreadPoolExecutor(20) as pool:
            texts = list(pool.map(lambda number: site.get(web(person(number))).text, numbers))
    else:

        async def all_of_them():
            return await asyncio.gather(*(site.aget(web(person(number))) for number in numbers))

        texts = [answer.text for answer in asyncio.run(all_of_them())]

    assert texts == [str(number) for number in numbers]
    assert site.calls == 50


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"tenant": SimpleNamespace(pk=1, schema_name="red")}, {"tenant": SimpleNamespace(pk=1, schema_name="blue")}),
        ({"tenant": SimpleNamespace(pk=1)}, {"tenant": SimpleNamespace(pk=2)}),
        ({"site": SimpleNamespace(pk=1)}, {"site": SimpleNamespace(pk=2)}),
        ({"site": SimpleNamespace(pk=1)}, {"tenant": SimpleNamespace(pk=1)}),
        (
            {"tenant": SimpleNamespace(pk="a/site:1")},
            {"tenant": SimpleNamespace(pk="a"), "site": SimpleNamespace(pk=1)},
        ),
        ({"tenant": SimpleNamespace(pk="a/b")}, {"tenant": SimpleNamespace(pk="a%2Fb")}),
        ({"site": SimpleNamespace(pk=1)}, {}),
    ],
    ids=["schema", "tenant", "site", "both", "part-of-a-name", "escape-of-a-name", "none"],
)
def test_each_site_and_tenant_has_answers_of_its_own(one, other):
    site = Site()

    site.get(web(person(1), **one))
    site.get(web(person(1), **other))

    assert site.calls == 2


class Member(User):
    """A user with more to it, in the same table."""

    class Meta:
        app_label = "tests"
        proxy = True


class Customer(Group):
    """What an API's authentication may put into ``request.user``: a model that is none of the site's users."""

    is_authenticated = True

    class Meta:
        app_label = "tests"
        proxy = True


class Device(SimpleNamespace):
    is_authenticated = True


class Client(Device):
    pass


def test_users_of_different_classes_are_kept_apart_whatever_their_primary_keys():
    site = Site()
    users = [User(pk=1), Customer(pk=1), Device(pk=1), Client(pk=1), User(pk=2)]

    first = [site.get(web(user)).from_cache for user in users]
    again = [site.get(web(SimpleLazyObject(lambda user=user: user))).from_cache for user in users]

    assert first == [False] * 5
    assert again == [True] * 5


@pytest.mark.parametrize(
    ("user", "scope"),
    [
        (User(pk=1), "user:1"),
        (Member(pk=1), "user:1"),
        (Customer(pk=1), "auth.group:1"),
        (Device(pk="a/b"), "tests.pipeline.test_web_scope.Device:a%2Fb"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_scope_names_the_class_of_who_is_none_of_the_sites_users(user, scope):
    assert RequestScopeMiddleware(HttpResponse).scope_of(web(SimpleLazyObject(lambda: user))) == scope


@override_settings(AUTH_USER_MODEL="shop.Nobody")
def test_a_site_without_a_user_model_has_users_all_the_same():
    site = Site()

    site.get(web(Device(pk=1)))

    assert not site.get(web(Client(pk=1))).from_cache
    assert site.get(web(Device(pk=1))).from_cache


def test_visitors_share():
    site = Site()

    site.get(web(AnonymousUser()))

    assert site.get(web()).from_cache


@override_settings(LLMCACHE={"REQUIRE_SCOPE": True})
def test_where_a_scope_is_required_visitors_are_not_cached():
    site = Site()

    site.get(web(AnonymousUser()))
    answer = site.get(web(AnonymousUser()))

    assert (answer.cache.status, answer.cache.reason) == ("bypass", "no_scope")
    assert site.get(web(person(1))).cache.status == "miss"


def test_a_user_who_cannot_be_found_out_is_nobody_in_particular_and_not_cached():
    def no_database():
        raise OSError("no database")

    site = Site()

    def view(request):
        view.answer = site.ask()
        return HttpResponse()

    RequestScopeMiddleware(view)(web(SimpleLazyObject(no_database)))

    assert view.answer.cache.reason == "no_scope"


def test_the_user_is_not_looked_up_where_nothing_is_asked():
    def look_up():
        raise AssertionError("a query for nothing")

    RequestScopeMiddleware(lambda request: HttpResponse())(web(SimpleLazyObject(look_up)))


async def asking_view(request):
    async def call(_):
        return {"choices": [{"message": {"content": f"Hi {request.user.username}"}, "finish_reason": "stop"}]}

    answer = await cache.awith_cache(QUESTION, call)
    return JsonResponse({"text": answer.text, "status": answer.cache.status, "reason": answer.cache.reason})


class AskingView(View):
    async def get(self, request):
        return await asking_view(request)


def plain_view(request):
    return HttpResponse()


def streaming_view(request):
    async def body():
        yield (await asking_view(request)).content

    return StreamingHttpResponse(body())


class Hooked(RequestScopeMiddleware):
    def process_view(self, request, view, args, kwargs):
        return None


class AsyncHooked(RequestScopeMiddleware):
    async def process_view(self, request, view, args, kwargs):
        return None


urlpatterns = [
    path("function", asking_view),
    path("class", AskingView.as_view()),
    path("plain", plain_view),
    path("streaming", streaming_view),
]


def named(middleware):
    return f"{middleware.__module__}.{middleware.__name__}"


@pytest.mark.django_db
class TestOfASessionUnderWSGI:
    """As in a new project: sync middleware, and Django's own session and user."""

    @pytest.fixture(autouse=True)
    def _site(self, settings):
        settings.ROOT_URLCONF = __name__
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, named(RequestScopeMiddleware)]

    @pytest.fixture
    def browsers(self):
        browsers = [DjangoClient(), DjangoClient()]
        for name, browser in zip(("ann", "bob"), browsers, strict=True):
            browser.force_login(User.objects.create_user(name))
        return browsers

    @pytest.mark.parametrize("page", ["/function", "/class"])
    def test_an_async_view_gets_each_users_own_answers(self, browsers, page):
        said = [browser.get(page).json() for browser in browsers * 2]

        assert [each["text"] for each in said] == ["Hi ann", "Hi bob"] * 2
        assert [each["status"] for each in said] == ["miss", "miss", "hit", "hit"]

    @pytest.mark.parametrize("middleware", [Hooked, AsyncHooked])
    def test_a_hook_before_views_of_a_subclass_keeps_nobody_from_being_found_out(self, settings, browsers, middleware):
        settings.MIDDLEWARE = [*settings.MIDDLEWARE[:-1], named(middleware)]

        said = [browser.get("/function").json() for browser in browsers * 2]

        assert [each["status"] for each in said] == ["miss", "miss", "hit", "hit"]

    @pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous iterators")
    def test_what_is_streamed_on_a_loop_is_each_users_own(self, browsers):
        said = [json.loads(b"".join(browser.get("/streaming"))) for browser in browsers * 2]

        assert [each["text"] for each in said] == ["Hi ann", "Hi bob"] * 2
        assert [each["status"] for each in said] == ["miss", "miss", "hit", "hit"]

    def test_visitors_of_an_async_view_share(self):
        said = [DjangoClient().get("/function").json()["status"] for _ in range(2)]

        assert said == ["miss", "hit"]

    def test_a_sync_view_that_asks_nothing_costs_no_query(self, browsers, django_assert_num_queries):
        with django_assert_num_queries(0):
            browsers[0].get("/plain")


def test_who_cannot_be_found_out_on_a_loop_is_told_of_with_what_to_do(events):
    async def call(_):
        return {"choices": []}

    def view(request):
        view.answer = asyncio.run(cache.awith_cache(QUESTION, call))
        return HttpResponse()

    RequestScopeMiddleware(view)(web(SimpleLazyObject(User.objects.first)))

    assert view.answer.cache.reason == "no_scope"
    assert "Say scope=… in the call" in events.of("error")[0]["error"]


def test_a_subclass_keeps_its_own_hook_before_views():
    class Counting(RequestScopeMiddleware):
        def process_view(self, request, view, args, kwargs):
            return HttpResponse("counted")

    middleware = Counting(lambda request: HttpResponse())

    assert middleware.process_view(web(), asking_view, (), {}).content == b"counted"


def test_an_async_view_never_waits_for_the_user_on_the_loop():
    looked_up_in = []

    def look_up():
        looked_up_in.append(threading.current_thread())
        return person(7)

    async def session_user():
        return person(1)

    site = Site()

    async def ask():
        # As where a token says who asks, and not the session.
        return await site.aget(web(SimpleLazyObject(look_up), auser=session_user))

    assert asyncio.run(ask()).text == "7"
    assert asyncio.run(ask()).from_cache
    assert threading.main_thread() not in looked_up_in
    assert site.get(web(person(7))).from_cache


@pytest.mark.parametrize(
    "attributes", [{"user": person(None)}, {"site": SimpleNamespace(pk=None)}], ids=["user", "site"]
)
def test_who_has_no_primary_key_is_not_taken_for_another_without_one(attributes):
    site = Site()

    site.get(web(**attributes))
    answer = site.get(web(**attributes))

    assert (answer.cache.status, answer.cache.reason) == ("bypass", "no_scope")


def test_who_logs_in_meanwhile_is_that_user_from_then_on():
    site = Site()

    def view(request):
        request.user = person(5)
        view.answer = site.ask(5)
        return HttpResponse()

    RequestScopeMiddleware(view)(web(AnonymousUser()))

    assert site.get(web(person(5))).from_cache


def test_what_is_streamed_later_is_still_for_the_same_user():
    site = Site()

    def view(request):
        return StreamingHttpResponse(site.ask(request.user.pk).body for _ in range(1))

    bodies = [b"".join(RequestScopeMiddleware(view)(web(person(number)))) for number in (1, 2)]

    assert b'"1"' in bodies[0]
    assert b'"2"' in bodies[1]
    assert web_request() is None


def test_what_is_streamed_later_on_a_loop_is_still_for_the_same_user():
    site = Site()

    async def body(number):
        yield site.ask(number).body

    async def view(request):
        return StreamingHttpResponse(body(request.user.pk))

    async def get(number):
        response = await RequestScopeMiddleware(view)(web(person(number)))
        return b"".join([piece async for piece in response])

    assert b'"1"' in asyncio.run(get(1))
    assert b'"2"' in asyncio.run(get(2))


def test_a_file_is_sent_as_it_was(tmp_path):
    (tmp_path / "file").write_bytes(b"content")

    response = RequestScopeMiddleware(lambda request: FileResponse((tmp_path / "file").open("rb")))(web())

    assert response.file_to_stream is not None
    response.file_to_stream.close()  # close() of the response would tell Django that a web request ended


class TestWhoWins:
    def test_a_policy_goes_before_the_web_request(self):
        site = Site()
        site.get(web(person(1)))

        with policy(scope="public"):
            site.get(web(person(1)))
            shared = site.get(web(person(2)))

        assert site.calls == 2
        assert shared.text == "1"

    @override_settings(LLMCACHE={"SCOPE": "tenant-7"})
    def test_a_text_stands_before_the_web_requests_scope(self):
        site = Site()
        inside = [site.get(web(person(number))).cache.key for number in (1, 2)]
        outside = site.ask().cache.key

        assert len({*inside, outside}) == 3

    def test_an_enum_is_its_text(self):
        keys = set()
        for scope in ("tenant-7", Tenant.SEVENTH):
            with override_settings(LLMCACHE={"SCOPE": scope}):
                keys.add(Site().get(web(person(1))).cache.key)

        assert len(keys) == 1

    @override_settings(LLMCACHE={"SCOPE": "tests.pipeline.test_web_scope.everybody"})
    def test_a_function_decides_by_itself_and_knows_the_web_request(self):
        site = Site()

        site.get(web(person(1)))
        site.get(web(person(2)))

        assert site.calls == 1
        assert ASKED[-1].user.pk == 2

    def test_a_subclass_says_another(self):
        class Teams(RequestScopeMiddleware):
            def scope_of(self, request):
                return f"team:{request.user.team}"

        site = Site(Teams)
        red = [SimpleNamespace(pk=number, is_authenticated=True, team="red") for number in (1, 2)]

        texts = [site.get(web(user)).text for user in red]

        assert texts == ["1", "1"]


ASKED = []


def everybody(request):
    ASKED.append(web_request())
    return "everybody"


def test_outside_of_a_web_request_all_is_as_before():
    Site().get(web(person(1)))

    assert web_request() is None
    assert Site().ask("x").text == "x"


def test_explain_knows_the_web_requests_scope():
    site = Site()
    site.get(web(person(1)))
    keys = []

    def view(request):
        keys.append(cache.explain(QUESTION).key)
        return HttpResponse()

    RequestScopeMiddleware(view)(web(person(1)))

    assert cache.get(keys[0]).text == "1"
