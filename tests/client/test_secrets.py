"""The API key goes to the provider, and nowhere else."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from base64 import b64encode

import pytest
from django.test import override_settings

from django_llmcache import LLMClient, backends, cache, chat, signals, stream
from django_llmcache.contrib.demo.standin import HangUp, Reply, Stall
from django_llmcache.exceptions import AuthenticationError, ConfigurationError
from tests.transports.loopback import Loopback, whole

from .asking import HI, KEY, caught

ECHO = f'{{"error": {{"message": "Incorrect API key provided: {KEY}."}}}}'.encode()
PROVIDERS = ["openai", "anthropic", "gemini", "ollama"]


def words(provider, **more):
    return {"model": "gpt-4o-mini", "api_key": KEY, "base_url": f"{provider.url}/v1", **more}


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_key_that_the_provider_echoes_is_in_no_error(provider, way, name):
    provider.script(Reply(401, ECHO, {"x-request-id": f"req-{KEY}", "retry-after": KEY}))

    error = caught(way.chat, name, HI, **words(provider))

    assert type(error) is AuthenticationError
    assert "Incorrect API key provided: [redacted]." in str(error)
    assert error.body == ECHO.replace(KEY.encode(), b"[redacted]")
    assert KEY not in everything_of(error)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, f'{{"error": "your key {KEY} is no good"}}'.encode()),
        Reply(200, f"<p>your key {KEY} is no good</p>".encode()),
        Reply(302, b"", {"location": f"https://elsewhere.example/?key={KEY}"}),
        Reply(500, f"key={KEY}".encode()),
    ],
)
def test_a_key_is_in_no_error_however_it_is_echoed(provider, way, reply):
    provider.script(reply)

    error = caught(way.chat, "openai", HI, **words(provider))

    assert "[redacted]" in str(error) or "location" in reply.headers
    assert KEY not in everything_of(error)


def test_a_password_in_the_address_that_a_service_moved_to_is_in_no_error(provider, way):
    provider.script(Reply(302, b"", {"location": "https://ann:pass-1234@elsewhere.example/v1?sig=abc"}))

    error = caught(way.chat, "openai", HI, **words(provider))

    assert "It has moved to https://elsewhere.example/v1: set BASE_URL." in str(error)


GATEWAYS = [
    {"extra_headers": {"x-gateway-key": KEY}},
    {"extra_headers": {"Authorization": f"Bearer {KEY}"}},
    {"extra_headers": {"proxy-authorization": "Basic " + b64encode(f"ann:{KEY}".encode()).decode()}},
]


@pytest.mark.parametrize("more", GATEWAYS, ids=["own", "bearer", "basic"])
class TestCredentialsInHeaders:
    def test_are_in_no_error(self, provider, way, more):
        provider.script(Reply(401, ECHO))

        error = caught(way.chat, "openai", HI, **words(provider, api_key="another-one", **more))

        assert "[redacted]" in str(error)
        assert KEY not in everything_of(error)

    def test_are_in_no_entry(self, provider, way, more):
        provider.script(Reply(200, f'{{"choices": [{{"message": {{"content": "{KEY}"}}}}]}}'.encode()))

        answer = way.chat("openai", HI, **words(provider, api_key="another-one", **more))

        assert answer.cache.reason == "secret"
        assert cache.stats().entries == 0


def test_credentials_in_the_headers_of_the_settings_are_in_no_error_and_no_entry(provider, way):
    own = {"BASE_URL": provider.url, "API_KEY": "another-one", "MODEL": "m", "HEADERS": {"x-gateway-token": KEY}}
    provider.script(Reply(401, ECHO), Reply(200, f'{{"choices": [{{"message": {{"content": "{KEY}"}}}}]}}'.encode()))
    with override_settings(LLMCACHE={"PROVIDERS": {"mine": own}}):
        error = caught(way.chat, "mine", HI)
        answer = way.chat("mine", HI)

    assert KEY not in everything_of(error)
    assert answer.cache.reason == "secret"


def test_what_a_header_says_that_is_no_credential_may_be_in_an_answer(provider, way):
    provider.script(Reply(200, b'{"choices": [{"message": {"content": "for example.com/shop"}}]}'))

    answer = way.chat("openai", HI, **words(provider, extra_headers={"http-referer": "example.com/shop"}))

    assert answer.cache.reason is None


@pytest.mark.parametrize("depth", [600, 900])
def test_an_answer_of_any_depth_is_searched(provider, way, depth):
    provider.script(Reply(200, b'{"a":' * depth + b'"\\n"' + b"}" * depth))

    assert way.chat("openai", HI, **words(provider)).status == 200


@pytest.mark.parametrize("spelling", [r"sk-a\/b2f9c71d0a4", r"sk-a\u002fb2f9c71d0a4"])
def test_a_key_echoed_in_another_spelling_is_in_no_message(provider, way, spelling):
    provider.script(Reply(401, f'{{"error": {{"message": "Your key {spelling} is no good"}}}}'.encode()))

    error = caught(way.chat, "openai", HI, **words(provider, api_key="sk-a/b2f9c71d0a4"))

    assert "Your key [redacted] is no good" in str(error)


def test_a_key_with_an_escaped_slash_is_in_no_body(provider, way):
    provider.script(Reply(401, rb'{"error": {"message": "Your key sk-a\/b2f9c71d0a4 is no good"}}'))

    error = caught(way.chat, "openai", HI, **words(provider, api_key="sk-a/b2f9c71d0a4"))

    assert error.body == b'{"error": {"message": "Your key [redacted] is no good"}}'


@pytest.mark.parametrize("form", ["04x", "04X"])
@pytest.mark.parametrize("place", ['"content": "%s"', '"content": "Hi", "%s": 1'], ids=["text", "name"])
def test_an_answer_that_echoes_the_key_with_escapes_is_not_stored(provider, way, form, place):
    spelling = "".join(f"\\u{ord(char):{form}}" if char in "-m2" else char for char in KEY)
    provider.script(Reply(200, f'{{"choices": [{{"message": {{{place % spelling}}}}}]}}'.encode()))

    answer = way.chat("openai", HI, **words(provider))

    assert answer.cache.reason == "secret"
    assert cache.stats().entries == 0


def test_an_answer_with_other_escapes_is_stored(provider, way):
    provider.script(Reply(200, b'{"choices": [{"message": {"content": "a\\nb \\u0073"}}]}'))

    assert way.chat("openai", HI, **words(provider)).cache.reason is None
    assert cache.stats().entries == 1


def test_a_key_with_escapes_is_in_no_error(provider, way):
    spelling = "".join(f"\\u{ord(char):04x}" if char in "-m2" else char for char in KEY)
    provider.script(Reply(401, f'{{"error": {{"message": "Your key {spelling} is no good"}}}}'.encode()))

    error = caught(way.chat, "openai", HI, **words(provider))

    assert error.body == b'{"error": {"message": "Your key [redacted] is no good"}}'
    assert "Your key [redacted] is no good" in str(error)


def test_a_key_echoed_in_the_middle_of_a_stream_is_in_no_error(provider, way):
    provider.script(Reply(200, b"data: " + ECHO + b"\n\n", {"content-type": "text/event-stream"}))

    error = caught(way.stream, "openai", HI, **words(provider))

    assert "[redacted]" in str(error)
    assert KEY not in everything_of(error)


def test_a_key_in_a_stream_that_is_not_json_is_in_no_error(provider, way):
    provider.script(Reply(200, f"data: your key {KEY}\n\n".encode(), {"content-type": "text/event-stream"}))

    error = caught(way.stream, "openai", HI, **words(provider))

    assert "[redacted]" in str(error)
    assert KEY not in everything_of(error)


@pytest.mark.parametrize("step", [HangUp(), Stall(5)])
def test_a_key_is_in_no_error_of_the_connection(provider, way, step):
    provider.script(*[step] * 5)

    error = caught(way.chat, "openai", HI, **words(provider, timeout=0.1))

    assert KEY not in everything_of(error)


@pytest.mark.parametrize("key", ["sk-line\nbreak-2f9c71d0a4", "sk-ellipsis…2f9c71d0a4", "sk-tab\t2f9c71d0a4"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(provider, way, key):
    error = caught(way.chat, "openai", HI, **words(provider, api_key=key))

    assert type(error) is ConfigurationError
    assert "The header authorization" in str(error)
    assert "2f9c71d0a4" not in everything_of(error)
    assert provider.calls == 0


def test_a_key_is_in_no_traceback_of_a_request_that_cannot_be_sent(provider):
    error = caught(chat, "openai", HI, **words(provider, seed={1, 2}))

    found = traceback.TracebackException.from_exception(error, capture_locals=True)
    sending = [frame for frame in found.stack if frame.filename.endswith("target.py")]
    assert sending
    assert all(KEY not in str(frame.locals) for frame in sending)


def test_a_key_is_in_no_representation(provider):
    client = LLMClient("openai", **words(provider))
    answer = client.chat(HI)
    events = client.stream(HI)
    events.close()

    for value in (client, answer, answer.cache, answer.headers, events):
        assert KEY not in repr(value) + str(value)


def test_what_goes_over_the_wire_shows_neither_key_nor_conversation(provider):
    error = caught(chat, "openai", HI, **words(provider, base_url="http://127.0.0.1:1/v1"))

    wires = [
        str(frame.f_locals["wire"]) for frame, _ in traceback.walk_tb(error.__traceback__) if "wire" in frame.f_locals
    ]
    assert wires
    assert all("authorization" not in wire and "Hi" not in wire for wire in wires)


def test_a_key_is_in_no_log_line_of_any_library(provider, way, caplog):
    caplog.set_level(logging.DEBUG)
    middleware = [
        f"django_llmcache.middleware.{name}" for name in ("cache.CacheMiddleware", "logging.LoggingMiddleware")
    ]
    provider.script(Reply(401, ECHO))

    with override_settings(LLMCACHE={"MIDDLEWARE": middleware}):
        caught(way.chat, "openai", HI, **words(provider))
        way.chat("openai", HI, **words(provider))
        way.chat("openai", HI, **words(provider))
        way.stream("openai", HI, **words(provider))

    assert len(caplog.records) >= 4
    assert KEY not in caplog.text


def test_a_key_is_neither_in_the_cache_key_nor_in_the_entry(provider):
    provider.script(Reply(200, b'{"choices": [{"message": {"content": "Hi"}}]}', {"x-request-id": KEY}))

    answer = chat("openai", HI, **words(provider))

    (entry,) = backends.current().entries()
    assert KEY not in answer.cache.key
    assert KEY.encode() not in entry.encode()
    assert KEY not in repr(entry)


def test_answers_are_shared_between_keys(provider):
    """Isolation is the job of ``scope``."""
    chat("openai", HI, **words(provider))

    assert chat("openai", HI, **words(provider, api_key="sk-another")).from_cache


def test_a_key_is_told_to_no_receiver_of_signals(provider):
    told = []

    def receiver(**arguments):
        told.append(repr(arguments))

    for signal in (signals.cache_miss, signals.cache_put, signals.cache_hit):
        signal.connect(receiver)
    try:
        chat("openai", HI, **words(provider))
        chat("openai", HI, **words(provider))
    finally:
        for signal in (signals.cache_miss, signals.cache_put, signals.cache_hit):
            signal.disconnect(receiver)

    assert len(told) == 3
    assert KEY not in "".join(told)


def test_a_key_is_not_among_the_statistics(provider):
    chat("openai", HI, **words(provider))

    assert KEY not in str(cache.stats().as_dict())


def test_a_key_of_a_wrong_type_is_not_shown(provider):
    error = caught(chat, "openai", HI, **words(provider, api_key=[KEY]))

    assert str(error) == "api_key is list; give a text."


def test_a_netrc_file_replaces_no_key(provider, way, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    way.chat("openai", HI, **words(provider))

    assert provider.requests[0]["headers"]["authorization"] == f"Bearer {KEY}"


def test_a_password_in_the_address_replaces_no_key(provider, way):
    way.chat("openai", HI, **words(provider, base_url=provider.url.replace("//", "//someone:else@")))

    assert provider.requests[0]["headers"]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(("port", "told"), [(1, "127.0.0.1:1"), (99999, "must name a host")])
def test_a_password_in_the_address_is_in_no_error_of_the_connection(provider, way, port, told):
    error = caught(way.chat, "openai", HI, **words(provider, base_url=f"http://someone:pa55@127.0.0.1:{port}"))

    assert told in str(error)
    assert "pa55" not in str(error)


@pytest.mark.parametrize("reply", [Reply(404, b"{}"), Reply(200, b"<html>")])
def test_nor_in_one_of_an_answer(provider, way, reply):
    provider.script(reply)

    error = caught(way.chat, "openai", HI, **words(provider, base_url=provider.url.replace("//", "//someone:pa55@")))

    assert provider.url in str(error)
    assert "pa55" not in str(error)


def test_a_cookie_of_the_provider_is_not_sent_back(way):
    answer = whole(b'{"choices": []}', headers=["set-cookie: session=1", "content-type: application/json"])
    with Loopback(answer) as server:
        for _ in range(2):
            way.chat("openai", HI, model="m", api_key=KEY, base_url=server.url, cache=False)

    assert len(server.requests) == 2
    assert all(b"cookie" not in request.lower() for request in server.requests)


def test_errors_survive_a_copy_and_a_pickle_without_the_key(provider):
    provider.script(Reply(401, ECHO, {"x-request-id": "req_1"}))
    error = caught(chat, "openai", HI, **words(provider))

    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(twin), str(twin), twin.status, twin.request_id) == (type(error), str(error), 401, "req_1")
        assert KEY not in everything_of(twin)


def test_a_stream_that_was_opened_shows_no_key(provider):
    with stream("openai", HI, **words(provider)) as events:
        assert KEY not in repr(events) + str(dict(events.headers))


def everything_of(error):
    """Return all that an error, and each that it was raised from or during, says of itself."""
    chain, found = [error], traceback.format_exception(error)
    while chain:
        link = chain.pop()
        found += [str(link), repr(link), str(link.args), repr(vars(link))]
        # The HTTP libraries' errors hold the request that was sent: that is theirs to show or not.
        links = (link.__cause__, link.__context__)
        chain += [more for more in links if type(more).__module__.startswith(("django_llmcache", "json"))]
    return "".join(found)
