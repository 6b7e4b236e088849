"""``wrap``: what exists already, on the cache, with all that it has."""

from __future__ import annotations

import asyncio
import gc
import types
import warnings

import httpx
import httpx2
import pytest
import requests
from django.test import override_settings
from requests.adapters import HTTPAdapter

from django_llmcache.transports import cached_client, cached_session, wrap

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
by_library = pytest.mark.parametrize("library", [httpx, httpx2])


@pytest.fixture
def url(provider):
    """Return where the stand-in for OpenAI answers."""
    with override_settings(LLMCACHE={"PROVIDERS": {"openai": {"BASE_URL": f"{provider.url}/v1"}}}):
        yield f"{provider.url}/v1/chat/completions"


@by_library
def test_a_client_keeps_what_it_has(provider, url, library):
    hooked = []
    transport = library.HTTPTransport(retries=1)
    events = {"response": [lambda response: hooked.append(response.status_code)]}
    with library.Client(transport=transport, headers={"x-team": "7"}, event_hooks=events) as client:
        wrapped = wrap(client)
        answers = [wrapped.post(url, json=BODY) for _ in range(2)]
        plain = client.post(url, json=BODY)

    assert provider.calls == 2
    assert [answer.headers.get("x-llmcache") for answer in answers] == [None, "hit"]
    assert "x-llmcache" not in plain.headers
    assert provider.requests[0]["headers"]["x-team"] == "7"
    assert hooked == [200, 200, 200]


@by_library
def test_an_async_client_keeps_what_it_has(provider, url, library):
    async def ask():
        async with library.AsyncClient(headers={"x-team": "7"}) as client:
            wrapped = wrap(client)
            return [await wrapped.post(url, json=BODY) for _ in range(2)]

    answers = asyncio.run(ask())

    assert provider.calls == 1
    assert answers[1].headers["x-llmcache"] == "hit"
    assert provider.requests[0]["headers"]["x-team"] == "7"


def test_closing_the_copy_closes_the_original():
    client = httpx2.Client()

    wrap(client).close()

    assert client.is_closed


def test_leaving_the_copys_block_closes_the_original():
    client, aclient = httpx2.Client(), httpx2.AsyncClient()

    async def leave():
        async with wrap(aclient):
            pass

    with wrap(client):
        pass
    asyncio.run(leave())

    assert client.is_closed
    assert aclient.is_closed


@by_library
def test_closing_the_original_closes_the_copy(provider, url, library):
    client = library.Client()
    wrapped = wrap(client)
    wrapped.post(url, json=BODY)

    client.close()

    assert wrapped.is_closed
    for body in (BODY, {**BODY, "seed": 1}):
        with pytest.raises(RuntimeError, match="closed"):
            wrapped.post(url, json=body)
    assert provider.calls == 1


@by_library
def test_closing_the_original_closes_the_copy_on_an_event_loop_too(provider, url, library):
    async def ask():
        client = library.AsyncClient()
        wrapped = wrap(client)
        await wrapped.post(url, json=BODY)
        await client.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await wrapped.post(url, json=BODY)
        return wrapped.is_closed

    assert asyncio.run(ask())
    assert provider.calls == 1


@pytest.fixture
def no_garbage():
    """Collect what other tests have left, which may complain of not being closed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.usefixtures("no_garbage")
@by_library
def test_a_copy_that_is_collected_leaves_the_original_open(url, library):
    class ClosingAtItsEnd(library.Client):
        """What the SDKs send with, where they are given no client."""

        def __del__(self):
            self.close()

    client = ClosingAtItsEnd()
    wrap(client).post(url, json=BODY)

    gc.collect()

    assert client.post(url, json=BODY).status_code == 200
    client.close()


@pytest.mark.usefixtures("no_garbage")
@by_library
def test_a_copy_that_is_collected_leaves_the_original_open_on_an_event_loop_too(url, library):
    class ClosingAtItsEnd(library.AsyncClient):
        def __del__(self):
            if not self.is_closed:
                asyncio.get_running_loop().create_task(self.aclose())

    async def ask():
        client = ClosingAtItsEnd()
        await wrap(client).post(url, json=BODY)
        gc.collect()
        await asyncio.sleep(0)
        answer = await client.post(url, json=BODY)
        await client.aclose()
        return answer.status_code

    assert asyncio.run(ask()) == 200


def test_a_session_keeps_what_it_has(provider, url):
    class Marking(HTTPAdapter):
        def send(self, request, **options):
            request.headers["x-adapter"] = "mine"
            return super().send(request, **options)

    with requests.Session() as session:
        session.mount("http://", Marking())
        wrapped = wrap(session)
        answers = [wrapped.post(url, json=BODY, timeout=5) for _ in range(2)]

    assert provider.calls == 1
    assert answers[1].headers["x-llmcache"] == "hit"
    assert provider.requests[0]["headers"]["x-adapter"] == "mine"


@by_library
def test_a_client_of_a_class_of_ones_own_stays_one(provider, url, library):
    class Signing(library.Client):
        def build_request(self, *args, **words):
            request = super().build_request(*args, **words)
            request.headers["x-signed"] = "yes"
            return request

    with wrap(Signing()) as wrapped:
        answers = [wrapped.post(url, json=BODY) for _ in range(2)]

    assert isinstance(wrapped, Signing)
    assert answers[1].headers["x-llmcache"] == "hit"
    assert provider.requests[0]["headers"]["x-signed"] == "yes"


def test_a_session_of_a_class_of_ones_own_stays_one(provider, url):
    class Signing(requests.Session):
        def request(self, method, url, headers=None, **words):
            return super().request(method, url, headers={**(headers or {}), "x-signed": "yes"}, **words)

    with wrap(Signing()) as wrapped:
        answers = [wrapped.post(url, json=BODY, timeout=5) for _ in range(2)]

    assert isinstance(wrapped, Signing)
    assert answers[1].headers["x-llmcache"] == "hit"
    assert provider.requests[0]["headers"]["x-signed"] == "yes"


@by_library
def test_what_is_set_on_the_copy_holds_there_alone(provider, url, library):
    seen = []
    with library.Client() as client:
        wrapped = wrap(client)
        wrapped.auth = ("ada", "made-up")
        wrapped.event_hooks = {"response": [seen.append]}
        wrapped.post(url, json=BODY)
        client.post(url, json=BODY)

    assert len(seen) == 1
    assert provider.requests[0]["headers"]["authorization"].startswith("Basic ")
    assert "authorization" not in provider.requests[1]["headers"]


@pytest.mark.parametrize("make", [cached_client, cached_session])
def test_what_is_cached_already_stays_as_it_is(make):
    with make() as client:
        assert wrap(client) is client


class Copied:
    """An SDK's client as OpenAI's are, which shows no HTTP client of its own."""

    def __init__(self, http_client=None):
        self.http_client = http_client

    def with_options(self, *, http_client):
        return Copied(http_client)


class AsyncCopied(Copied):
    def with_options(self, *, http_client):
        return AsyncCopied(http_client)


@pytest.mark.parametrize(("sdk", "kind"), [(Copied, httpx2.Client), (AsyncCopied, httpx2.AsyncClient)])
def test_an_sdk_that_hides_its_client_gets_a_new_one(sdk, kind):
    assert isinstance(wrap(sdk()).http_client, kind)


@pytest.mark.parametrize(
    ("home", "way"),
    [
        ("mistralai.client.sdk", r"Mistral\(client=cached_client\(\), async_client=cached_async_client\(\)\)"),
        ("google.genai.client", r"HttpOptions\(httpx_client=cached_client\(\)"),
        ("langchain_openai.chat_models.base", r"ChatOpenAI\(http_client=cached_client\(\)"),
        ("somebody.else", "where it takes one"),
    ],
)
def test_an_sdk_that_cannot_be_copied_is_told_the_way_that_works(home, way):
    sdk = type("Client", (), {"__module__": home})()

    with pytest.raises(TypeError, match=rf"Client has no with_options\(\).*{way}"):
        wrap(sdk)


@pytest.mark.parametrize("kind", [Copied, httpx2.Client, requests.Session])
def test_a_class_is_no_client(kind):
    with pytest.raises(TypeError, match=rf"{kind.__name__} is a class; give a client of it: wrap\({kind.__name__}\("):
        wrap(kind)


def test_a_module_is_told_the_way_that_works():
    with pytest.raises(TypeError, match=r"litellm\.client_session = cached_client\(library='httpx'\)"):
        wrap(types.ModuleType("litellm"))
