from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import requests

from django_llmcache.contrib.demo.standin import HangUp, Reply, Stall, StandIn
from tests.recordings import load, load_all

CHAT = "/v1/chat/completions"
SERVED = [
    "openai-chat_completions-json-1",
    "openai-chat_completions-json-2",
    "openai-chat_completions-json-3",
    "openai-chat_completions-json-4",
    "openai-v1_chat_completions-sse-2",
    "openai-tool-chain-1",
    "openai-tool-chain-2",
    "openai-tool-chain-3",
    "anthropic-messages-json-2",
    "anthropic-messages-json-3",
    "anthropic-v1_messages-json-1",
    "anthropic-v1_messages-sse-1",
    "anthropic-v1_messages-sse-2",
    "anthropic-tool-use",
    "gemini-sse-1",
    "gemini-sse-3",
    "gemini-tools-json-array-1",
    "gemini-tools-json-array-2",
    "groq-chat_completions-json-1",
    "groq-chat-1",
    "mistral-v1_chat_completions-json-1",
    "mistral-v1_chat_completions-json-2",
    "mistral-v1_chat_completions-sse-1",
    "mistral-embeddings",
    "ollama-api_chat-json-1",
    "ollama-api_chat-ndjson-1",
    "xai-v1_chat_completions-json-1",
]


@pytest.fixture
def provider() -> Iterator[StandIn]:
    with StandIn(latency=0, event_delay=0) as standin:
        yield standin


def post(provider: StandIn, path: str, body: Any, timeout: float = 10) -> requests.Response:
    return requests.post(provider.url + path, json=body, timeout=timeout)


def ask(provider: StandIn, text: str, path: str = CHAT, **fields: Any) -> requests.Response:
    return post(provider, path, {"messages": [{"role": "user", "content": text}]} | fields)


def test_urls_name_loopback_and_the_port(provider):
    """The url is an IPv4 loopback address with the port that was taken."""
    host, _, port = provider.url.removeprefix("http://").partition(":")

    assert (host, int(port) > 0) == ("127.0.0.1", True)


@pytest.mark.parametrize("name", SERVED)
def test_a_recorded_request_gets_the_recorded_bytes(provider, name):
    """Sending what was recorded gives the very bytes that were recorded, with status and type."""
    recording = load(name)
    path = "/" + recording.url.split("/", 3)[3]

    got = post(provider, path, recording.request_body)

    assert (got.status_code, got.content) == (200, recording.response_body)
    assert got.headers["content-type"] == recording.content_type


def test_only_the_last_user_message_has_to_match(provider):
    """Another model and other parameters still get the recording with the same last user message."""
    got = ask(provider, "Say hello in one word", model="gpt-4o-mini", temperature=0)

    assert got.content == load("openai-chat_completions-json-4").response_body


def test_an_unknown_question_gets_a_complete_answer(provider):
    """A question that was never recorded gets an answer that finished with "stop"."""
    got = ask(provider, "What is a cache?", model="gpt-4o-mini").json()

    assert got["choices"][0]["finish_reason"] == "stop"


def test_the_truncated_answer_is_the_recorded_one(provider):
    """The recorded request with max_tokens 10 is answered with finish_reason "length"."""
    text = "Generate a random number between 1 and 10"

    got = ask(provider, text, model="gpt-4-turbo", max_tokens=10).json()

    assert got["choices"][0]["finish_reason"] == "length"
    assert got["choices"][0]["message"]["content"] == "Sure! Here's a random number between 1"


@pytest.mark.parametrize(
    ("path", "model", "answered_by"),
    [
        (CHAT, "gpt-4o-mini", "gpt-4-turbo-2024-04-09"),
        (CHAT, "mistral-small", "mistral-tiny"),
        (CHAT, "grok-3", "grok-3"),
        ("/openai/v1/chat/completions", "llama3-8b-8192", "llama3-8b-8192"),
        ("/groq/v1/chat/completions", "anything", "llama3-8b-8192"),
        ("/mistral/v1/chat/completions", "anything", "mistral-tiny"),
        ("/xai/v1/chat/completions", "anything", "grok-3"),
        ("/v1/messages", "claude-sonnet-4", "claude-3-opus-20240229"),
        ("/anthropic/v1/messages", "claude-sonnet-4", "claude-3-opus-20240229"),
    ],
)
def test_path_and_model_say_whose_answer_it_is(provider, path, model, answered_by):
    """A provider named in the path, or else the model's name, decides whose recording is served."""
    got = ask(provider, "Never asked before", path, model=model).json()

    assert got["model"] == answered_by


def test_gemini_answers_with_one_object(provider):
    """generateContent gives one object with the whole text and its finish reason."""
    contents = [{"role": "user", "parts": [{"text": "Hello?"}]}]

    got = post(provider, "/v1beta/models/gemini-2.0-flash:generateContent", {"contents": contents}).json()

    candidate = got["candidates"][0]
    assert candidate["content"]["parts"][0]["text"] == "The temperature in Paris is 30°C.\n"
    assert candidate["finishReason"] == "STOP"


def test_tools_decide_between_a_tool_call_and_a_text(provider):
    """The same question gets a function call when tools are offered, and a text when none are."""
    recorded = load("gemini-sse-1").request_body
    path = "/v1beta/models/gemini-2.0-flash:generateContent"

    with_tools = post(provider, path, recorded).json()
    without = post(provider, path, {"contents": recorded["contents"]}).json()

    assert "functionCall" in with_tools["candidates"][0]["content"]["parts"][0]
    assert "text" in without["candidates"][0]["content"]["parts"][0]


@pytest.mark.parametrize("path", ["/v1/embeddings", "/openai/deployments/x/embeddings", "/embeddings"])
def test_any_embeddings_path_gets_the_recorded_vector(provider, path):
    """Every path that ends in /embeddings gets a real vector."""
    got = post(provider, path, {"model": "text-embedding-3-small", "input": "Hi"})

    assert got.content == load("mistral-embeddings").response_body


def test_models_are_listed(provider):
    """GET /v1/models lists the models that were recorded."""
    got = requests.get(f"{provider.url}/v1/models", timeout=10).json()

    assert {"gpt-4-turbo", "grok-3", "llama3.2:1b"} <= {model["id"] for model in got["data"]}


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
def test_a_stream_is_chunked_events(provider, path):
    """A request with stream true is answered with server-sent events in chunks."""
    got = ask(provider, "Never asked before", path, stream=True)

    assert got.headers["transfer-encoding"] == "chunked"
    assert got.headers["content-type"].startswith("text/event-stream")
    assert got.content.endswith(b"\n\n")


def test_events_of_a_stream_arrive_one_by_one():
    """The first event can be read while the later ones have not been sent."""
    with StandIn(latency=0, event_delay=30) as provider:
        connection = http.client.HTTPConnection("127.0.0.1", int(provider.url.rpartition(":")[2]), timeout=10)
        connection.request("POST", CHAT, json.dumps({"model": "gpt-4o-mini", "stream": True}))
        response = connection.getresponse()
        first = response.readline()
        response.close()
        connection.close()

    assert load("openai-v1_chat_completions-sse-2").response_body.startswith(first)


def test_ollama_streams_unless_told_not_to(provider):
    """Ollama's answer is NDJSON when `stream` is absent and one object when it is false."""
    streamed = ask(provider, "Never asked before", "/api/chat", model="llama3.2:1b")
    whole = ask(provider, "Never asked before", "/api/chat", model="llama3.2:1b", stream=False)

    assert streamed.content == load("ollama-api_chat-ndjson-1").response_body
    assert whole.content == load("ollama-api_chat-json-1").response_body


def test_answers_bear_the_headers_that_openai_sends(provider):
    """Request id, processing time in milliseconds and rate limit are there; no two ids are the same."""
    first, second = ask(provider, "Test").headers, ask(provider, "Test").headers

    assert first["x-request-id"] != second["x-request-id"]
    assert first["openai-processing-ms"].isdigit()
    assert tuple(headers["x-ratelimit-remaining-requests"] for headers in (first, second)) == ("9999", "9998")


def test_answers_bear_the_headers_that_anthropic_sends(provider):
    """Anthropic's own names of the request id and of the rate limit are used for its answers."""
    headers = ask(provider, "Test", "/v1/messages").headers

    assert headers["request-id"].startswith("req_")
    assert headers["anthropic-ratelimit-requests-remaining"] == "9999"


def test_requests_are_kept(provider):
    """A request is kept with its method, path, lower-case headers and parsed body."""
    requests.post(f"{provider.url}{CHAT}?a=1", json={"model": "m"}, headers={"X-One": "1"}, timeout=10)

    (kept,) = provider.requests
    assert (kept["method"], kept["path"], kept["body"]) == ("POST", f"{CHAT}?a=1", {"model": "m"})
    assert kept["headers"]["x-one"] == "1"


def test_bodies_that_are_not_json_are_kept_as_text(provider):
    """A body that is not JSON is kept as its text, and no body as None."""
    requests.post(provider.url + CHAT, data=b"soon", timeout=10)
    requests.get(f"{provider.url}/v1/models", timeout=10)

    assert [kept["body"] for kept in provider.requests] == ["soon", None]


def test_reset_forgets_everything(provider):
    """After reset() there are no calls, no requests and no queued steps."""
    ask(provider, "Test")
    provider.script(HangUp())

    provider.reset()

    assert (provider.calls, provider.requests) == (0, [])
    assert ask(provider, "Test").status_code == 200


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[1]"])
def test_a_body_that_is_no_object_is_refused(provider, body):
    """A body that is not a JSON object gets a 400 with an error object."""
    got = requests.post(provider.url + CHAT, data=body, timeout=10)

    assert got.status_code == 400
    assert "not a JSON object" in got.json()["error"]["message"]


@pytest.mark.parametrize(("method", "path"), [("POST", "/nowhere"), ("GET", CHAT), ("DELETE", "/v1/models")])
def test_an_unknown_endpoint_is_a_404(provider, method, path):
    """A path or method that no provider has gets a 404 that names both."""
    got = requests.request(method, provider.url + path, json={"a": 1}, timeout=10)

    assert got.status_code == 404
    assert f"({method} {path})" in got.json()["error"]["message"]


@pytest.mark.parametrize("messages", [None, "Hi", [None], [{"role": "user", "content": [7, {"text": 7}]}]])
def test_odd_messages_get_the_default_answer(provider, messages):
    """Messages of a shape that no provider knows are answered like an unknown question."""
    got = post(provider, CHAT, {"model": "gpt-4o-mini", "messages": messages})

    assert got.content == load("openai-chat_completions-json-3").response_body


def test_scripted_replies_are_served_once_and_in_order(provider):
    """Queued replies go out one per request with their status, body and headers; then all is as usual."""
    provider.script(
        Reply(429, b'{"error":"slow down"}', {"Retry-After": "2"}),
        Reply(body=b"<html>", headers={"Content-Type": "text/html"}),
    )

    got = [ask(provider, "Test") for _ in range(3)]

    assert [answer.status_code for answer in got] == [429, 200, 200]
    assert (got[0].headers["retry-after"], got[0].content) == ("2", b'{"error":"slow down"}')
    assert (got[1].headers["content-type"], got[1].content) == ("text/html", b"<html>")
    assert got[2].content == load("openai-chat_completions-json-3").response_body


def test_hang_up_closes_the_connection(provider):
    """HangUp closes the connection without a byte, and the request counts."""
    provider.script(HangUp())

    with pytest.raises(requests.ConnectionError):
        ask(provider, "Test")

    assert provider.calls == 1


def test_stall_outlasts_the_clients_timeout(provider):
    """Stall keeps a client waiting until its own time-out strikes."""
    provider.script(Stall(30))

    with pytest.raises(requests.ReadTimeout):
        post(provider, CHAT, {"model": "gpt-4o-mini"}, timeout=0.05)


def test_a_short_stall_is_answered_late(provider):
    """A client that waits out the stall gets its answer."""
    provider.script(Stall(0.05))
    began = monotonic()

    got = ask(provider, "Test")

    assert (got.status_code, monotonic() - began >= 0.05) == (200, True)


@pytest.mark.parametrize("seconds", [-1, 61, float("nan")])
def test_a_stall_is_bounded(seconds):
    """A stall below zero, above a minute, or not a number is refused."""
    with pytest.raises(ValueError, match="0 to 60 seconds"):
        Stall(seconds)


def test_latency_passes_before_the_first_byte():
    """An answer takes at least the latency, in seconds."""
    with StandIn(latency=0.1) as provider:
        began = monotonic()
        ask(provider, "Test")

    assert monotonic() - began >= 0.1


def test_slow_calls_run_side_by_side():
    """Sixty concurrent calls are all counted and take about as long as one."""
    with StandIn(latency=0.3) as provider, ThreadPoolExecutor(60) as pool:
        began = monotonic()
        got = list(pool.map(lambda _: ask(provider, "Test").status_code, range(60)))
        took = monotonic() - began

        assert (got, provider.calls) == ([200] * 60, 60)
        assert took < 60 * 0.3 / 3


def test_a_connection_is_kept_open(provider):
    """Two requests go through one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", int(provider.url.rpartition(":")[2]), timeout=10)
    ports = []
    for _ in range(2):
        connection.request("POST", CHAT, json.dumps({"model": "gpt-4o-mini"}))
        ports.append(connection.sock.getsockname()[1])
        connection.getresponse().read()
    connection.close()

    assert ports[0] == ports[1]


def test_stop_cuts_waiting_clients_and_leaves_nothing():
    """stop() ends a stalled request and an idle connection at once; no thread and no port is left."""
    before = set(threading.enumerate())
    provider = StandIn(latency=0).start()
    port = int(provider.url.rpartition(":")[2])
    idle = socket.create_connection(("127.0.0.1", port), timeout=10)
    arrived = threading.Event()
    receive = provider.receive

    def noted(request: dict[str, Any]) -> Any:
        step = receive(request)
        arrived.set()
        return step

    provider.receive = noted  # type: ignore[method-assign]
    provider.script(Stall(60))
    stalled = socket.create_connection(("127.0.0.1", port), timeout=10)
    stalled.sendall(b"POST /v1/embeddings HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
    assert arrived.wait(10)

    began = monotonic()
    provider.stop()

    assert monotonic() - began < 2
    assert (idle.recv(1), stalled.recv(1)) == (b"", b"")
    assert set(threading.enumerate()) <= before
    idle.close()
    stalled.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


def test_start_and_stop_may_be_repeated():
    """A second start() or stop() does nothing; a stopped one can start again and keeps its count."""
    provider = StandIn(latency=0)
    provider.stop()
    url = provider.start().url
    assert url == provider.start().url
    ask(provider, "Test")
    provider.stop()
    provider.stop()
    with provider:
        ask(provider, "Test")

    assert provider.calls == 2


def test_there_is_no_url_before_the_start():
    """Reading the url of a provider that doesn't run says what to do."""
    with pytest.raises(RuntimeError, match=r"start\(\)"):
        _ = StandIn().url


def test_a_taken_port_is_an_error(provider):
    """A port that is taken raises OSError, and leaves nothing that would have to be stopped."""
    with pytest.raises(OSError, match="in use"):
        StandIn(port=int(provider.url.rpartition(":")[2])).start()


def test_a_fault_of_the_stand_in_is_told(provider, capfd):
    """An error of its own is written to stderr and ends the connection, not the server."""
    provider.latency = "soon"  # type: ignore[assignment]
    with pytest.raises(requests.ConnectionError):
        ask(provider, "Test")
    provider.latency = 0

    assert ask(provider, "Test").status_code == 200
    assert "TypeError" in capfd.readouterr().err


def test_only_the_standard_library_is_imported():
    """Neither Django nor an HTTP library is needed by the two modules of the stand-in provider."""
    code = (
        "import sys, types, pathlib\n"
        "package = types.ModuleType('django_llmcache')\n"
        "package.__path__ = [str(pathlib.Path('django_llmcache').resolve())]\n"
        "sys.modules['django_llmcache'] = package\n"
        "from django_llmcache.contrib.demo.standin import StandIn\n"
        "with StandIn() as provider: assert provider.url\n"
        "print(sorted({'django', 'requests', 'orjson', 'urllib3'} & set(sys.modules)))\n"
    )
    root = Path(__file__).parent.parent

    got = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)

    assert got.stdout == "[]\n"


def test_every_recording_says_what_it_is():
    """Every recording of tests/data can be read, has its own name, and its JSON parses."""
    recordings = load_all()

    assert len({recording.name for recording in recordings}) == 23 + 43
    for recording in recordings:
        assert recording.path.startswith("/")
        if recording.kind == "json":
            assert json.loads(recording.response_body)
