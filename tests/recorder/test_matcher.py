"""What makes a fixture's key, and what does not."""

from __future__ import annotations

import json
import re
import string
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from django_llmcache.recorder import matcher
from django_llmcache.recorder.exchange import Outgoing
from django_llmcache.recorder.matcher import UNKEYED, Matcher, endpoint_of
from django_llmcache.recorder.names import folder_name
from tests.recordings import load_all
from tests.test_keys import BODIES, TEXTS, VALUES, places, says, shuffled, with_value

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
URL = "https://api.openai.com/v1/chat/completions"
JSON = (("content-type", "application/json"),)


def request_of(body=None, *, url=URL, method="POST", headers=JSON):
    return Outgoing(method, url, tuple(headers), b"" if body is None else json.dumps(body).encode())


def key_of(body=None, *, ignore=(), **address):
    return Matcher(ignore=tuple(ignore)).key_of(request_of(body, **address))


def test_a_key_is_64_hex_characters():
    assert re.fullmatch("[0-9a-f]{64}", key_of(CHAT))


def test_the_format_of_keys_is_what_it_was():
    """Every fixture has to be rekeyed when this changes: raise FORMAT with it."""
    assert matcher.FORMAT == 1
    assert key_of(CHAT) == "0f0bca5253d0014b25650179758862057230cae7d64177c67de18a1df26f71c0"


class TestBody:
    @pytest.mark.parametrize("number", [2**64, 2**64 + 1, -(2**63) - 1, -(2**63) - 2, 10**30, 10**30 + 1])
    def test_whole_numbers_of_any_length_are_told_apart(self, number):
        others = [number - 1, number + 1, float(number)]

        assert key_of({"seed": number}) not in {key_of({"seed": other}) for other in others}
        assert key_of({"seed": number}) == key_of({"seed": number})

    @given(BODIES, VALUES, st.data())
    def test_changing_any_field_at_any_depth_changes_the_key(self, body, value, data):
        body = {name: inner for name, inner in body.items() if name not in UNKEYED}
        assume(body)
        changed = with_value(body, data.draw(st.sampled_from(places(body))), value)
        assume(says(changed) != says(body))

        assert key_of(changed) != key_of(body)

    @given(BODIES, st.data())
    def test_the_order_of_keys_never_counts(self, body, data):
        assert key_of(shuffled(body, data.draw)) == key_of(body)

    @pytest.mark.parametrize(("one", "other"), [(0, 0.0), (0.0, -0.0), (1, 1.0)])
    def test_one_number_is_one_number_at_the_top_level(self, one, other):
        assert key_of(CHAT | {"temperature": one}) == key_of(CHAT | {"temperature": other})

    @pytest.mark.parametrize("name", sorted(UNKEYED))
    def test_a_name_on_the_deny_list_does_not_count_at_the_top_level(self, name):
        assert key_of(CHAT | {name: "x"}) == key_of(CHAT)
        assert key_of(CHAT | {"extra": {name: "x"}}) != key_of(CHAT | {"extra": {}})

    @pytest.mark.parametrize("name", ["stream", "seed", "store", "safety_identifier", "stream_options", "timeout"])
    def test_any_other_name_counts(self, name):
        assert key_of(CHAT | {name: True}) != key_of(CHAT)

    @given(TEXTS, TEXTS)
    def test_a_path_that_is_ignored_does_not_count(self, one, other):
        def body(name):
            return {"messages": [{"id": name, "content": "Hi"}, {"content": "Ho"}], "options": {"trace": name, "n": 1}}

        paths = ("messages.*.id", "options.trace")

        assert key_of(body(one), ignore=paths) == key_of(body(other), ignore=paths)
        assert (key_of(body(one), ignore=paths[:1]) == key_of(body(other), ignore=paths[:1])) == (one == other)

    def test_what_is_beside_an_ignored_path_counts(self):
        one, other = ({"messages": [{"id": "a", "content": text}]} for text in ("Hi", "Ho"))

        assert key_of(one, ignore=["messages.*.id"]) != key_of(other, ignore=["messages.*.id"])

    def test_the_boundary_of_a_multipart_body_does_not_count(self):
        def key(boundary, content):
            body = f'--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\n{content}\r\n--{boundary}--\r\n'
            headers = (("content-type", f"multipart/form-data; boundary={boundary}"),)
            return Matcher().key_of(Outgoing("POST", URL, headers, body.encode()))

        assert key("7b51ebdb9f97", "x") == key("0123456789abcdef", "x")
        assert key("7b51ebdb9f97", "x") != key("7b51ebdb9f97", "y")

    def test_no_body_is_no_empty_object(self):
        assert key_of() != key_of({})


class TestAddress:
    @pytest.mark.parametrize(
        "url",
        [
            "http://api.openai.com/v1/chat/completions",
            "https://eu.api.openai.com/v1/chat/completions",
            "https://api.openai.com:8443/v1/chat/completions",
            "https://api.openai.com/v1/responses",
            "https://api.openai.com/v1/chat/completions/",
            "https://api.openai.com/v1/Chat/completions",
            "https://api.openai.com/v1/chat%2Fcompletions",
            "https://api.openai.com/v1/chat/completions?beta=true",
        ],
    )
    def test_every_part_of_the_address_counts(self, url):
        assert key_of(CHAT, url=url) != key_of(CHAT)

    @pytest.mark.parametrize(
        "url",
        [
            "https://API.OpenAI.com/v1/chat/completions",
            "https://api.openai.com:443/v1/chat/completions",
            "https://api.openai.com/v1/chat/completions#part",
            "https://api.openai.com/v1/%63hat/completions",
            "https://me:word@api.openai.com/v1/chat/completions",
        ],
    )
    def test_the_spelling_of_the_address_does_not_count(self, url):
        assert key_of(CHAT, url=url) == key_of(CHAT)

    def test_a_model_in_the_path_is_one_model_however_it_is_encoded(self):
        def key(path):
            return key_of(CHAT, url=f"https://bedrock-runtime.us-east-1.amazonaws.com/model/{path}/converse")

        assert key("claude-v2:1") == key("claude-v2%3A1")
        assert key("é") == key("%C3%A9")
        assert key("%FF") != key("%FE")

    def test_no_path_is_the_root(self):
        assert key_of(url="https://api.openai.com") == key_of(url="https://api.openai.com/")

    def test_the_method_counts_whatever_its_case(self):
        assert key_of(CHAT, method="PUT") != key_of(CHAT)
        assert key_of(CHAT, method="post") == key_of(CHAT)

    @given(st.dictionaries(TEXTS.map(lambda name: f"x{name}"), TEXTS, max_size=4), st.data())
    def test_the_order_of_the_query_does_not_count(self, query, data):
        other = data.draw(st.permutations(list(query.items())))

        def key(pairs):
            return key_of(CHAT, url=f"{URL}?" + "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs))

        assert key(other) == key(query.items())

    @pytest.mark.parametrize(
        ("one", "other"), [("a=1", "a=2"), ("a=1", "b=1"), ("a=1&a=2", "a=2&a=1"), ("a=%ff", "a=%fe"), ("a=", "")]
    )
    def test_the_query_counts(self, one, other):
        assert key_of(url=f"{URL}?{one}") != key_of(url=f"{URL}?{other}")

    @pytest.mark.parametrize(
        "name",
        ["key", "KEY", "api_key", "api-key", "apikey", "access_token", "signature", "sig", "token", "client_secret",
         "X-Amz-Signature", "X-Amz-Date", "X-Amz-Credential", "x-amz-algorithm", "X-Amz-Expires", "X-Amz-SignedHeaders",
         "X-Amz-Security-Token", "X-Goog-Signature", "X-Goog-Algorithm", "X-Goog-Credential", "X-Goog-Date",
         "x-goog-expires", "X-Goog-SignedHeaders", "AWSAccessKeyId", "GoogleAccessId", "upload_id"],
    )  # fmt: skip
    @given(st.text(string.ascii_letters, max_size=8))
    def test_a_credential_in_the_query_does_not_count(self, name, value):
        assert key_of(url=f"{URL}?alt=sse&{name}={value}") == key_of(url=f"{URL}?alt=sse")

    @pytest.mark.parametrize(
        "name",
        ["api-version", "alt", "pageToken", "max_tokens", "key_id", "keyword", "x-google-lang", "x-amz-acl",
         "x-goog-project", "x-amz-meta-date"],
    )  # fmt: skip
    def test_a_parameter_that_only_sounds_like_one_counts(self, name):
        assert key_of(url=f"{URL}?{name}=a") != key_of(url=f"{URL}?{name}=b")


class TestHeaders:
    @pytest.mark.parametrize(
        "name",
        ["anthropic-beta", "openai-beta", "prefer", "range", "x-amzn-bedrock-guardrailidentifier",
         "x-amzn-bedrock-guardrailversion", "x-amzn-bedrock-performanceconfig-latency", "x-amzn-bedrock-service-tier",
         "x-amzn-bedrock-trace", "x-goog-upload-command", "x-goog-upload-offset"],
    )  # fmt: skip
    @pytest.mark.parametrize("value", ["a", "b", ""])
    def test_a_header_that_changes_the_answer_counts(self, name, value):
        assert key_of(CHAT, headers=[*JSON, (name, "other")]) != key_of(CHAT, headers=[*JSON, (name, value)])

    @pytest.mark.parametrize(
        "name",
        ["authorization", "x-api-key", "api-key", "cookie", "user-agent", "x-stainless-retry-count", "traceparent",
         "idempotency-key", "x-request-id", "openai-organization", "anthropic-version", "accept-encoding", "host"],
    )  # fmt: skip
    def test_any_other_header_does_not(self, name):
        assert key_of(CHAT, headers=[*JSON, (name, "x")]) == key_of(CHAT)

    def test_one_that_the_settings_name_counts_as_it_is(self):
        with_header = [request_of(CHAT, headers=[*JSON, ("x-route", value)]) for value in ("a, b", "b, a")]
        counting = Matcher(headers=frozenset({"x-route"}))

        assert len({*map(counting.key_of, with_header), counting.key_of(request_of(CHAT))}) == 3
        assert len({*map(Matcher().key_of, with_header)}) == 1

    @pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
    def test_what_else_is_accepted_does_not_count(self, accept):
        assert key_of(CHAT, headers=[*JSON, ("accept", accept)]) == key_of(CHAT)

    def test_that_an_event_stream_is_accepted_counts(self):
        one, other = (
            [*JSON, ("accept", text)] for text in ("text/event-stream", "application/json, Text/Event-Stream")
        )

        assert key_of(CHAT, headers=one) == key_of(CHAT, headers=other) != key_of(CHAT)

    def test_neither_case_nor_order_nor_white_space_counts(self):
        one = [*JSON, ("openai-beta", "a"), ("anthropic-beta", "x,y")]
        other = [("Anthropic-Beta", "y , x"), ("OpenAI-Beta", "a"), *JSON]
        apart = [*JSON, ("openai-beta", "a"), ("anthropic-beta", "y"), ("anthropic-beta", "x")]

        assert key_of(CHAT, headers=one) == key_of(CHAT, headers=other) == key_of(CHAT, headers=apart)


class TestEndpoint:
    @pytest.mark.parametrize(
        ("url", "name"),
        [
            (URL, "chat_completions"),
            ("https://api.anthropic.com/v1/messages?beta=true", "messages"),
            ("https://api.groq.com/openai/v1/chat/completions", "chat_completions"),
            ("https://openrouter.ai/api/v1/chat/completions", "chat_completions"),
            ("http://localhost:11434/api/chat", "api_chat"),
            (
                "https://generativelanguage.googleapis.com/v1beta/models/gemini-1.5-flash:generateContent?key=k",
                "models_gemini-1.5-flash_generateContent",
            ),
            ("https://b.amazonaws.com/model/us.claude-v2%3A1/converse", "model_us.claude-v2_1_converse"),
            ("https://api.cohere.com/v2/chat", "chat"),
            ("https://api.openai.com/v1", "v1"),
            ("https://api.openai.com", "root"),
            ("https://api.openai.com/v1/../../etc/%2e%2e/passwd", "etc_passwd"),
        ],
    )
    def test_it_is_the_path_after_the_version(self, url, name):
        assert endpoint_of(request_of(url=url)) == name

    @given(st.text())
    def test_it_is_always_the_name_of_a_folder(self, path):
        name = endpoint_of(request_of(url=f"https://a/v1/{quote(path)}"))

        assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,60}", name)
        assert name == folder_name(name)

    def test_a_long_one_is_cut(self):
        one, other = (endpoint_of(request_of(url=f"https://a/v1/{'x' * 200}{end}")) for end in "ab")

        assert len(one) <= 60
        assert one != other

    def test_a_name_that_windows_keeps_for_itself_is_changed(self):
        assert endpoint_of(request_of(url="https://a/v1/aux")) != "aux"


def test_every_recording_has_a_key_of_its_own_unless_the_request_is_the_same():
    keys = {}
    for recording in load_all():
        body = recording.request_body
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        request = Outgoing(recording.method, recording.url, JSON, data)
        keys.setdefault(Matcher().key_of(request), set()).add((recording.method, recording.url, str(body)))

    assert all(len(requests) == 1 for requests in keys.values())
    assert len(keys) > 30
