"""What a miss shows: the nearest recording, and how the request differs from it."""

from __future__ import annotations

import cProfile
import json
from pathlib import Path

import pytest

from django_llmcache.recorder.differences import apart, differences
from django_llmcache.recorder.matcher import Matcher
from django_llmcache.recorder.misses import explain_miss
from django_llmcache.recorder.nearest import nearest_to
from django_llmcache.recorder.wording import word_diff

from .made import JSON, asked, fixture

FOLDER = Path("tests/llm_fixtures")
QUESTIONS = (
    "The handle of my spade broke after two days. What do I do now? I still have the mail with the confirmation.",
    "Do you ship to Norway?",
    "Is there a discount for schools?",
)
PAIRS = b"model=whisper-1&nonce=%s"
PARTS = b"""--b\r
Content-Disposition: form-data; name="model"\r
\r
whisper-1\r
--b\r
Content-Disposition: form-data; name="nonce"\r
\r
%s\r
--b--\r
"""


def body(*words: str, model: str = "gpt-4o-mini", **fields) -> bytes:
    return json.dumps({"model": model, "messages": [{"content": each} for each in words]} | fields).encode()


def said(system: str, user: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def recorded(request: bytes, *, test: str = "tests.another", ignore: tuple[str, ...] = (), **where):
    return fixture(request=asked(request, **where), file=str(FOLDER / "one.json"), tests=(test,), ignore=ignore)


def explained(request: bytes, *candidates, headers=JSON, **words) -> list[str]:
    told = {"test": "tests.some_test", "folder": FOLDER, "command": "Record it:  run it"} | words
    return explain_miss(asked(request, headers=headers), candidates, **told).splitlines()


def near(request: bytes, *candidates, test: str = "tests.some_test"):
    return nearest_to(asked(request), candidates, Matcher(), test=test)


class TestNearest:
    def test_it_is_the_one_that_is_most_alike(self):
        alike, other = recorded(body("Capital of Spain?")), recorded(body("Write a poem about the sea"))

        assert near(body("Capital of France?"), other, alike) is alike

    @pytest.mark.parametrize(
        "other",
        [
            recorded(body("Hi", model="gpt-5")),
            recorded(body("Hi"), url="https://eu.api.openai.com/v1/chat/completions"),
        ],
        ids=["model", "host"],
    )
    def test_another_model_and_another_host_are_not_near(self, other):
        assert near(body("Hi"), other) is None

    def test_the_same_path_counts_more_than_the_same_words(self):
        same = recorded(body("Something else"))
        elsewhere = recorded(body("Hi"), url="https://api.openai.com/v1/responses")

        assert near(body("Hi"), elsewhere, same) is same

    @pytest.mark.parametrize("test", ["faq/tests.py::FaqTests::test_open", "faq.tests.FaqTests.test_open <2>"])
    def test_what_the_test_itself_recorded_is_nearer_than_anything_else(self, test):
        own = recorded(body("When do you open?"), url="https://api.openai.com/v1/responses", test=test)
        alike = recorded(body("At what time do you open tomorrow?"))

        assert near(body("At what time do you open?"), alike, own, alike, test="faq.tests.FaqTests.test_open") is own

    def test_of_what_it_recorded_itself_the_most_alike(self):
        first, second = (recorded(body(words), test="t") for words in ("Capital of Spain?", "Write a poem"))

        assert near(body("Write a long poem"), first, second, test="t") is second

    @pytest.mark.parametrize(
        "grown",
        [
            {"tools": [{"type": "function", "function": {"name": "find_order", "parameters": {"type": "object"}}}]},
            {"messages": said("You help our customers. Keep it short, and never name a price.", QUESTIONS[1])},
            {"messages": [*said("Be brief", "Hello")[:2], {"role": "assistant", "content": "Ask me what you like"},
                          *said("Be brief", QUESTIONS[1])[1:]]},
        ],
        ids=["tool", "system", "turn"],
    )  # fmt: skip
    def test_what_the_user_said_last_counts_more_than_what_grew_around_it(self, grown):
        one, right, other = (recorded(body(messages=said("Be brief", words))) for words in QUESTIONS)
        request = body(messages=said("Be brief", QUESTIONS[1])) if "tools" in grown else body()

        assert near(json.dumps(json.loads(request) | grown).encode(), one, right, other) is right

    def test_of_many_recordings_it_is_found_in_no_time(self):
        tools = [{"name": f"tool{number}"} for number in range(50)]
        many = [recorded(body(f"word{number} " * 200, tools=tools), test=f"tests.{number}") for number in range(500)]
        profile = cProfile.Profile()

        found = profile.runcall(near, body("other " * 200), *many, test="tests.250")

        assert found is many[250]
        assert sum(entry.callcount for entry in profile.getstats()) < 500_000

    def test_what_does_not_count_makes_nothing_nearer(self):
        alike = recorded(body("Capital of Spain?", metadata={"trace": "a" * 200}))
        other = recorded(body("Write a poem about the sea", metadata={"trace": "b" * 200}))

        assert near(body("Capital of France?", metadata={"trace": "b" * 200}), other, alike) is alike


class TestText:
    def test_it_names_request_test_model_file_difference_and_the_line_that_records(self):
        assert explained(body("Capital of France?"), recorded(body("Capital of Spain?"))) == [
            "Nothing is recorded for this request: POST https://api.openai.com/v1/chat/completions",
            "  test     tests.some_test",
            "  model    gpt-4o-mini",
            f"  nearest  {FOLDER / 'one.json'}",
            "    messages[0].content:",
            "      Capital of [-Spain?-] {+France?+}",
            "Record it:  run it",
        ]

    def test_where_nothing_is_near_it_says_where_it_looked(self):
        assert f"  fixtures {FOLDER} (none of this provider, host and model)" in explained(body("Hi"))

    def test_where_the_same_is_recorded_of_another_host_it_says_how_to_follow_there(self):
        moved = recorded(body("Hi"), url="https://gateway.example/v1/chat/completions")
        lines = explained(body("Hi"), recorded(body("Ho"), url="https://other.example/"), moved)

        assert lines[3] == f"  moved?   {FOLDER / 'one.json'}"
        assert lines[4].startswith("    the same request, recorded of gateway.example: write the new address")

    @pytest.mark.parametrize(
        ("then", "now"),
        [
            ("one.example/deployments/gpt-35/chat/completions", "two.example/deployments/gpt-4o/chat/completions"),
            ("one.example/v1/models/flash:generateContent", "two.example/v1/models/pro:countTokens"),
            ("one.example/v1/chat/completions", "two.example/v1/embeddings"),
            ("one.example/v1/chat/completions?version=1", "two.example/v1/chat/completions?version=2"),
        ],
    )  # fmt: skip
    def test_another_model_endpoint_or_query_is_not_the_same_there(self, then, now):
        recording = fixture(request=asked(body("Hi"), url=f"https://{then}"))
        text = explain_miss(
            asked(body("Hi"), url=f"https://{now}"), [recording], test="t", folder=FOLDER, command="", why="none"
        )

        assert "moved?" not in text

    def test_a_path_in_front_may_be_another_there(self):
        then = recorded(body("Hi"), url="https://gateway.example/openai/v1/chat/completions")

        assert any("moved?" in line for line in explained(body("Hi"), then))

    def test_of_many_differences_it_shows_a_few(self):
        many = [f"word {number}" for number in range(20)]
        lines = explained(body(*many), recorded(body(*(each.upper() for each in many))))

        assert "    … and more" in lines
        assert len(lines) < 25

    def test_of_a_long_prompt_with_many_changes_it_shows_the_first_in_no_time(self):
        words = [f"word{number % 50}" for number in range(20_000)]
        changed = [f"other{number}" if number % 40 == 20 else word for number, word in enumerate(words)]
        profile = cProfile.Profile()

        message = profile.runcall(explained, body(" ".join(changed)), recorded(body(" ".join(words))))

        assert sum(entry.callcount for entry in profile.getstats()) < 200_000
        assert len("\n".join(message)) < 3000
        assert "[-word20-] {+other20+}" in message[5]
        assert "… and more in the 19," in message[5]

    def test_a_word_without_end_is_cut(self):
        lines = explained(body("A" * 10**6 + " old"), recorded(body("A" * 10**6 + " new")))

        assert len("\n".join(lines)) < 3000
        assert lines[5].endswith("… [-new-] {+old+}")

    def test_a_body_that_is_nested_without_end_is_shown_as_a_text(self):
        deep = b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"

        lines = explained(deep, recorded(deep.replace(b"a", b"b")))

        assert lines[4].startswith('      [-{"b":[[[')

    def test_a_message_more_is_told_as_one(self):
        lines = explained(body("Hi", "There"), recorded(body("Hi")))

        assert lines[4:-1] == ["    messages[1] is new: {'content': 'There'}"]

    def test_one_less_too(self):
        lines = explained(body("Hi"), recorded(body("Hi", "There")))

        assert lines[4:-1] == ["    messages[1] is gone: {'content': 'There'}"]

    def test_what_was_put_in_before_the_rest_leaves_the_rest_as_it_was(self):
        lines = explained(body("New", "One", "Two", "Three"), recorded(body("One", "Two", "Three")))

        assert lines[4:-1] == ["    messages[0] is new: {'content': 'New'}"]

    def test_what_was_changed_is_compared_with_what_stood_there(self):
        lines = explained(body("New", "One", "Two or so", "Three"), recorded(body("One", "Two", "Three", "Four")))

        assert lines[4:-1] == [
            "    messages[0] is new: {'content': 'New'}",
            "    messages[2].content:",
            "      Two {+or so+}",
            "    messages[3] is gone: {'content': 'Four'}",
        ]

    def test_what_was_changed_is_compared_with_what_is_of_its_kind(self):
        system = {"role": "system", "content": "Be brief"}
        then, now = ({"role": "user", "content": words} for words in ("Capital of Spain?", "Capital of France?"))

        lines = explained(body(messages=[system, now]), recorded(body(messages=[then])))

        assert lines[4:-1] == [
            "    messages[0] is new: {'role': 'system', 'content': 'Be brief'}",
            "    messages[1].content:",
            "      Capital of [-Spain?-] {+France?+}",
        ]

    def test_of_a_list_without_end_it_shows_the_first_in_no_time(self):
        then = [number % 7 for number in range(20_000)]
        now = [number % 5 for number in range(20_000)]
        profile = cProfile.Profile()

        lines = profile.runcall(explained, body(input=now), recorded(body(input=then)))

        assert sum(entry.callcount for entry in profile.getstats()) < 2_000_000
        assert lines[4] == "    input[5]: recorded 5, asked 0"

    def test_the_same_body_elsewhere_is_told_by_its_path(self):
        lines = explained(body("Hi"), recorded(body("Hi"), url="https://api.openai.com/v1/responses"))

        assert "    path: recorded '/v1/responses', asked '/v1/chat/completions'" in lines

    @pytest.mark.parametrize(
        ("kind", "form"),
        [("application/x-www-form-urlencoded", PAIRS), ("multipart/form-data; boundary=b", PARTS)],
        ids=["form", "multipart"],
    )
    def test_the_field_of_a_form_is_named(self, kind, form):
        headers = (("content-type", kind),)
        now, then = asked(form % b"new", headers=headers), recorded(form % b"old", headers=headers)
        text = explain_miss(now, [then], test="t", folder=FOLDER, command="", why="none")

        assert "  model    whisper-1" in text.splitlines()
        assert "    nonce:\n      [-old-] {+new+}" in text

    def test_the_name_of_a_file_is_told_as_a_field_of_its_part(self):
        headers = (("content-type", "multipart/form-data; boundary=b"),)
        form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="%s.wav"\r\n\r\nRIFF\r\n--b--\r\n'
        now, then = asked(form % b"tmp2", headers=headers), recorded(form % b"tmp1", headers=headers)
        text = explain_miss(now, [then], test="t", folder=FOLDER, command="", why="none")

        assert "    file.filename:\n      [-tmp1.wav-] {+tmp2.wav+}" in text

    def test_a_header_that_is_to_blame_is_named(self):
        lines = explained(body("Hi"), recorded(body("Hi"), headers=(*JSON, ("openai-beta", "assistants=v2"))))

        assert "    header openai-beta is gone: 'assistants=v2'" in lines

    def test_a_header_that_is_to_blame_is_named_before_what_differs_in_the_body(self):
        many = [f"word {number}" for number in range(20)]
        lines = explained(
            body(*many), recorded(body(*map(str.upper, many))), headers=(*JSON, ("anthropic-beta", "b, a"))
        )

        assert lines[4] == "    header anthropic-beta is new: 'a, b'"

    def test_a_header_that_does_not_count_is_not_shown(self):
        lines = explained(body("Hi"), recorded(body("Ho")), headers=(*JSON, ("x-trace", "1")))

        assert not any("header" in line for line in lines)

    def test_one_that_the_settings_count_is(self):
        matcher = Matcher(headers=frozenset({"x-team"}))
        lines = explained(body("Hi"), recorded(body("Hi")), headers=(*JSON, ("x-team", "search")), matcher=matcher)

        assert lines[4:-1] == ["    header x-team is new: 'search'"]

    def test_what_does_not_count_takes_no_place_from_what_does(self):
        ids = [f"id{number}" for number in range(9)]
        then = body("Hi", user="a", metadata=dict.fromkeys(ids, "a"), nonce="a", temperature=0.7)
        now = body("Hi", user="b", metadata=dict.fromkeys(ids, "b"), nonce="b", temperature=0.2)

        lines = explained(now, recorded(then), matcher=Matcher(("nonce",)))

        assert lines[4:-1] == ["    temperature: recorded 0.7, asked 0.2"]

    def test_a_field_of_a_form_that_does_not_count_is_not_shown(self):
        headers = (("content-type", "application/x-www-form-urlencoded"),)
        then, now = (b"model=m&metadata[t]=%s&nonce=%s&purpose=%s" % (one, one, one) for one in (b"a", b"b"))

        lines = explained(now, recorded(then, headers=headers), headers=headers, matcher=Matcher(("nonce",)))

        assert lines[4:-1] == ["    purpose:", "      [-a-] {+b+}"]

    def test_nor_are_credentials_and_the_spelling_of_the_address(self):
        then = asked(body("Hi", api_key="REDACTED"), url="https://api.openai.com/v1/a%7Eb?token=1&at=1")
        now = asked(body("Hi"), url="https://api.openai.com/v1/a~b?token=2&at=2")

        text = explain_miss(now, [fixture(request=then)], test="t", folder=FOLDER, command="")

        assert text.splitlines()[4:] == ["    query: recorded 'at=1', asked 'at=2'"]

    def test_where_all_that_counts_is_the_same_the_key_is_to_blame(self):
        lines = explained(body("Hi", user="a"), recorded(body("Hi", user="b")))

        assert "fixtures rekey" in lines[4]

    def test_unless_the_test_ignores_other_fields_than_it_did(self):
        lines = explained(
            body("Hi", nonce="a"), recorded(body("Hi", nonce="b")), matcher=Matcher(("nonce",)), ignore=("nonce",)
        )

        assert lines[4] == (
            "    the same request, recorded while the test said ignore=[], and it says ignore=['nonce']"
        )

    def test_a_difference_that_does_not_show_is_told_of(self):
        lines = explained(b'{"n": [1.0]}', recorded(b'{"n": [1]}'))

        assert lines[3].startswith("    the bodies differ in what does not show here")

    def test_a_body_that_counts_byte_by_byte_says_so(self):
        most = 2**64
        lines = explained(b'{"b": 1, "a": %d}' % most, recorded(b'{"a": %d, "b": 1}' % most))

        assert lines[2] == "  body     counts byte by byte: it has an integer beyond 64 bits, or is not exactly JSON"
        assert lines[4].startswith("    the bodies differ in what does not show here")

    @pytest.mark.parametrize("sent", [b'{"b":1}', b"plain", b"\x00\xff"])
    def test_any_other_says_nothing_of_it(self, sent):
        assert not any(line.startswith("  body") for line in explained(sent, headers=()))

    @pytest.mark.parametrize(
        ("now", "then"),
        [
            (body("Monday", "Hi"), body("Friday", "Hi")),
            (body("Hi", tools=[{"a": [1, 2]}]), body("Hi", tools=[{"a": [1, 3]}])),
            (b'[{"content":"Monday"}]', b'[{"content":"Friday"}]'),
        ],
    )
    def test_the_path_that_is_shown_is_one_that_can_be_ignored(self, now, then):
        (path,) = (found.place for found in differences(asked(now), asked(then), Matcher()))
        matcher = Matcher((path,))

        assert matcher.key_of(asked(now)) == matcher.key_of(asked(then))

    @pytest.mark.parametrize("why", ["repeated", "expired", "failing", "unread", "blocked"])
    def test_where_a_recording_is_there_none_is_called_the_nearest(self, why):
        assert not any(line.startswith("  nearest") for line in explained(body("Hi"), recorded(body("Hi")), why=why))


@pytest.mark.parametrize(
    ("then", "now", "places"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": True}, ["a"]),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, ["a.b[1]"]),
        ({"a": 1}, {"b": 1}, ["a", "b"]),
        ([1, 2, 3], [0, 1, 2], ["[0]", "[2]"]),
        ([[1, 2], 3], [0, [1, 4], 3], ["[0]", "[1][1]"]),
        ("x", "y", ["body"]),
    ],
)
def test_each_place_where_two_bodies_differ_is_named(then, now, places):
    assert [found.place for found in apart(then, now)] == places


@pytest.mark.parametrize(
    ("then", "now", "shown"),
    [
        ("a b c", "a x c", "a [-b-] {+x+} c"),
        ("a", "a b", "a {+b+}"),
        ("a  b", "a b", "'a  b' became 'a b' (white space differs)"),
        (" ".join(map(str, range(30))) + " old", " ".join(map(str, range(30))) + " new",
         "0 1 2 3 4 5 … 24 25 26 27 28 29 [-old-] {+new+}"),
        ("a b c d e", "a x c y e", "a [-b-] {+x+} c [-d-] {+y+} e"),
        ("a " + "b " * 500 + "c", "a x c", "a [-" + "b " * 150 + "…-] {+x+} … and more in the 301 words that follow"),
    ],
)  # fmt: skip
def test_words_are_compared_one_by_one(then, now, shown):
    assert word_diff(then, now) == shown


def test_all_differences_are_shown_where_they_are_asked_for():
    words = [str(number) for number in range(3000)]
    changed = [f"x{word}" if word.endswith("50") else word for word in words]

    assert word_diff(" ".join(words), " ".join(changed), whole=True).count("{+") == 30
