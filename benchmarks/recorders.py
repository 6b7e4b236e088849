"""What ``python -m benchmarks replay`` compares: each records some calls, and replays them."""

from __future__ import annotations

import hashlib
import io
import json
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import requests
from urllib3 import HTTPResponse

KEY = "made-up"


def body(number):
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"Question {number}"}]}


def by_requests(url):
    """Return a function that asks one question, and returns the answer's text."""
    session = requests.Session()
    session.headers["authorization"] = f"Bearer {KEY}"

    def ask(number):
        answer = session.post(f"{url}/v1/chat/completions", json=body(number), timeout=60)
        return answer.json()["choices"][0]["message"]["content"]

    return ask


def by_openai(url):
    """Return the same by the OpenAI SDK."""
    import openai

    client = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY)

    def ask(number):
        return client.chat.completions.create(**body(number)).choices[0].message.content

    return ask


class Recorder:
    """Keeps recordings in ``folder``."""

    name: str
    package: str | None = None
    asks = (by_requests, by_openai)
    most = 5000  # fixtures with which it can be set up in a few minutes

    def __init__(self, folder: Path):
        self.folder = folder

    def recording(self):
        """Return a context manager in which calls are made and recorded."""
        raise NotImplementedError

    def replaying(self):
        """Return a context manager in which calls are replayed."""
        raise NotImplementedError


class Ours(Recorder):
    name = "live_api"

    def recording(self):
        return self._session("once")

    def replaying(self):
        return self._session("replay")

    @contextmanager
    def _session(self, mode):
        with self.switched_on(), self.armed(mode):
            yield

    def switched_on(self):
        from django_llmcache.testing import override_llmcache

        return override_llmcache(TEST_CACHE={"ENABLED": True, "DIR": self.folder})

    def armed(self, mode):
        from django_llmcache.testing import live_api

        return live_api(mode=mode)


class Nothing(Recorder):
    """Answers out of a dict, below ``requests``: what the client itself takes, and no recorder can be quicker than."""

    name = "no recorder, from memory"
    asks = (by_requests,)

    def __init__(self, folder):
        super().__init__(folder)
        self._kept = {}

    @contextmanager
    def _sending(self, send):
        real = requests.adapters.HTTPAdapter.send
        requests.adapters.HTTPAdapter.send = lambda adapter, request, **options: send(real, adapter, request, options)
        try:
            yield
        finally:
            requests.adapters.HTTPAdapter.send = real

    def recording(self):
        def send(real, adapter, request, options):
            answer = real(adapter, request, **options)
            self._kept[request.url, request.body] = answer.content
            return answer

        return self._sending(send)

    def replaying(self):
        def send(real, adapter, request, options):
            body = io.BytesIO(self._kept[request.url, request.body])
            return adapter.build_response(request, HTTPResponse(body, status=200, preload_content=False))

        return self._sending(send)


class Vcr(Recorder):
    """One cassette for all calls, with the body matched: without that, any call would do."""

    name = "vcrpy"
    package = "vcr"
    most = 500  # each new recording is compared with all there are

    def recording(self):
        return self._cassette("once")

    def replaying(self):
        return self._cassette("none")

    def _cassette(self, mode):
        import vcr

        return vcr.VCR(
            serializer="json",
            record_mode=mode,
            match_on=["method", "scheme", "host", "port", "path", "query", "body"],
        ).use_cassette(str(self.folder / "cassette.json"), allow_playback_repeats=True)


class Responses(Recorder):
    """One registered response for each call, with the JSON matched."""

    name = "responses"
    package = "responses"
    asks = (by_requests,)

    def __init__(self, folder):
        super().__init__(folder)
        self._kept = {}

    @contextmanager
    def recording(self):
        real = requests.Session.send

        def send(session, request, **options):
            answer = real(session, request, **options)
            self._kept[request.url, request.body] = answer.content
            return answer

        requests.Session.send = send
        try:
            yield
        finally:
            requests.Session.send = real

    @contextmanager
    def replaying(self):
        import responses
        from responses import matchers

        with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
            for (url, asked), answer in self._kept.items():
                matcher = matchers.json_params_matcher(json.loads(asked))
                mock.post(url, body=answer, content_type="application/json", match=[matcher])
            yield


class RequestsCache(Recorder):
    """Files, and the body in the key."""

    name = "requests-cache on files"
    package = "requests_cache"
    asks = (by_requests,)

    def recording(self):
        import requests_cache

        return requests_cache.enabled(
            cache_name=str(self.folder / "cache"), backend="filesystem", allowable_methods=["GET", "POST"]
        )

    replaying = recording


class Files(Recorder):
    """The least that can be done with files: a transport that gives the file of a body, whatever else was asked."""

    name = "a transport over JSON files, no recorder"
    package = "httpx2"
    asks = (by_openai,)

    def _file(self, request):
        return self.folder / f"{hashlib.sha256(request.content).hexdigest()}.json"

    @contextmanager
    def _handling(self, handle):
        import httpx2

        real = httpx2.HTTPTransport.handle_request
        httpx2.HTTPTransport.handle_request = lambda transport, request: handle(partial(real, transport), request)
        try:
            yield
        finally:
            httpx2.HTTPTransport.handle_request = real

    def recording(self):
        def handle(real, request):
            answer = real(request)
            answer.read()
            kept = {"status": answer.status_code, "type": answer.headers["content-type"], "body": answer.json()}
            self._file(request).write_text(json.dumps(kept))
            return answer

        return self._handling(handle)

    def replaying(self):
        import httpx2

        def handle(real, request):
            kept = json.loads(self._file(request).read_text())
            return httpx2.Response(kept["status"], headers={"content-type": kept["type"]}, json=kept["body"])

        return self._handling(handle)


RECORDERS = (Nothing, Files, Ours, Vcr, Responses, RequestsCache)


def installed(recorder):
    return recorder.package is None or find_spec(recorder.package) is not None
