"""Requests to hosts of nobody's that would be LLM calls at a provider's."""

from __future__ import annotations

import pytest

from django_llmcache.providers.openai import Compatible
from django_llmcache.recorder.exchange import Outgoing
from django_llmcache.testing import override_llmcache
from django_llmcache.testing.likely_calls import looks_like_call


class Own(Compatible):
    """A provider with an endpoint of its own."""

    operations = {"/ask": "chat"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", b'{"messages":[]}'),
        ("/v1/chat/completions/", b'{"messages":[]}'),
        ("/openai/deployments/mine/chat/completions", b'{"model":"m","messages":[]}'),
        ("/v1/responses", b'{"model":"m","input":"Hi"}'),
        ("/v1/completions", b'{"prompt":"Hi"}'),
        ("/v1/embeddings", b'{"input":["Hi"]}'),
        ("/v1/messages", b'{"model":"m"}'),
        ("/api/generate", b'{"model":"m"}'),
        ("/v1beta/models/gemini-2.0-flash:generateContent", b'{"contents":[]}'),
        ("/v1beta/models/gemini-2.0-flash:streamGenerateContent", b'{"contents":[]}'),
    ],
)
def test_a_providers_endpoint_with_a_providers_body_is_one(path, body):
    assert looks_like_call(Outgoing("POST", f"https://gateway.test{path}?v=1", (), body))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/chat/completions", b""),
        ("POST", "/v3/mine.example/messages", b"from=me&to=you"),
        ("POST", "/v17.0/1/messages", b'{"messaging_product":"whatsapp","to":"1"}'),
        ("POST", "/forms/1/responses", b'["model"]'),
        ("POST", "/v1/models", b'{"model":"m"}'),
        ("POST", "/v1/traces/ingest", b'{"model":"m"}'),
        ("POST", "/telemetry/v1/traces", b'{"model":"m"}'),
    ],
)
def test_whatever_else_a_service_is_asked_is_none(method, path, body):
    assert not looks_like_call(Outgoing(method, f"https://service.test{path}", (), body))


def test_an_endpoint_of_a_class_of_ones_own_is_one():
    words = {"CLASS": "tests.testing.test_likely_calls.Own", "BASE_URL": "https://own.test"}
    with override_llmcache(PROVIDERS={"own": words}):
        assert looks_like_call(Outgoing("POST", "https://other.test/ask", (), b'{"prompt":"Hi"}'))
