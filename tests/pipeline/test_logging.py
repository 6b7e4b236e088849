"""LoggingMiddleware: one line for each call, without any content."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest

from django_llmcache import astream, stream
from django_llmcache.contrib.demo.standin import HangUp, Reply
from django_llmcache.exceptions import ProviderError
from tests.pipeline.world import CACHE, KEY, LOGGING, MESSAGES, RETRY, aask, ask

both_ways = pytest.mark.parametrize("call", [ask, lambda **words: asyncio.run(aask(**words))], ids=["chat", "achat"])


@pytest.fixture
def lines(configure, caplog):
    """Return what reads the lines of the calls."""
    configure(MIDDLEWARE=[LOGGING, CACHE])
    caplog.set_level(logging.DEBUG)

    def lines():
        return [record.getMessage() for record in caplog.records if record.name == "django_llmcache.calls"]

    return lines


@both_ways
def test_each_call_is_one_line_of_digest_provider_model_result_and_latency(lines, call):
    answer = call()
    call()

    digest = answer.cache.key.rpartition(":")[2][:12]
    first, second = lines()
    assert re.fullmatch(rf"llm {digest} openai gpt-4o-mini miss \d+\.\d ms", first)
    assert re.fullmatch(rf"llm {digest} openai gpt-4o-mini hit \d+\.\d ms", second)


@both_ways
def test_the_line_says_why_an_answer_was_not_stored(lines, call):
    call(cache=False)
    call(ttl=0)

    assert [re.sub(r"\d+\.\d ms", "… ms", line.split(" ", 2)[2]) for line in lines()] == [
        "openai gpt-4o-mini bypass … ms (disabled)",
        "openai gpt-4o-mini miss … ms (disabled)",
    ]


@both_ways
@pytest.mark.parametrize(
    ("step", "says"),
    [(Reply(503), r"ServerError \d+\.\d ms \(HTTP 503\)"), (HangUp(), r"ProviderConnectionError \d+\.\d ms")],
    ids=["503", "hang-up"],
)
def test_a_call_that_failed_is_a_warning_with_the_kind_of_failure(lines, caplog, provider, call, step, says):
    provider.script(step)

    with pytest.raises(ProviderError):
        call()
    digest = call().cache.key.rpartition(":")[2][:12]

    line, _ = lines()
    assert re.fullmatch(f"llm {digest} openai gpt-4o-mini {says}", line)
    record, _ = (record for record in caplog.records if record.name == "django_llmcache.calls")
    assert record.levelname == "WARNING"


def test_no_content_and_no_api_key_is_in_any_line_of_the_package(lines, caplog, provider):
    question = [{"role": "user", "content": "canary-question"}]
    provider.script(
        Reply(200, b'{"choices": [{"message": {"content": "canary-answer"}, "finish_reason": "stop"}]}'),
        Reply(400, f'{{"error": {{"message": "canary-refusal to {KEY}"}}}}'.encode()),
    )

    assert ask(messages=question).text == "canary-answer"
    with pytest.raises(ProviderError):
        ask(messages=question, refresh=True)
    ask(messages=question)

    ours = [record.getMessage() for record in caplog.records if record.name.startswith("django_llmcache")]
    assert len(ours) >= 6
    assert not [line for line in ours if "canary" in line]


def test_a_models_name_cannot_write_a_line_of_its_own(lines):
    ask(model="gpt\nERROR root logged in")

    (line,) = lines()
    assert "\n" not in line


def test_nothing_is_written_where_nobody_listens(configure, caplog):
    configure(MIDDLEWARE=[LOGGING, CACHE])
    caplog.set_level(logging.WARNING, logger="django_llmcache.calls")

    ask()

    assert caplog.records == []


def test_streams_pass_through_all_three(configure, lines, provider):
    configure(MIDDLEWARE=[LOGGING, CACHE, RETRY])

    with stream("openai", MESSAGES) as answer:
        text = "".join(event.text for event in answer)

    (line,) = lines()
    assert text
    assert re.fullmatch(r"llm - openai gpt-4o-mini bypass \d+\.\d ms \(streaming\)", line)


def test_async_streams_pass_through_all_three(configure, lines, provider):
    configure(MIDDLEWARE=[LOGGING, CACHE, RETRY])

    async def read():
        return "".join([event.text async for event in astream("openai", MESSAGES)])

    assert asyncio.run(read())
    (line,) = lines()
    assert line.endswith("(streaming)")
