"""Answers that are JSON and yet unusual: kept where they are answers, refused where they can be none."""

from __future__ import annotations

import pytest

from django_llmcache.contrib.demo.standin import Reply

from .asking import HI, KEY


@pytest.fixture
def words(provider):
    return {"model": "gpt-4o-mini", "api_key": KEY, "base_url": f"{provider.url}/v1"}


@pytest.mark.parametrize(
    ("value", "said"), [(r'"ok \ud83d"', "ok \ud83d"), ("123456789012345678901", 123456789012345678901)], ids=ascii
)
def test_an_answer_that_orjson_refuses_or_changes_is_kept_whole(provider, way, words, value, said):
    provider.script(Reply(200, b'{"choices": [{"message": {"content": "Hi"}}], "x": %s}' % value.encode()))

    live, stored = (way.chat("openai", HI, **words) for _ in range(2))

    assert (live.data["x"], stored.data["x"], stored.from_cache) == (said, said, True)


def test_half_an_emoji_in_a_piece_of_a_stream_is_passed_on(provider, way, words):
    pieces = [rf'data: {{"choices": [{{"delta": {{"content": "{half}"}}}}]}}' for half in (r"\ud83d", r"\ude00")]
    provider.script(Reply(200, "\n\n".join([*pieces, ""]).encode(), {"content-type": "text/event-stream"}))

    assert "".join(event.text for event in way.stream("openai", HI, **words)) == "\ud83d\ude00"


def test_half_an_emoji_in_the_arguments_of_a_tool_is_passed_on(provider, way, words):
    call = rb'{"id": "1", "function": {"name": "f", "arguments": "{\"a\": \"\\ud83d\", \"id\": 36893488147419103232}"}}'
    provider.script(Reply(200, b'{"choices": [{"message": {"tool_calls": [%s]}}]}' % call))

    (called,) = way.chat("openai", HI, **words).tool_calls

    assert called.arguments == {"a": "\ud83d", "id": 2**65}
