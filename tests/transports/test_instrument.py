"""``INSTRUMENT``: the libraries' own clients on the cache, for known hosts alone, and back again."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
from unittest import mock

import httpx
import httpx2
import pytest
import requests
import responses
from django.test import override_settings

from django_llmcache import achat, chat
from django_llmcache.signals import cache_hit, cache_miss
from django_llmcache.transports import cached_async_client, cached_client, instrument, sending

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}


def settings(provider, **keys):
    return override_settings(
        LLMCACHE={"PROVIDERS": {"openai": {"BASE_URL": f"{provider.url}/v1", "API_KEY": "made-up"}}, **keys}
    )


@pytest.fixture
def instrumented(provider):
    """Instrument, with the stand-in for OpenAI."""
    with settings(provider, INSTRUMENT=True):
        yield provider


async def _apost(library, url):
    async with library.AsyncClient() as client:
        return await client.post(url, json=BODY)


def _post_cached(url):
    with cached_client() as client:
        client.post(url, json=BODY)


def _post_by_session(url):
    with requests.Session() as session:
        return session.post(url, json=BODY, timeout=5)


WAYS = {
    "requests": lambda url: requests.post(url, json=BODY, timeout=5),
    "a session": _post_by_session,
    "httpx": lambda url: httpx.post(url, json=BODY),
    "httpx2": lambda url: httpx2.post(url, json=BODY),
    "async httpx": lambda url: asyncio.run(_apost(httpx, url)),
    "async httpx2": lambda url: asyncio.run(_apost(httpx2, url)),
}


@pytest.fixture(params=WAYS)
def post(request):
    return WAYS[request.param]


def test_ordinary_clients_are_answered_from_the_cache(instrumented, post):
    live, again = (post(f"{instrumented.url}/v1/chat/completions") for _ in range(2))

    assert instrumented.calls == 1
    assert again.headers["x-llmcache"] == "hit"
    assert again.json() == live.json()


def test_another_host_is_not_touched(instrumented, post):
    with settings(instrumented, INSTRUMENT=True, PROVIDERS={}):
        _, second = (post(f"{instrumented.url}/v1/chat/completions") for _ in range(2))

    assert instrumented.calls == 2
    assert "x-llmcache" not in second.headers


def test_settings_that_cannot_work_fail_nothing_that_is_sent(instrumented, post, caplog):
    sending._warn.cache_clear()
    with settings(instrumented, INSTRUMENT=True, DEFAULT_TTL="soon"):
        answers = [post(f"{instrumented.url}/{path}") for path in ("v1/chat/completions", "pay", "v1/chat/completions")]

    assert [answer.headers.get("x-llmcache") for answer in answers] == [None] * 3
    assert instrumented.calls == 3
    (told,) = (message for message in caplog.messages if message.startswith("Nothing is cached under"))
    assert "DEFAULT_TTL" in told


def test_without_the_setting_nothing_is_touched(provider, post):
    with settings(provider):
        _, second = (post(f"{provider.url}/v1/chat/completions") for _ in range(2))

    assert provider.calls == 2
    assert "x-llmcache" not in second.headers


def test_everything_is_put_back(provider):
    before = requests.Session.send, httpx.Client.send, httpx2.AsyncClient.send
    with settings(provider, INSTRUMENT=True):
        assert instrument.installed() == ["httpx", "httpx2", "requests"]
        assert requests.Session.send is not before[0]

    assert (requests.Session.send, httpx.Client.send, httpx2.AsyncClient.send) == before
    assert instrument.installed() == []


def test_twice_is_once(instrumented):
    ours = vars(requests.Session)["send"]

    instrument.install()

    assert vars(requests.Session)["send"] is ours


def test_ours_below_somebody_elses_passes_everything_on(provider, monkeypatch):
    with settings(provider, INSTRUMENT=True):
        ours = httpx2.Client.send

        def theirs(self, request, **options):
            return ours(self, request, **options)

        monkeypatch.setattr(httpx2.Client, "send", theirs)

    _, second = (httpx2.post(f"{provider.url}/v1/chat/completions", json=BODY) for _ in range(2))

    assert provider.calls == 2
    assert "x-llmcache" not in second.headers
    monkeypatch.undo()
    instrument.uninstall()


def by_somebody_else(send):
    """Return a ``send`` as other instrumentations make it, with the mark by which they know theirs."""

    @functools.wraps(send)
    def traced(self, request, **options):
        return send(self, request, **options)

    traced.is_traced = True
    return traced


def untrace():
    """Take the other instrumentation away, as it does itself."""
    if getattr(requests.Session.send, "is_traced", False):
        requests.Session.send = requests.Session.send.__wrapped__


def is_answered_from_the_cache(provider):
    answers = [requests.post(f"{provider.url}/v1/chat/completions", json=BODY, timeout=5) for _ in range(2)]
    return answers[1].headers.get("x-llmcache") == "hit"


def test_another_instrumentation_that_was_there_first_does_not_take_ours_for_its_own(provider, monkeypatch):
    monkeypatch.setattr(requests.Session, "send", by_somebody_else(requests.Session.send))
    with settings(provider, INSTRUMENT=True):
        untrace()

        assert is_answered_from_the_cache(provider)


def test_one_that_comes_where_ours_was_taken_away_has_ours_over_it(provider):
    plain = requests.Session.send
    with settings(provider, INSTRUMENT=True):
        ours = requests.Session.send
        requests.Session.send = by_somebody_else(plain)

        instrument.install()
        is_answered = is_answered_from_the_cache(provider)
        requests.Session.send = ours

    assert is_answered
    assert requests.Session.send is plain


def test_nor_does_one_that_came_later(instrumented):
    requests.Session.send = by_somebody_else(requests.Session.send)
    assert "requests" in instrument.installed()
    untrace()

    assert is_answered_from_the_cache(instrumented)
    assert "requests" in instrument.installed()


def test_what_somebody_has_put_back_is_told_and_can_be_mended(provider):
    before = requests.Session.send
    with settings(provider, INSTRUMENT=True):
        requests.Session.send = before

        assert instrument.installed() == ["httpx", "httpx2"]
        instrument.install()
        assert instrument.installed() == ["httpx", "httpx2", "requests"]
        assert is_answered_from_the_cache(provider)

    assert requests.Session.send is before


def test_ours_may_be_there_twice(instrumented, monkeypatch):
    ours = requests.Session.send
    told = []

    def receiver(**details):
        told.append(details["signal"])

    def opaque(self, request, **options):
        return ours(self, request, **options)

    with monkeypatch.context() as patching:
        patching.setattr(requests.Session, "send", opaque)
        instrument.install()
        cache_miss.connect(receiver)
        cache_hit.connect(receiver)
        try:
            assert is_answered_from_the_cache(instrumented)
        finally:
            cache_miss.disconnect(receiver)
            cache_hit.disconnect(receiver)

    assert told == [cache_miss, cache_hit]


@pytest.mark.parametrize("middleware", [["django_llmcache.middleware.cache.CacheMiddleware"], []])
@pytest.mark.parametrize(
    "ask",
    [
        lambda url: chat("openai", BODY["messages"], model="gpt-4o-mini"),
        lambda url: asyncio.run(achat("openai", BODY["messages"], model="gpt-4o-mini")),
        lambda url: _post_cached(f"{url}/v1/chat/completions"),
    ],
    ids=["chat", "achat", "cached_client"],
)
def test_nothing_is_looked_up_twice(provider, ask, middleware):
    told = []

    def receiver(**details):
        told.append(details["signal"])

    cache_hit.connect(receiver)
    cache_miss.connect(receiver)
    try:
        with settings(provider, INSTRUMENT=True, MIDDLEWARE=middleware):
            ask(provider.url)
    finally:
        cache_hit.disconnect(receiver)
        cache_miss.disconnect(receiver)

    assert provider.calls == 1
    assert len(told) == len(middleware)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_nor_is_what_a_hook_of_a_cached_client_changes(instrumented, library):
    def change(request):
        request.headers["openai-beta"] = "x"
        changed.append(request)

    changed: list = []
    url = f"{instrumented.url}/v1/chat/completions"
    with cached_client(library=library) as plain:
        plain.post(url, json=BODY)
    with cached_client(library=library, event_hooks={"request": [change]}) as client:
        answer = client.post(url, json=BODY)

    assert "x-llmcache" not in answer.headers
    assert len(changed) == 2  # of the answer that was found, and of the one that was asked for in its place


def test_nor_on_an_event_loop(instrumented):
    async def change(request):
        request.headers["openai-beta"] = "x"
        changed.append(request)

    async def ask():
        async with cached_async_client() as plain:
            await plain.post(url, json=BODY)
        async with cached_async_client(event_hooks={"request": [change]}) as client:
            await client.post(url, json=BODY)

    changed: list = []
    url = f"{instrumented.url}/v1/chat/completions"

    asyncio.run(ask())

    assert len(changed) == 2


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_client_that_is_closed_answers_nothing(instrumented, library):
    client = library.Client()
    url = f"{instrumented.url}/v1/chat/completions"
    client.post(url, json=BODY)
    client.close()

    with pytest.raises(RuntimeError, match="closed"):
        client.post(url, json=BODY)


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_an_async_client_that_is_closed_answers_nothing(instrumented, library):
    async def ask():
        client = library.AsyncClient()
        url = f"{instrumented.url}/v1/chat/completions"
        await client.post(url, json=BODY)
        await client.aclose()
        await client.post(url, json=BODY)

    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(ask())


@pytest.mark.parametrize("library", [requests, httpx2, httpx])
def test_a_mock_in_the_place_of_send_is_asked_though_settings_change(provider, library, monkeypatch):
    kind = requests.Session if library is requests else library.Client
    url = f"{provider.url}/v1/chat/completions"
    with settings(provider, INSTRUMENT=True):
        with monkeypatch.context() as patching:
            patching.setattr(kind, "send", mock.Mock(return_value="mocked"))
            with settings(provider, INSTRUMENT=True, DEFAULT_TTL=60):
                assert kind().send(requests.Request("POST", url, json=BODY)) == "mocked"

        assert library.__name__ in instrument.installed()


@pytest.mark.parametrize("what", [mock.Mock, mock.create_autospec, functools.partial], ids=["mock", "spec", "function"])
@pytest.mark.parametrize("library", [requests, httpx2, httpx])
def test_what_is_no_class_in_the_place_of_one_is_left_alone(provider, library, what, monkeypatch):
    name = "Session" if library is requests else "Client"
    with settings(provider, INSTRUMENT=True):
        with monkeypatch.context() as patching:
            patching.setattr(library, name, what(getattr(library, name)))
            with settings(provider, INSTRUMENT=True, DEFAULT_TTL=60):  # looks anew
                pass

        assert library.__name__ in instrument.installed()


def test_a_mock_of_send_that_was_there_first_is_cached_as_the_librarys_own_is(provider, post, monkeypatch):
    url = f"{provider.url}/v1/chat/completions"
    answer = post(url)
    for kind in (requests.Session, httpx2.Client, httpx.Client):
        monkeypatch.setattr(kind, "send", mock.Mock(return_value=answer))
    for kind in (httpx2.AsyncClient, httpx.AsyncClient):
        monkeypatch.setattr(kind, "send", mock.AsyncMock(return_value=answer))

    with settings(provider, INSTRUMENT=True):
        live, again = post(url), post(url)

    assert live.json() == again.json() == answer.json()
    assert again.headers["x-llmcache"] == "hit"


def test_a_header_that_is_a_number_is_sent_as_without_it(instrumented):
    class Signed(requests.auth.AuthBase):
        def __call__(self, request):
            request.headers["X-Timestamp"] = 1234567  # looked at by nobody but http.client, which writes it
            return request

    url = f"{instrumented.url}/v1/chat/completions"
    live, again = (requests.post(url, json=BODY, auth=Signed(), timeout=5) for _ in range(2))

    assert live.status_code == 200
    assert again.headers["x-llmcache"] == "hit"


@pytest.mark.parametrize("library", [requests, httpx2, httpx])
def test_a_mock_that_came_later_is_asked_though_it_was_off_meanwhile(provider, library, monkeypatch):
    kind = requests.Session if library is requests else library.Client
    with settings(provider, INSTRUMENT=True):
        with monkeypatch.context() as patching:
            patching.setattr(kind, "send", mock.Mock(return_value="mocked"))
            with settings(provider):
                pass
            url = f"{provider.url}/v1/chat/completions"
            assert kind().send(requests.Request("POST", url, json=BODY)) == "mocked"

        assert library.__name__ in instrument.installed()


IN_ITS_PLACE = """
import sys
from unittest import mock
import django
from django.conf import settings

library = __import__(sys.argv[1])
name = "Session" if sys.argv[1] == "requests" else "Client"


class Own(getattr(library, name)):
    pass


setattr(library, name, Own)
settings.configure(INSTALLED_APPS=["django_llmcache"], LLMCACHE={"INSTRUMENT": True}, SECRET_KEY="made up")
django.setup()
from django_llmcache.transports import instrument

assert sys.argv[1] in instrument.installed(), instrument.installed()
assert hasattr(Own.send, "__wrapped__")
"""


@pytest.mark.parametrize("library", ["requests", "httpx2", "httpx"])
def test_a_subclass_in_the_place_of_a_librarys_class_is_covered(library):
    command = [sys.executable, "-c", IN_ITS_PLACE, library]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr


def test_mocks_of_a_test_stay_in_force(provider):
    with settings(provider, INSTRUMENT=True), responses.RequestsMock() as mocked:
        mocked.post(f"{provider.url}/v1/chat/completions", json={"mocked": True})

        assert requests.post(f"{provider.url}/v1/chat/completions", json=BODY, timeout=5).json() == {"mocked": True}


@pytest.mark.parametrize("way", ["positional", "by name"])
def test_send_may_be_called_either_way(instrumented, way):
    url = f"{instrumented.url}/v1/chat/completions"
    with httpx2.Client() as client:
        for _ in range(2):
            request = client.build_request("POST", url, json=BODY)
            answer = client.send(request) if way == "positional" else client.send(request=request)

    assert answer.headers["x-llmcache"] == "hit"


SCRIPT = """
import sys
from unittest import mock
import django
from django.conf import settings

settings.configure(INSTALLED_APPS=["django_llmcache"], LLMCACHE={"INSTRUMENT": True}, SECRET_KEY="made up")
django.setup()
libraries = {"requests", "httpx", "httpx2"}
assert not libraries & sys.modules.keys(), libraries & sys.modules.keys()
from django_llmcache.transports import instrument

assert instrument.installed() == []
import httpx2

assert instrument.installed() == ["httpx2"], instrument.installed()
assert "httpx" not in sys.modules
import requests

assert instrument.installed() == ["httpx2", "requests"]
"""


def test_no_library_is_imported_for_it_and_one_imported_later_is_covered():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr


WITHOUT = """
import sys
from unittest import mock

sys.modules["wrapt"] = None
import django
from django.conf import settings

settings.configure(INSTALLED_APPS=["django_llmcache"], LLMCACHE={"INSTRUMENT": True}, SECRET_KEY="made up")
django.setup()
"""


def test_without_what_it_needs_the_site_starts_and_the_log_says_what_to_install():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert "pip install 'django-llmcache[instrument]'" in done.stderr
