"""A fixture as the text of its file, and back; texts that are damaged, newer or edited into nonsense."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import pickle
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_llmcache.recorder.contents import LARGE, LARGE_BINARY
from django_llmcache.recorder.exchange import Chunk, Incoming
from django_llmcache.recorder.fixture import SCHEMA, Fixture, FixtureError
from django_llmcache.recorder.matcher import Matcher
from tests.recordings import load_all

from .made import EVENTS, JSON, NOON, answered, asked, back, fields_of, fixture

PATH = Path("fixtures/openai/chat_completions/0123456789ab/2026.json")

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
SERIALISERS = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "indent": st.sampled_from([None, 1, 2, 4, "\t"]),
        "separators": st.sampled_from([None, (",", ":"), (", ", ": "), (",", ": "), (", ", ":"), (" ,", " : ")]),
    }
)
AROUND = st.sampled_from(["", "\n", "\r\n", " \n\n", "\ufeff"])


@st.composite
def json_bodies(draw):
    text = json.dumps(draw(st.dictionaries(st.text(max_size=6), VALUES, max_size=4)), **draw(SERIALISERS))
    if draw(st.booleans()):
        text = text.replace("<", r"\u003c").replace("&", r"\u0026")
    return (draw(AROUND) + text + draw(AROUND)).encode("utf-8", "surrogatepass")


BODIES = (
    json_bodies() | st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace"))
)


def data_of(one: Fixture) -> dict:
    return json.loads(one.to_text()[0])


def edited(**changes) -> str:
    """Return the text of a fixture with fields set, by dotted path with __ for the dot; ... takes one out."""
    data = data_of(fixture())
    for name, value in changes.items():
        *parents, last = name.split("__")
        place = data
        for parent in parents:
            place = place[parent]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return json.dumps(data)


class TestBytes:
    @given(BODIES)
    @example(b"")
    @example(b"[]")
    @example(b'{"a":1.50}')
    @example(b'{"a":1,"a":2}')
    @example(b'{"p":1e-7}')
    @example(b'{"p":1e400}')
    @example(b'{"p":NaN}')
    @example(b'{"half":"\\ud83d"}')
    @example(b"[" * 900 + b"]" * 900)
    @example(b"[" * 99 + b"]" * 99)
    @example(b'{"n":' + b"1" * 5000 + b"}")
    @example(b"\x00\xff")
    def test_any_body_comes_back_byte_for_byte(self, body):
        assert back(fixture(response=answered(body))).response.body == body

    @given(st.lists(BODIES, min_size=2, max_size=5))
    def test_chunks_come_back_where_they_were_cut(self, pieces):
        one = fixture(response=answered(*pieces, headers=EVENTS))

        assert back(one).response.chunks == one.response.chunks

    @given(st.text(min_size=1, max_size=60), st.data())
    def test_a_chunk_that_splits_a_character_comes_back(self, text, data):
        raw = text.encode("utf-8", "replace")
        cut = data.draw(st.integers(0, len(raw)))
        one = fixture(response=answered(raw[:cut], raw[cut:], headers=EVENTS))

        assert back(one).response.chunks == one.response.chunks

    @given(st.binary(max_size=50).map(lambda data: data * 2000))
    def test_a_large_body_comes_back_too(self, body):
        assert back(fixture(response=answered(body))).response.body == body

    @given(st.binary(max_size=200))
    def test_a_request_that_is_no_json_comes_back_byte_for_byte(self, body):
        headers = (("content-type", "multipart/form-data; boundary=x"),)

        assert back(fixture(request=asked(body, headers=headers))).request.body == body

    @pytest.mark.parametrize(
        "body",
        [
            '{"a":1}'.encode("utf-16"),
            b'\xef\xbb\xbf{"a":1}',
            b'{"a":1e400}',
            b'{"a":"\\ud83d"}',
            b"[" * 150 + b"]" * 150,
        ],
    )
    def test_so_does_one_whose_json_not_every_parser_takes(self, body):
        assert back(fixture(request=asked(body))).request.body == body

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b'{"model": "m", "maximum": 340282366920938463463374607431768211455}', "application/json"),
            (b'{"b":{"most":18446744073709551616},"a":[]}', ""),
            (b'{"b":"\\ud83d","b":1,"a":2}', "application/json"),
            (b'{"b":NaN,"a":1}', "application/json"),
            (b"1.50", "application/json-seq"),
        ],
    )
    def test_so_does_one_whose_key_is_made_of_its_bytes(self, body, kind):
        assert back(fixture(request=asked(body, headers=(("content-type", kind),)))).request.body == body

    @given(json_bodies() | BODIES, st.sampled_from(["", "application/json", "application/x-ndjson", "text/plain"]))
    @example(b'{"b":1e16,"a":-0.0,"n":18446744073709551615,"m":-9223372036854775809}', "")
    @example(b'{"a":{"b":1,"b":2},"a":{"b":3}}', "application/json")
    def test_what_comes_back_has_the_key_that_was_sent(self, body, kind):
        sent = asked(body, headers=(("content-type", kind),))

        assert Matcher().key_of(back(fixture(request=sent)).request) == Matcher().key_of(sent)

    @given(VALUES)
    def test_a_request_in_json_comes_back_with_the_same_value(self, value):
        body = json.dumps(value).encode()

        assert json.loads(back(fixture(request=asked(body))).request.body) == value

    @pytest.mark.parametrize("recording", load_all(), ids=lambda recording: recording.name)
    def test_every_recorded_answer_comes_back_byte_for_byte(self, recording):
        response = Incoming(
            recording.status, "", tuple(recording.headers.items()), (Chunk(1.0, recording.response_body),)
        )

        assert back(fixture(response=response)).response == response


class TestForm:
    def test_everything_else_comes_back(self):
        one = fixture(
            b"data: 1\n\n", b"data: 2\n\n", sequence=3, sample=2, tests=("a.B.test_c", "d"), key_format=4,
            ignore=("metadata.trace", "nonce"),
            response=answered(b"x", b"y", status=429, encoding="br", truncated=True, unread=True, elapsed=31.25),
        )  # fmt: skip

        assert fields_of(back(one)) == fields_of(one)

    def test_the_text_is_indented_by_two_ends_in_a_line_end_and_keeps_letters_readable(self):
        text, _ = fixture('{"answer":"naïve ☕"}'.encode()).to_text()

        assert text.endswith("}\n")
        assert '\n  "endpoint": "chat_completions",' in text
        assert "naïve ☕" in text

    def test_the_same_fixture_is_the_same_text(self):
        assert fixture(tests=("b", "a")).to_text() == fixture(tests=("a", "b")).to_text()

    def test_the_fields_are_sorted(self):
        data = data_of(fixture())

        for part in (data, data["request"], data["response"]):
            assert list(part) == sorted(part)

    def test_the_request_is_sorted_at_every_depth_so_that_two_compare_well(self):
        body = data_of(fixture(request=asked(b'{"model":"m","messages":[{"role":"user","content":"x"}]}')))["request"][
            "body"
        ]

        assert json.dumps(body) == '{"messages": [{"content": "x", "role": "user"}], "model": "m"}'

    def test_so_is_json_that_does_not_say_so(self):
        body = data_of(fixture(request=asked(b'{"b":1,"a":[{"d":1,"c":2}]}', headers=())))["request"]["body"]

        assert json.dumps(body) == '{"a": [{"c": 2, "d": 1}], "b": 1}'

    @pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
    def test_what_says_to_be_something_else_is_kept_as_it_is(self, kind):
        one = fixture(request=asked(b'{"b":1,"a":2}', headers=(("content-type", kind),)))

        assert back(one).request.body == b'{"b":1,"a":2}'

    def test_the_answer_is_kept_parsed_in_the_providers_own_order(self):
        response = data_of(fixture(b'{\n  "z": "\\u003cb",\n  "a": 1e-7\n}\n'))["response"]

        assert json.dumps(response["body"]) == '{"z": "<b", "a": 1e-07}'
        assert response["body_layout"] == {"after": "\n", "escaped": "<", "exponents": True, "style": "indent 2"}

    @pytest.mark.parametrize(
        ("raw", "layout"),
        [
            (b'{"a":1,"b":2}', {"style": "compact"}),
            (b'{"a": 1, "b": 2}', {"style": "spaced"}),
            (b'{\n    "a": "\\u00e9"\n}', {"ascii": True, "style": "indent 4"}),
            (b'{\n\t"a": 1\n}', {"style": "indent tab"}),
            (b'\n \n{"url":"https:\\/\\/x"}', {"before": "\n \n", "escaped": "/", "style": "compact"}),
        ],
    )
    def test_how_an_answer_is_written_is_noted(self, raw, layout):
        assert data_of(fixture(raw))["response"]["body_layout"] == layout

    @pytest.mark.parametrize(
        "raw", [b'{"a":1.50}', b'{"a":1,"a":2}', b'{"a" : 1}', b'"text"', b'{"a":1', b"data: 1\n\n"]
    )
    def test_what_no_layout_reproduces_is_kept_as_text(self, raw):
        response = data_of(fixture(raw))["response"]

        assert response["text"] == raw.decode()
        assert "body" not in response

    def test_what_is_nested_too_deeply_to_read_is_kept_as_text(self):
        assert "body" in data_of(fixture(b"[" * 100 + b"]" * 100))["response"]
        assert "text" in data_of(fixture(b"[" * 101 + b"]" * 101))["response"]

    def test_binary_is_kept_as_base64(self):
        assert data_of(fixture(b"\xff\x00"))["response"]["base64"] == base64.b64encode(b"\xff\x00").decode()

    def test_a_chunk_is_text_where_it_can_be(self):
        chunks = data_of(fixture(response=answered("é".encode(), "é".encode()[:1])))["response"]["chunks"]

        assert chunks == [{"at": 10, "text": "é"}, {"at": 20, "base64": "ww=="}]

    def test_the_time_is_utc_in_iso_8601(self):
        assert data_of(fixture())["recorded_at"] == "2026-01-01T12:00:00.000000Z"

    @given(VALUES, st.sampled_from([("compact", None), ("indent 2", 2), ("spaced", None)]), st.booleans())
    @example([1e16, 1e15, 1e-4, 9.9e-5, -0.0, 2**64, -(2**63) - 1, "\x7f", [], {}], ("indent 2", 2), False)
    @example({"\x7f": 123456789.0, "é": "\u2028"}, ("compact", None), True)
    def test_an_answer_is_written_as_its_layout_says_whatever_was_put_into_it(self, value, style, ascii_only):
        name, indent = style
        layout = {"ascii": ascii_only, "style": name}
        separators = (",", ":") if name == "compact" else None
        wanted = json.dumps(value, ensure_ascii=ascii_only, indent=indent, separators=separators)
        one = Fixture.from_text(edited(response__body=value, response__body_layout=layout), file=None)

        assert one.response.body == wanted.encode()

    def test_an_edited_answer_is_replayed_as_edited(self):
        text = fixture(b'{\n  "answer": 42\n}\n').to_text()[0].replace('"answer": 42', '"answer": 43')

        assert Fixture.from_text(text, file=None).response.body == b'{\n  "answer": 43\n}\n'


class TestSideFile:
    @pytest.mark.parametrize(
        ("body", "aside"),
        [
            (b"a" * LARGE, False), (b"a" * (LARGE + 1), True), (b"\xff" * LARGE_BINARY, False),
            (b"\xff" * (LARGE_BINARY + 1), True),
        ],
    )  # fmt: skip
    def test_large_bodies_and_smaller_binary_ones_stand_beside_the_text(self, body, aside):
        text, side = fixture(body).to_text()

        assert side == (body if aside else None)
        assert ("side_file" in json.loads(text)) is aside

    def test_request_and_answer_share_it(self):
        one = fixture(b"\xfe" * 5000, request=asked(b"\xff" * 6000, headers=()))

        assert one.to_text()[1] == b"\xfe" * 5000 + b"\xff" * 6000
        assert fields_of(back(one)) == fields_of(one)

    def test_it_keeps_the_chunks_of_a_stream(self):
        one = fixture(response=answered(*[bytes([number]) * 1000 for number in range(250, 256)]))

        assert back(one).response.chunks == one.response.chunks

    def test_a_lower_limit_is_followed(self):
        assert fixture(b"a" * 101).to_text(largest=100)[1] == b"a" * 101

    def test_line_ends_that_git_changed_are_put_right(self):
        text, side = fixture(b"line\n" * 20_000).to_text()

        assert Fixture.from_text(text, file=None, side=side.replace(b"\n", b"\r\n")).response.body == side

    def test_one_that_is_missing_is_told(self):
        text, _ = fixture(b"\xff" * 5000).to_text()

        with pytest.raises(
            FixtureError, match=r"2026\.json: side_file: the file of the same name that ends in \.body is m"
        ):
            Fixture.from_text(text, file=str(PATH))

    @pytest.mark.parametrize("side", [b"", b"\xff" * 4999, b"\xfe" * 5000])
    def test_one_that_was_changed_is_told(self, side):
        text, _ = fixture(b"\xff" * 5000).to_text()

        with pytest.raises(FixtureError, match=r"side_file\.sha256: the file that ends in \.body was changed"):
            Fixture.from_text(text, file=str(PATH), side=side)

    @pytest.mark.parametrize("place", [None, [0], [0, -1], [0, True], [1, 5000], "0-1", {"start": 0}])
    def test_a_place_that_is_not_in_it_is_told(self, place):
        text, side = fixture(b"\xff" * 5000).to_text()
        data = json.loads(text)
        data["response"]["side"] = place

        with pytest.raises(FixtureError, match=r"response\.side: it "):
            Fixture.from_text(json.dumps(data), file=str(PATH), side=side)


class TestDamage:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"schema": ...}, "schema: it is missing"),
            ({"schema": "1"}, "schema: it is '1'; it must be a whole number of at least 1"),
            ({"schema": True}, "schema: it is true; it must be a whole number"),
            ({"schema": 0}, "schema: it is 0"),
            ({"key": ...}, "key: it is missing"),
            ({"key": "../../etc"}, "key: it must be 64 hex digits in lower case"),
            ({"key": "A" * 64}, "key: it must be 64 hex digits"),
            ({"key": 7}, "key: it is 7; it must be a text"),
            ({"provider": None}, "provider: it is null; it must be a text"),
            ({"endpoint": ["chat"]}, "endpoint: it is a list; it must be a text"),
            ({"take": {}}, "take: it is an object; it must be a text"),
            ({"sequence": -1}, "sequence: it is -1; it must be a whole number of at least 0"),
            ({"sequence": 1.0}, "sequence: it is 1.0; it must be a whole number"),
            ({"sample": "0"}, "sample: it is '0'"),
            ({"key_format": None}, "key_format: it is null"),
            ({"elapsed_ms": -3}, "elapsed_ms: it is -3; it must be a number that is not negative"),
            ({"elapsed_ms": "fast"}, "elapsed_ms: it is 'fast'"),
            ({"elapsed_ms": 10**400}, "elapsed_ms: it is 1000"),
            ({"response__at": 10**309}, "response.at: it is 1000"),
            ({"tests": "a"}, "tests: it is 'a'; it must be a list of texts"),
            ({"ignore": "a"}, "ignore: it is 'a'; it must be a list of texts"),
            ({"tests": [1]}, "tests: it is a list; it must be a list of texts"),
            ({"recorded_at": "yesterday"}, "recorded_at: it is 'yesterday'; it must be a time such as"),
            ({"recorded_at": "2026-01-01T12:00:00"}, "recorded_at: it is '2026-01-01T12:00:00'; it must be a time"),
            ({"recorded_at": 3}, "recorded_at: it is 3; it must be a text"),
            ({"recorded_by": ...}, "recorded_by: it is missing"),
            ({"sequnce": 1}, "sequnce: there is no such field; did you mean 'sequence'?"),
            ({"xyz": 1}, "xyz: there is no such field"),
            ({"request": []}, "request: it is a list; it must be an object"),
            ({"request": ...}, "request: it is missing"),
            ({"request__method": "post"}, "request.method: it is 'post'; it must be a method such as 'POST'"),
            ({"request__url": "/v1/chat"}, "request.url: it is '/v1/chat'; it must be an absolute address"),
            ({"request__url": "https://h:99999/"}, "request.url: it is 'https://h:99999/'"),
            ({"request__headers": {"a": "b"}}, "request.headers: it is an object; it must be a list of pairs"),
            ({"request__headers": [["a"]]}, "request.headers: it is a list; it must be a list of pairs"),
            ({"request__headers": [["a", 1]]}, "request.headers: it is a list; it must be a list of pairs"),
            ({"request__bdoy": 1}, "request.bdoy: there is no such field; did you mean 'body'?"),
            ({"request__text": "x"}, "request.text: it stands beside body; only one of them can be the body"),
            ({"response__status": "200"}, "response.status: it is '200'; it must be a whole number from 200 to 999"),
            ({"response__status": 99}, "response.status: it is 99"),
            ({"response__status": 1000}, "response.status: it is 1000"),
            ({"response__headers": ...}, "response.headers: it is missing"),
            ({"response__truncated": "yes"}, "response.truncated: it is 'yes'; it must be true or false"),
            ({"response__unread": 1}, "response.unread: it is 1; it must be true or false"),
            ({"response__reason": None}, "response.reason: it is null"),
            ({"response__reason": "O\r\nK"}, r"response.reason: it is 'O\r\nK'; it must be one line: take"),
            ({"response__reason": "O\ud83d"}, "response.reason: it has half of a surrogate pair: take it out"),
            ({"response__stauts": 1}, "response.stauts: there is no such field; did you mean 'status'?"),
            ({"response__text": "x"}, "response.text: it stands beside body"),
            ({"response__chunks": []}, "response.body: it stands beside chunks"),
            ({"response__at": None}, "response.at: it is null"),
            ({"response__body": ...}, "response.body_layout: it describes a body, and there is none"),
            ({"response__body_layout": ...}, "response.body_layout: it is missing"),
            ({"response__body_layout": "compact"}, "response.body_layout: it is 'compact'; it must be an object"),
            ({"response__body_layout__style": "pretty"}, "response.body_layout: it is none of the known layouts"),
            ({"response__body_layout__style": "indent 99"}, "response.body_layout: it is none of the known layouts"),
            ({"response__body_layout__before": "x"}, "response.body_layout: it is none of the known layouts"),
            ({"response__body_layout__escaped": "ab"}, "response.body_layout: it is none of the known layouts"),
            ({"response__body_layout__ascii": "no"}, "response.body_layout.ascii: it is 'no'"),
            ({"response__body_layout__indent": 2}, "response.body_layout.indent: there is no such field"),
            ({"response__body": {"a": "\ud83d"}}, "response.body: it can't be written as JSON"),
            ({"side_file": {"bytes": 1}}, "side_file.sha256: it is missing"),
            ({"side_file": {"bytes": 1, "sha256": "x", "name": "/x"}}, "side_file.name: there is no such field"),
        ],
    )  # fmt: skip
    def test_an_edit_that_makes_no_sense_is_told_with_file_and_field(self, changes, message):
        with pytest.raises(FixtureError, match=re.escape(f"{PATH}: {message}")) as caught:
            Fixture.from_text(edited(**changes), file=str(PATH))

        assert caught.value.path == PATH
        assert caught.value.field == message.partition(": ")[0]

    @pytest.mark.parametrize(
        ("header", "message"),
        [
            (["content-encoding", "gzip"], "'content-encoding' speaks of the bytes on the wire"),
            (["Content-Length", "3"], "'Content-Length' speaks of the bytes on the wire"),
            (["transfer-encoding", "chunked"], "'transfer-encoding' speaks of the bytes on the wire"),
            (["x-a: b\r\nEvil", "1"], r"its name is 'x-a: b\r\nEvil'; it must be one line: take the line end out"),
            (["x-a", "b\r\nEvil: 1"], "the value of 'x-a' has a line end; it must be one line: take"),
            (["x-a", "b\n"], "the value of 'x-a' has a line end"),
            (["x-a", "b\rc"], "the value of 'x-a' has a line end"),
            (["x-a", "b\r\n\r\n<html>"], "the value of 'x-a' has a line end"),
            (["x-a", "\ud83d"], "it has half of a surrogate pair: take it out"),
            (["", "1"], "its name is ''; it must be a header's name such as 'content-type'"),
            (["bad name", "1"], "its name is 'bad name'; it must be a header's name such as 'content-type'"),
            (["x-a:b", "1"], "its name is 'x-a:b'; it must be a header's name such as 'content-type'"),
            (["x-ä", "1"], "its name is 'x-ä'; it must be a header's name such as 'content-type'"),
            (["x-a", "\0"], r"the value of 'x-a' has the character '\x00', which no header can have: take it out"),
        ],
    )
    def test_so_is_a_header_that_no_replay_can_give(self, header, message):
        text = edited(response__headers=[["content-type", "application/json"], header])

        with pytest.raises(FixtureError, match=re.escape(f"{PATH}: response.headers[1]: {message}")) as caught:
            Fixture.from_text(text, file=str(PATH))

        assert caught.value.field == "response.headers[1]"

    @pytest.mark.parametrize("status", [204, 304])
    def test_so_is_a_body_where_the_status_says_that_there_is_none(self, status):
        with pytest.raises(
            FixtureError, match=f"response.status: it is {status}, with which no body can come"
        ) as caught:
            Fixture.from_text(edited(response__status=status), file=str(PATH))

        assert caught.value.field == "response.status"

    @pytest.mark.parametrize("status", [204, 304])
    def test_a_status_without_a_body_comes_back_as_it_is(self, status):
        assert back(fixture(response=answered(status=status))).response.status == status

    @pytest.mark.parametrize(
        "header",
        [
            ("x-a", "a long one,\r\n\tthat its server has folded"), ("x-a", "naïve ☕"), ("x-a", ""),
            ("x-accept-encoding", "gzip"), ("vary", "content-length"), ("connection", "keep-alive"), ("x-a", "\t1"),
            ("x_a!#$%&'*+.^`|~9", "1"),
        ],
    )  # fmt: skip
    def test_any_other_header_comes_back_as_it_is(self, header):
        assert back(fixture(response=answered(headers=(header,)))).response.headers == (header,)

    @pytest.mark.parametrize(
        ("chunk", "message"),
        [
            ("text", "response.chunks[0]: it is 'text'; it must be an object"),
            ({"text": "x"}, "response.chunks[0].at: it is missing"),
            ({"at": 1}, "response.chunks[0].text: it is missing, and so are base64 and side"),
            ({"at": 1, "base64": "*"}, "response.chunks[0].base64: it is not base64"),
            ({"at": 1, "base64": "é"}, "response.chunks[0].base64: it is not base64"),
            ({"at": 1, "text": 5}, "response.chunks[0].text: it is 5; it must be a text"),
            ({"at": 1, "text": "\ud83d"}, "response.chunks[0].text: it has half of a surrogate pair"),
            ({"at": 1, "text": "", "side": [0, 1]}, "response.chunks[0].side: it stands beside text"),
            ({"at": 1, "side": [0, 1]}, "response.chunks[0].side: it asks for more than the 0 bytes of the side file"),
            ({"at": 1, "txt": "x"}, "response.chunks[0].txt: there is no such field; did you mean 'text'?"),
        ],
    )
    def test_so_is_one_of_a_chunk(self, chunk, message):
        data = data_of(fixture(b"a", b"b"))
        data["response"]["chunks"][0] = chunk

        with pytest.raises(FixtureError, match=re.escape(f"{PATH}: {message}")):
            Fixture.from_text(json.dumps(data), file=str(PATH))

    def test_chunks_that_are_no_list_are_told(self):
        data = data_of(fixture(b"a", b"b"))
        data["response"]["chunks"] = {"0": "a"}

        with pytest.raises(FixtureError, match=r"response\.chunks: it is an object; it must be a list"):
            Fixture.from_text(json.dumps(data), file=str(PATH))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "it is not JSON (Expecting value, line 1, column 1)"),
            ("[]", "it is a list; it must be an object"),
            ("null", "it is null; it must be an object"),
            ('{"schema": 1,', "it is not JSON (Expecting property name enclosed in double quotes, line 1, column 14)"),
            ('{"schema": NaN}', "it is not JSON (NaN is not JSON.)"),
            ("[" * 100_000, "it is not JSON ("),
            ('{\n<<<<<<< ours\n"schema": 1}', "it has the marks of a merge conflict; keep one side, or both as files"),
        ],
    )
    def test_a_text_that_is_no_fixture_is_told_with_its_file(self, text, message):
        with pytest.raises(FixtureError, match=re.escape(f"{PATH}: {message}")):
            Fixture.from_text(text, file=str(PATH))

    @given(st.data())
    def test_a_text_that_was_cut_short_is_an_error_of_ours(self, data):
        text = fixture().to_text()[0].rstrip()
        cut = data.draw(st.integers(0, len(text) - 1))

        with pytest.raises(FixtureError):
            Fixture.from_text(text[:cut], file=str(PATH))

    @given(st.data())
    def test_whatever_is_put_into_a_field_it_is_read_or_an_error_of_ours(self, data):
        fields = data_of(fixture())
        place = data.draw(st.sampled_from([fields, fields["request"], fields["response"]]))
        place[data.draw(st.sampled_from(sorted(place)))] = data.draw(VALUES)
        with suppress(FixtureError):
            Fixture.from_text(json.dumps(fields), file=str(PATH))

    def test_a_newer_schema_says_which_version_reads_it(self):
        text = edited(schema=SCHEMA + 1, recorded_by="9.1.0", anything="new")

        with pytest.raises(
            FixtureError, match=r"schema: it is 2 and this version reads 1; django-llmcache 9\.1\.0, which r"
        ):
            Fixture.from_text(text, file=str(PATH))

    def test_a_newer_schema_of_an_unknown_version_says_so_too(self):
        with pytest.raises(
            FixtureError, match="schema: it is 7 and this version reads 1; a newer one reads it: update"
        ):
            Fixture.from_text('{"schema": 7}', file=None)

    @pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
    def test_the_error_goes_from_a_worker_to_its_parent(self, copied):
        error = copied(FixtureError(PATH, "key", "it is missing"))

        assert (str(error), error.path, error.field) == (f"{PATH}: key: it is missing", PATH, "key")


class TestModel:
    @pytest.mark.parametrize(
        ("url", "body", "model"),
        [
            ("https://api.openai.com/v1/chat/completions", b'{"model":"gpt-4o"}', "gpt-4o"),
            ("https://g.com/v1beta/models/gemini-1.5-flash:generateContent", b"{}", "gemini-1.5-flash"),
            ("https://x.azure.com/openai/deployments/mine/chat/completions", b'{"messages":[]}', "mine"),
            ("https://b.com/model/anthropic.claude-v2%3A1/converse", b"{}", "anthropic.claude-v2:1"),
            ("https://b.com/model/anthropic.claude-v2:1/converse", b"", "anthropic.claude-v2:1"),
            ("https://api.openai.com/v1/files", b"\xff", ""),
            ("https://api.openai.com/v1/chat/completions", b'{"model":3}', ""),
            ("https://api.openai.com/v1/chat/completions", b"[]", ""),
        ],
    )
    def test_it_is_the_bodys_or_else_the_addresss(self, url, body, model):
        assert fixture(request=asked(body, url=url)).model == model

    def test_a_fixture_tells_what_it_is(self):
        key = hashlib.sha256(b"a question").hexdigest()[:12]

        assert repr(fixture()) == f"<Fixture openai chat_completions {key} 200>"

    @pytest.mark.parametrize("status", [200, 599, 600, 999])
    def test_any_status_of_an_answer_comes_back(self, status):
        assert back(fixture(response=answered(b"{}", status=status))).response.status == status

    def test_a_request_without_a_body_stays_without(self):
        assert back(fixture(request=asked(b"", headers=JSON))).request.body == b""

    def test_an_answer_without_chunks_stays_without(self):
        assert back(fixture(response=answered(status=204))).response.chunks == ()

    def test_the_time_comes_back(self):
        assert back(fixture(recorded_at=NOON + 0.123456)).recorded_at == pytest.approx(NOON + 0.123456, abs=1e-6)
