"""An answer is a value: the provider's bytes, read when asked, and nobody can change another's."""

from __future__ import annotations

import copy
import pickle
import time

import pytest

from django_llmcache import response as response_module
from django_llmcache.bodies import Usage
from django_llmcache.cacheinfo import CacheInfo
from django_llmcache.entry import Entry
from django_llmcache.exceptions import InvalidAnswerError
from django_llmcache.headers import Headers
from django_llmcache.messages import LLMResponse

BODY = b'{ "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}],\n "usage": {"prompt_tokens": 3} }'
KEY = f"llmcache:1.1:-:{'a' * 64}"
COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
}


def stored(**fields):
    return Entry(**({"key": KEY, "body": BODY, "created": time.time() - 5, "ttl": 60} | fields))


def hit(**fields):
    return LLMResponse.from_entry(stored(**fields), KEY, "memory")


class Parsings:
    """Stands before orjson and counts."""

    JSONDecodeError = response_module.orjson.JSONDecodeError

    def __init__(self):
        self.count = 0

    def loads(self, raw, _loads=response_module.orjson.loads):
        self.count += 1
        return _loads(raw)


@pytest.fixture
def parsings(monkeypatch):
    counting = Parsings()
    monkeypatch.setattr(response_module, "orjson", counting)
    return counting


class TestParts:
    def test_it_says_what_it_was_given(self):
        answer = LLMResponse(BODY, status=201, headers={"Content-Type": "application/json", "X-Id": "7"})

        assert (answer.body, answer.status) == (BODY, 201)
        assert dict(answer.headers) == {"content-type": "application/json", "x-id": "7"}
        assert (answer.text, answer.finish_reason, answer.usage) == ("Hi", "stop", Usage(3, 0))

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_the_body_is_bytes_of_its_own(self, kind):
        given = bytearray(BODY)
        answer = LLMResponse(kind(given))
        given[0:1] = b"X" if kind is not memoryview else b"{"

        assert answer.body == BODY
        assert type(answer.body) is bytes

    @pytest.mark.parametrize("body", ["text", None, {"a": 1}, [1]])
    def test_anything_but_bytes_is_a_type_error(self, body):
        with pytest.raises(TypeError, match=f"body is a {type(body).__name__}; give the provider's answer as bytes"):
            LLMResponse(body)

    def test_only_headers_as_true_of_a_stored_answer_last(self):
        headers = [("Content-Type", "application/json"), ("set-cookie", "s=1"), ("x-request-id", "7"), ("date", "now")]
        answer = LLMResponse(BODY, headers=[*headers, ("openai-model", "m"), ("OpenAI-Version", "v")])

        assert answer.lasting_headers == (
            ("Content-Type", "application/json"),
            ("openai-model", "m"),
            ("OpenAI-Version", "v"),
        )

    def test_its_repr_shows_no_content(self):
        assert repr(LLMResponse(BODY)) == f"<LLMResponse 200 bypass {len(BODY)} bytes>"


class TestReading:
    def test_nothing_is_parsed_before_it_is_asked_for(self, parsings):
        answer = hit()
        _ = (answer.body, answer.status, answer.headers, answer.cache, answer.from_cache, repr(answer))

        assert parsings.count == 0

    def test_the_body_is_parsed_once(self, parsings):
        answer = hit()
        _ = (answer.text, answer.usage, answer.tool_calls, answer.model, answer.data)

        assert parsings.count == 1

    @pytest.mark.parametrize("body", [b"<!DOCTYPE html>", b"", b"\xff"])
    def test_what_is_no_json_is_an_error_that_shows_its_start_each_time(self, body):
        answer = LLMResponse(body, status=502)

        for name in ("data", "text", "tool_calls", "embeddings"):
            with pytest.raises(InvalidAnswerError, match=r"HTTP 502\) is not JSON") as raised:
                getattr(answer, name)
            assert (raised.value.status, raised.value.body) == (502, body)
            assert raised.value.__suppress_context__
        assert answer.body == body

    @pytest.mark.parametrize("body", [b"<!DOCTYPE html>", b"", b"\xff"])
    def test_what_is_no_json_tells_nothing_beside_its_answer(self, body):
        answer = LLMResponse(body, status=503)

        assert answer.usage == (0, 0)
        assert (answer.finish_reason, answer.model, answer.refused) == (None, None, False)

    @pytest.mark.parametrize("make", [LLMResponse, lambda body: hit(body=body)], ids=["live", "stored"])
    @pytest.mark.parametrize(
        ("value", "said"),
        [
            (r'"ok \ud83d"', "ok \ud83d"),
            ("123456789012345678901234567890", 123456789012345678901234567890),
            ("[-9223372036854775809]", [-(2**63) - 1]),
            ("1e30", 1e30),
            ("Infinity", float("inf")),
        ],
        ids=str,
    )
    def test_what_only_the_standard_library_reads_comes_back_whole(self, make, value, said):
        answer = make(b'{"message": {"content": "Hi"}, "value": %s}' % value.encode())

        assert (answer.text, answer.data["value"], answer.text) == ("Hi", said, "Hi")
        assert type(answer.data["value"]) is type(said)
        assert answer.data is answer.data
        assert all(make_copy(answer).data == answer.data for make_copy in COPIES.values())

    def test_nested_as_deep_as_orjson_goes_it_is_read(self):
        assert LLMResponse(b"[" * 1000 + b"]" * 1000).data

    def test_a_long_page_is_not_shown_whole(self):
        with pytest.raises(InvalidAnswerError) as raised:
            _ = LLMResponse(b"<" * 10_000).data

        assert len(str(raised.value)) < 300


class TestImmutable:
    @pytest.mark.parametrize("name", ["body", "status", "headers", "data", "text", "from_cache", "cache"])
    def test_no_part_can_be_set(self, name):
        with pytest.raises(AttributeError):
            setattr(LLMResponse(BODY), name, "other")

    def test_the_headers_cannot_be_changed(self):
        with pytest.raises(TypeError):
            LLMResponse(BODY).headers["x"] = "y"

    def test_changing_the_parsed_value_changes_no_other_answer(self):
        entry = stored()
        first, second = (LLMResponse.from_entry(entry, KEY) for _ in range(2))
        first.data["choices"].clear()

        assert second.text == "Hi"
        assert LLMResponse.from_entry(entry, KEY).text == "Hi"
        assert first.body == BODY

    @pytest.mark.parametrize("made", COPIES)
    def test_a_copy_says_the_same_and_parses_for_itself(self, made):
        answer = hit()
        answer.data["choices"].clear()
        twin = COPIES[made](answer)

        assert (twin.body, twin.status, twin.from_cache) == (answer.body, answer.status, True)
        assert dict(twin.headers) == dict(answer.headers)
        assert twin.cache._replace(age=0) == answer.cache._replace(age=0)
        assert twin.text == "Hi"


class TestWhereItCameFrom:
    def test_a_live_answer_was_not_looked_up(self):
        answer = LLMResponse(BODY)

        assert answer.cache == CacheInfo("bypass")
        assert not answer.from_cache

    def test_a_hit_tells_age_ttl_key_and_backend(self):
        info = hit(created=time.time() - 5).cache

        assert (info.status, info.key, info.ttl, info.backend, info.reason) == ("hit", KEY, 60, "memory", None)
        assert 5 <= info.age < 60
        assert info.stored_at == pytest.approx(time.time() - 5, abs=30)

    def test_a_clock_that_was_set_back_makes_no_negative_age(self):
        assert hit(created=time.time() + 1000).cache.age == 0.0

    @pytest.mark.parametrize(("result", "spared"), [("hit", True), ("stale", True), ("miss", False), ("bypass", False)])
    def test_only_a_hit_or_a_stale_answer_spared_the_provider(self, result, spared):
        assert LLMResponse.from_entry(stored(), KEY, result=result).from_cache is spared
        assert LLMResponse(BODY).marked(result).from_cache is spared

    def test_a_marked_copy_tells_another_story_of_the_same_bytes(self):
        answer = LLMResponse(BODY, status=201, headers={"a": "b"})
        missed = answer.marked("miss", key=KEY, reason="truncated")
        kept = answer.marked("miss", key=KEY, entry=stored(created=7.0), backend="memory")

        assert (missed.body, missed.status, dict(missed.headers)) == (BODY, 201, {"a": "b"})
        assert missed.cache == CacheInfo("miss", key=KEY, reason="truncated")
        assert kept.cache == CacheInfo("miss", key=KEY, ttl=60, stored_at=7.0, backend="memory")
        assert answer.cache == CacheInfo("bypass")


class TestCacheInfo:
    def test_its_repr_shows_only_as_much_of_the_key_as_tells_it_from_others(self):
        shown = repr(CacheInfo("hit", key=KEY, age=1.5, ttl=60, stored_at=7.0, backend="memory"))

        assert shown == (
            "CacheInfo(status='hit', key='…aaaaaaaa', age=1.5, ttl=60, stored_at=7.0, backend='memory', reason=None)"
        )

    def test_little_is_known_of_what_was_not_looked_up(self):
        assert CacheInfo("bypass", reason="disabled") == ("bypass", None, 0.0, None, None, None, "disabled")
        assert "key=None" in repr(CacheInfo("bypass"))

    def test_it_is_immutable(self):
        with pytest.raises(AttributeError):
            CacheInfo("hit").age = 3


class TestHeaders:
    def test_a_name_is_found_in_any_case(self):
        headers = Headers([("Content-Type", "application/json")])

        assert headers["content-type"] == headers["CONTENT-TYPE"] == "application/json"
        assert "Content-type" in headers
        assert headers.get("x", "none") == "none"

    @pytest.mark.parametrize("name", ["x", 7, None, b"content-type"])
    def test_what_is_not_there_is_a_key_error(self, name):
        headers = Headers([("Content-Type", "application/json")])

        assert name not in headers
        with pytest.raises(KeyError):
            headers[name]

    def test_names_are_listed_in_lower_case_and_the_last_of_two_wins(self):
        headers = Headers([("A", "1"), ("b", "2"), ("a", "3")])

        assert list(headers.items()) == [("a", "3"), ("b", "2")]
        assert len(headers) == 2

    def test_no_value_is_shown(self):
        assert repr(Headers([("Set-Cookie", "made-up")])) == "<Headers set-cookie>"
