"""Answers die with the objects that they have for tags."""

from __future__ import annotations

import enum
import threading
import time
import uuid
from contextlib import contextmanager

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.db import connection, models, transaction
from django.test import modify_settings, override_settings
from django.test.utils import isolate_apps
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import SafeString

from django_llmcache import CachePolicy, LLMRequest, backends, cache, chat, conf, policy
from django_llmcache.exceptions import ConfigurationError, ServerError
from django_llmcache.tags import tag_of
from tests import stores

ANSWER = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["memory", "redis", "tiered"], autouse=True)
def backend(request, tmp_path):
    if request.param == "memory":
        yield
        return
    name = {"redis": "django_cache.DjangoCacheBackend", "tiered": "tiered.TieredBackend"}[request.param]
    known = {"default": caches.settings["default"], "llm": stores.alias_for("redis", tmp_path)}
    chosen = {"BACKEND": f"django_llmcache.backends.{name}", "OPTIONS": {"ALIAS": "llm", **stores.PATIENT}}
    with override_settings(CACHES=known, LLMCACHE=chosen):
        yield
        backends.current().close()


@pytest.fixture
def user():
    return User.objects.create(username="ada")


def ask(*tags, prompt="Hi"):
    """Return whether the answer with these tags comes from the cache."""
    payload = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
    request = LLMRequest("openai", payload=payload, policy=CachePolicy(tags=tags))
    return cache.with_cache(request, lambda request: ANSWER).from_cache


def change(user):
    user.first_name = "Ada"
    user.save()


def test_an_answer_lives_while_its_object_stays_as_it_is(user):
    ask(user)

    assert ask(user)


@pytest.mark.parametrize("does", [change, User.delete], ids=["save", "delete"])
def test_a_change_of_its_object_clears_an_answer(user, does):
    tag = f"auth.user:{user.pk}"  # an object that was deleted has no key any more
    ask(user)
    assert ask(tag)

    does(user)
    assert not ask(tag)


def test_an_object_that_is_loaded_when_it_is_used_is_the_object_itself(user):
    ask(SimpleLazyObject(lambda: user))  # as request.user is
    change(user)

    assert not ask(user)


def test_a_change_of_another_object_leaves_it(user):
    other = User.objects.create(username="bob")
    ask(user)
    change(other)

    assert ask(user)


def test_any_change_of_a_model_clears_an_answer_that_has_the_model_for_a_tag(user):
    ask(User)
    User.objects.create(username="bob")

    assert not ask(User)


def test_an_answer_of_several_objects_dies_with_any_of_them(user):
    group = Group.objects.create(name="staff")
    ask(user, group)
    group.name = "all"
    group.save()

    assert not ask(user, group)


@pytest.mark.parametrize("side", ["user", "group"])
def test_a_change_of_a_relation_clears_what_has_either_end(user, side):
    group = Group.objects.create(name="staff")
    tagged = {"user": user, "group": group}[side]
    ask(tagged)
    user.groups.add(group)

    assert not ask(tagged)


@pytest.mark.parametrize("side", ["user", "group"])
@pytest.mark.parametrize(
    "clear", [lambda user, _: user.groups.clear(), lambda _, group: group.user_set.clear()], ids=["forward", "reverse"]
)
def test_taking_a_relation_away_clears_what_has_either_end(user, side, clear):
    group = Group.objects.create(name="staff")
    user.groups.add(group)
    tagged = {"user": user, "group": group}[side]
    ask(tagged)
    clear(user, group)

    assert not ask(tagged)


@contextmanager
def tables(*kinds):
    """Let models have their tables."""
    with connection.constraint_checks_disabled(), connection.schema_editor() as editor:
        for kind in kinds:
            editor.create_model(kind)
    yield
    with connection.constraint_checks_disabled(), connection.schema_editor() as editor:
        for kind in reversed(kinds):
            editor.delete_model(kind)


@pytest.fixture
def inheriting():
    """Yield a model, and one that inherits its table."""
    with isolate_apps("tests"):

        class Document(models.Model):  # noqa: DJ008 - nobody shows it
            title = models.CharField(max_length=20)

            class Meta:
                app_label = "tests"

        class Report(Document):  # noqa: DJ008 - nobody shows it
            pages = models.IntegerField()

            class Meta:
                app_label = "tests"

        with tables(Document, Report):
            yield Document, Report


@pytest.mark.parametrize("tagged_by", ["object", "model"])
def test_a_change_of_an_object_is_one_of_what_it_inherits_from(inheriting, tagged_by):
    document, report = inheriting
    changed = report.objects.create(title="a", pages=1)
    tag = document.objects.get() if tagged_by == "object" else document
    ask(tag)
    changed.title = "b"
    changed.save()

    assert not ask(tag)


@pytest.mark.parametrize("tagged_by", ["object", "model"])
def test_a_change_of_an_object_is_one_of_what_inherits_from_it(inheriting, tagged_by):
    document, report = inheriting
    inherits = report.objects.create(title="a", pages=1)
    tag = inherits if tagged_by == "object" else report
    ask(tag)
    document.objects.get().save()

    assert not ask(tag)


@pytest.fixture
def identified():
    """Yield a model whose keys are UUIDs."""
    with isolate_apps("tests"):

        class Identified(models.Model):  # noqa: DJ008 - nobody shows it
            id = models.UUIDField(primary_key=True, default=uuid.uuid4)

            class Meta:
                app_label = "tests"

        with tables(Identified):
            yield Identified


@pytest.mark.parametrize(
    "written", [str, lambda key: key.hex, lambda key: str(key).upper()], ids=["text", "hex", "upper"]
)
def test_it_makes_no_difference_how_a_key_is_written(identified, written):
    document = identified.objects.create()
    ask(identified.objects.get())

    document.pk = written(document.pk)
    document.save()

    assert not ask(identified.objects.get())


@pytest.fixture
def labelled():
    """Yield two models, of which one is related to the other by a table that names it by its slug."""
    with isolate_apps("tests"):

        class Label(models.Model):  # noqa: DJ008 - nobody shows it
            slug = models.SlugField(unique=True)

            class Meta:
                app_label = "tests"

        class Article(models.Model):  # noqa: DJ008 - nobody shows it
            labels = models.ManyToManyField(Label, through="Labelling")

            class Meta:
                app_label = "tests"

        class Labelling(models.Model):  # noqa: DJ008 - nobody shows it
            article = models.ForeignKey(Article, models.CASCADE)
            label = models.ForeignKey(Label, models.CASCADE, to_field="slug")

            class Meta:
                app_label = "tests"

        with tables(Label, Article, Labelling):
            yield Article, Label


@pytest.mark.parametrize("act", ["add", "remove", "clear"])
def test_an_end_that_is_related_by_another_field_than_its_key_is_cleared_too(labelled, act):
    article, label = labelled
    one, other = article.objects.create(), label.objects.create(slug="news")
    if act != "add":
        one.labels.add(other)
    ask(other)
    getattr(one.labels, act)(*([] if act == "clear" else [other]))

    assert not ask(other)


@pytest.mark.parametrize("end", ["article", "label"])
@pytest.mark.parametrize(
    "act",
    [
        lambda rows, article, label: rows.create(article=article, label=label),
        lambda rows, article, label: rows.get().save(),
        lambda rows, article, label: rows.get().delete(),
        lambda rows, article, label: rows.all().delete(),
        lambda rows, article, label: label.delete(),
        lambda rows, article, label: article.delete(),
    ],
    ids=["made", "saved", "deleted", "all", "with-label", "with-article"],
)
@pytest.mark.parametrize("tagged_by", ["object", "model"])
def test_a_row_of_a_relation_that_has_a_model_of_its_own_clears_what_has_either_end(
    labelled, request, tagged_by, act, end
):
    article, label = labelled
    rows = article.labels.through.objects
    ends = {"article": article.objects.create(), "label": label.objects.create(slug="news")}
    if "made" not in request.node.callspec.id:
        rows.create(**ends)
    tag = tag_of(ends[end] if tagged_by == "object" else type(ends[end]))
    ask(tag)
    act(rows, **ends)

    assert not ask(tag)


@pytest.mark.parametrize("end", ["article", "label"])
@pytest.mark.parametrize("tagged_by", ["object", "model"])
def test_so_does_one_that_is_deleted_before_it_was_read_whole(labelled, tagged_by, end):
    article, label = labelled
    rows = article.labels.through.objects
    ends = {"article": article.objects.create(), "label": label.objects.create(slug="news")}
    rows.create(**ends)
    tag = tag_of(ends[end] if tagged_by == "object" else type(ends[end]))
    ask(tag)
    rows.only("pk").get().delete()

    assert not ask(tag)


def test_one_that_somebody_else_has_deleted_is_deleted_without_a_word(labelled):
    article, label = labelled
    rows = article.labels.through.objects
    rows.create(article=article.objects.create(), label=label.objects.create(slug="news"))
    row = rows.only("pk").get()
    rows.all().delete()

    assert row.delete()[0] == 0


def test_it_leaves_what_is_at_neither_end(labelled):
    article, label = labelled
    other = article.objects.create()
    ask(other)
    article.labels.through.objects.create(article=article.objects.create(), label=label.objects.create(slug="news"))

    assert ask(other)


def test_a_transaction_that_is_managed_by_hand_stays_as_it_is(user):
    ask(user)
    transaction.set_autocommit(False)
    try:
        change(user)
        transaction.commit()
    finally:
        transaction.set_autocommit(True)

    assert not ask(user)


def test_a_change_counts_once_its_transaction_is_committed(user):
    ask(user)
    with transaction.atomic():
        change(user)
        assert ask(user)

    assert not ask(user)


def test_a_change_that_is_rolled_back_clears_nothing(user):
    ask(user)
    with pytest.raises(RuntimeError), transaction.atomic():
        change(user)
        raise RuntimeError

    assert ask(user)


def broken():
    raise ConnectionError("the broker is down")


def test_a_change_is_not_lost_where_something_else_fails_once_it_is_committed(user):
    ask(user)
    with pytest.raises(ConnectionError), transaction.atomic():
        transaction.on_commit(broken)
        change(user)

    assert not ask(user)


def test_one_that_is_rolled_back_to_a_savepoint_clears_nothing_whatever_else_is_to_be_done(user):
    ask(user)
    ran = []
    with transaction.atomic():
        transaction.on_commit(lambda: ran.append("before"))
        with pytest.raises(RuntimeError), transaction.atomic():
            change(user)
            raise RuntimeError
        transaction.on_commit(lambda: ran.append("after"))

    assert ran == ["before", "after"]
    assert ask(user)


def test_it_counts_whichever_of_the_transactions_savepoints_is_rolled_back(user):
    other = User.objects.create(username="grace")
    ask(user)
    ask(other, prompt="other")
    with transaction.atomic():
        with transaction.atomic():
            change(user)
        with pytest.raises(RuntimeError), transaction.atomic():
            change(user)
            raise RuntimeError
        with pytest.raises(RuntimeError), transaction.atomic():
            with transaction.atomic():
                change(user)
            raise RuntimeError
        with transaction.atomic():
            change(other)

    assert not ask(user)
    assert not ask(other, prompt="other")


def test_one_that_follows_what_was_rolled_back_counts(user):
    ask(user)
    with transaction.atomic():
        with pytest.raises(RuntimeError), transaction.atomic():
            change(user)
            raise RuntimeError
        change(user)

    assert not ask(user)


def test_however_many_changes_a_transaction_makes_one_thing_is_left_to_do(user):
    with transaction.atomic():
        for _ in range(3):
            with transaction.atomic():
                change(user)
            change(user)

        assert len(transaction.get_connection().run_on_commit) == 1


@pytest.mark.django_db(transaction=False)
def test_a_test_case_captures_the_hooks_that_are_registered_meanwhile(user, django_capture_on_commit_callbacks):
    transaction.on_commit(broken)
    ask(user)
    with django_capture_on_commit_callbacks(execute=True):
        change(user)

    assert not ask(user)


def test_an_answer_asked_for_before_the_change_is_not_stored_after_it(user):
    payload = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    request = LLMRequest("openai", payload=payload, policy=CachePolicy(tags=[user]))

    def slow(request):
        change(user)
        return ANSWER

    cache.with_cache(request, slow)

    assert not ask(user)


def test_a_cleared_tag_of_an_object_clears_it(user):
    ask(user)
    cache.clear(tag=user)

    assert not ask(user)


class Topic(str, enum.Enum):  # noqa: UP042 - a StrEnum is shown by its text
    FAQ = "faq"


@pytest.mark.parametrize(
    ("tag", "cleared_by"),
    [(Topic.FAQ, "faq"), ("faq", Topic.FAQ), (SafeString("faq"), "faq")],
    ids=["enum", "by-enum", "safe"],
)
def test_a_tag_that_is_an_enum_or_a_safe_text_is_its_text(tag, cleared_by):
    ask(tag)
    cache.clear(tag=cleared_by)

    assert not ask("faq")


def test_every_place_that_takes_tags_takes_objects(user, provider):
    with override_settings(
        LLMCACHE={"PROVIDERS": {"openai": {"BASE_URL": f"{provider.url}/v1", "API_KEY": "made-up"}}}
    ):
        for tags in ([user], (user,), {user}):
            assert chat("openai", [{"role": "user", "content": "Hi"}], model="m", tags=tags).cache.status
    with policy(tags=[user, User, "faq"]) as said:
        assert said.tags == {f"auth.user:{user.pk}", "auth.user", "faq"}


def test_models_that_are_written_all_the_time_are_not_watched(user):
    ask("sessions.session")
    Session.objects.create(session_key="a", expire_date=timezone.now())

    assert ask("sessions.session")


def test_tag_models_says_which_models_are_watched(user):
    with override_settings(LLMCACHE={**conf.raw(), "TAG_MODELS": ["auth.Group"]}):
        group = Group.objects.create(name="staff")
        ask(user, prompt="user")
        ask(group, prompt="group")
        change(user)
        group.save()

        assert ask(user, prompt="user")
        assert not ask(group, prompt="group")


@pytest.fixture
def proxied(tmp_path, monkeypatch):
    """Yield a proxy of the users, of an app that is installed meanwhile."""
    (tmp_path / "proxied").mkdir()
    (tmp_path / "proxied" / "__init__.py").touch()
    (tmp_path / "proxied" / "models.py").write_text(
        "from django.contrib.auth.models import User\n\n\nclass Member(User):\n    class Meta:\n        proxy = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with modify_settings(INSTALLED_APPS={"append": "proxied"}):
        yield apps.get_model("proxied.Member")


@pytest.mark.parametrize("changed_as", ["model", "proxy"])
def test_a_proxy_that_is_listed_stands_for_its_model(proxied, user, changed_as):
    with override_settings(LLMCACHE={**conf.raw(), "TAG_MODELS": ["proxied.Member"]}):
        ask(user)
        change(user if changed_as == "model" else proxied.objects.get(pk=user.pk))

        assert not ask(user)


@pytest.mark.parametrize("tags", [[User()], [3], [""], User, "faq"], ids=["unsaved", "int", "empty", "model", "text"])
def test_what_is_no_tag_is_named(tags):
    with pytest.raises(ConfigurationError, match="tags"):
        CachePolicy(tags=tags)


@pytest.mark.parametrize("kind", ["django_cache.DjangoCacheBackend", "tiered.TieredBackend"])
class TestWhileTheStoreIsAway:
    """What changes then is cleared once it is back."""

    @pytest.fixture
    def server(self, kind, tmp_path):
        server = stores.redis().start()
        known = {"default": caches.settings["default"], "llm": stores.alias_for("redis", tmp_path, server=server)}
        chosen = {"BACKEND": f"django_llmcache.backends.{kind}", "OPTIONS": {"ALIAS": "llm"}}
        with override_settings(CACHES=known, LLMCACHE=chosen):
            yield server
            backends.current().close()
        server.stop()

    def test_before_the_next_look_up(self, server, user):
        ask(user)
        assert ask(user)
        server.freeze()
        change(user)
        server.thaw()
        backends.current().breaker.succeed()

        assert not ask(user)

    def test_nor_is_served_what_was_to_be_cleared_where_the_provider_fails(self, server, user):
        request = LLMRequest("openai", payload={"model": "m", "messages": [{"role": "user", "content": "Hi"}]})
        wishes = CachePolicy(tags=[user], refresh=True, stale_for=60)
        cache.with_cache(request, lambda request: ANSWER, policy=wishes)

        def fail(request):
            server.freeze()
            change(user)
            raise ServerError("made up", provider="openai", status=500)

        with pytest.raises(ServerError):
            cache.with_cache(request, fail, policy=wishes)
        server.thaw()

    def test_what_does_not_have_it_is_served_there(self, server, user):
        request = LLMRequest("openai", payload={"model": "m", "messages": [{"role": "user", "content": "Hi"}]})
        wishes = CachePolicy(tags=[user], refresh=True, stale_for=60)
        other = User.objects.create(username="grace")
        cache.with_cache(request, lambda request: ANSWER, policy=wishes)

        def fail(request):
            server.freeze()
            change(other)
            raise ServerError("made up", provider="openai", status=500)

        served = cache.with_cache(request, fail, policy=wishes)
        server.thaw()

        assert served.from_cache

    @pytest.mark.parametrize("closed", [False, True], ids=["used", "closed-before"])
    def test_and_for_others_where_nobody_looks_anything_up(self, server, user, closed):
        ask(user)
        if closed:
            backends.current().close()  # and used again
        server.freeze()
        change(user)
        server.thaw()
        this = backends.current()
        this.breaker.succeed()
        store = getattr(this, "far", this)
        until = time.monotonic() + 20
        while store.owed:
            assert time.monotonic() < until, "nobody pays"
            threading.Event().wait(0.01)

        backends.empty()  # another process
        assert not ask(user)
