"""Vectors of texts: asked in each provider's own way, read alike, and cached."""

from __future__ import annotations

import json
import struct
from base64 import b64decode

import pytest

from django_llmcache import cache, embed
from django_llmcache.contrib.demo.standin import Reply
from django_llmcache.exceptions import InvalidAnswerError
from tests.recordings import load

from .asking import BASES, KEY, caught

OPENAI = b'{"object": "list", "data": [{"index": 1, "embedding": [3, 4.5]}, {"index": 0, "embedding": [1.0, 2]}]}'
GEMINI = b'{"embeddings": [{"values": [1.0, 2]}, {"values": [3, 4.5]}]}'
OLLAMA = b'{"model": "m", "embeddings": [[1.0, 2], [3, 4.5]], "prompt_eval_count": 4}'
SENT = {
    "openai": (OPENAI, "/base/embeddings", {"model": "m", "input": ["a", "b"], "dimensions": 2}),
    "ollama": (OLLAMA, "/base/api/embed", {"model": "m", "input": ["a", "b"], "dimensions": 2}),
    "gemini": (
        GEMINI,
        "/base/models/m:batchEmbedContents",
        {
            "requests": [
                {"model": "models/m", "content": {"parts": [{"text": text}]}, "dimensions": 2} for text in ("a", "b")
            ]
        },
    ),
}


@pytest.mark.parametrize("name", SENT)
def test_vectors_come_in_the_order_of_the_texts_and_a_second_time_from_the_cache(provider, way, name):
    body, path, payload = SENT[name]
    provider.script(Reply(200, body))
    words = {"model": "m", "api_key": KEY, "base_url": f"{provider.url}/base", "dimensions": 2}

    first, second = way.embed(name, ["a", "b"], **words), way.embed(name, ("a", "b"), **words)

    for answer in (first, second):
        assert answer.embeddings == ([1.0, 2], [3, 4.5])
        assert (answer.body, answer.text) == (body, "")
    assert [answer.cache.status for answer in (first, second)] == ["miss", "hit"]
    (sent,) = provider.requests
    assert (sent["path"], sent["body"]) == (path, payload)


def test_texts_may_come_from_a_generator(provider):
    provider.script(Reply(200, OPENAI))

    embed("openai", (text for text in ("a", "b")), model="m", api_key=KEY, base_url=provider.url)

    assert provider.requests[0]["body"]["input"] == ["a", "b"]


def test_one_text_is_sent_as_it_is_where_the_provider_takes_one(provider):
    provider.script(*[Reply(200, body) for body in (OPENAI, OLLAMA, GEMINI)])
    for name in ("openai", "ollama", "gemini"):
        embed(name, "a", model="m", api_key=KEY, base_url=provider.url)

    openai, ollama, gemini = (sent["body"] for sent in provider.requests)
    assert openai["input"] == ollama["input"] == "a"
    assert len(gemini["requests"]) == 1


def test_a_recorded_embedding_is_read_as_its_body_says(provider, way):
    recording = load("mistral-embeddings")
    provider.script(Reply(200, recording.response_body))
    base_url, asked = provider.url + BASES["mistral"], recording.request_body

    answers = [way.embed("mistral", asked["input"], model=asked["model"], api_key=KEY, base_url=base_url) for _ in "12"]

    body = json.loads(recording.response_body)
    for answer in answers:
        assert [row["embedding"] for row in body["data"]] == list(answer.embeddings)
        assert (body["usage"]["prompt_tokens"], 0) == answer.usage
        assert (recording.response_body, body["model"]) == (answer.body, answer.model)
    assert [answer.from_cache for answer in answers] == [False, True]
    (sent,) = provider.requests
    assert (sent["path"], sent["body"]) == ("/v1/embeddings", asked)


@pytest.mark.parametrize("name", ["azure-embeddings-1", "azure-embeddings-2"])
def test_a_recorded_embedding_in_base64_is_read_as_numbers(provider, way, name):
    recording = load(name)
    provider.script(Reply(200, recording.response_body))
    asked = dict(recording.request_body)
    words = {"api_key": KEY, "base_url": provider.url + BASES["azure-openai"]}

    answer = way.embed("openai", asked.pop("input"), **asked, **words)

    encoded = b64decode(json.loads(recording.response_body)["data"][0]["embedding"])
    assert answer.embeddings == (list(struct.unpack(f"<{len(encoded) // 4}f", encoded)),)
    assert provider.requests[0]["body"] == recording.request_body


def test_texts_in_another_order_are_another_question(provider, way):
    provider.script(Reply(200, OPENAI), Reply(200, OPENAI))
    words = {"model": "m", "api_key": KEY, "base_url": provider.url}

    keys = {way.embed("openai", texts, **words).cache.key for texts in (["a", "b"], ["b", "a"])}

    assert len(keys) == 2


def test_an_answer_without_a_vector_is_not_stored(provider, way):
    provider.script(Reply(200, b'{"data": []}'))

    answer = way.embed("openai", "a", model="m", api_key=KEY, base_url=provider.url)

    assert answer.cache.reason == "empty"
    assert cache.stats().entries == 0


def test_an_error_of_embeddings_is_an_error(provider, way):
    provider.script(Reply(200, b"<html></html>"))

    error = caught(way.embed, "openai", "a", model="m", api_key=KEY, base_url=provider.url)

    assert type(error) is InvalidAnswerError
