"""Cassettes as they are found in the wild: read liberally, and never trusted."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import os
import pickle
import re
import sys
import textwrap
import zlib
from pathlib import Path

import pytest
import yaml

from django_llmcache.recorder import interactions, vcr
from django_llmcache.recorder.vcr import CassetteError, read_cassette

from .made import back, fixture

DATA = Path(__file__).parents[1] / "data"
DAMAGED = {"body": gzip.compress(b"x" * 50)[:-8] + bytes(8), "headers": {"content-encoding": "gzip"}}
ANSWER = b'{"answer":42,"text":"na\xc3\xafve"}'
URL = "https://api.openai.com/v1/chat/completions"


@pytest.fixture
def cassette(tmp_path):
    """Return a function that writes a cassette and reads it."""

    def read(content, *, name="cassette.yaml"):
        path = tmp_path / name
        if isinstance(content, dict | list):
            content = json.dumps(content)
        path.write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())
        return read_cassette(path)

    return read


@pytest.fixture
def with_loader(monkeypatch):
    """Return a function that lets PyYAML have been built with libyaml, or without."""

    def choose(name):
        if name == "SafeLoader":
            monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
        vcr._loader.cache_clear()

    yield choose
    vcr._loader.cache_clear()


def interaction(*, request=None, response=None):
    return {
        "request": {"method": "POST", "uri": URL, "headers": {}, "body": "{}"} | (request or {}),
        "response": {"status": {"code": 200}, "headers": {}, "body": {"string": "{}"}} | (response or {}),
    }


def one(cassette, *, request=None, response=None):
    document = {"version": 1, "interactions": [interaction(request=request, response=response)]}
    ((sent, came),) = cassette(yaml.safe_dump(document).encode())
    return sent, came


class TestForms:
    VCR_PY = """
        interactions:
        - request:
            body: '{"model": "m"}'
            headers:
              Accept: ['*/*']
              Content-Type:
              - application/json
            method: POST
            uri: https://api.openai.com/v1/chat/completions
          response:
            body: {string: '{"answer": 42}'}
            headers:
              Content-Type: [application/json]
              Set-Cookie: [a=1, b=2]
            status: {code: 200, message: OK}
        version: 1
        """
    RUBY = """
        ---
        http_interactions:
        - request:
            method: post
            uri: https://api.openai.com/v1/chat/completions
            body:
              encoding: UTF-8
              string: '{"model": "m"}'
            headers:
              Accept: ['*/*']
              Content-Type: [application/json]
          response:
            status: {code: 200, message: OK}
            headers:
              Content-Type: [application/json]
              Set-Cookie: [a=1, b=2]
            body:
              encoding: ASCII-8BIT
              string: !binary |-
                eyJhbnN3ZXIiOiA0Mn0=
            http_version: '1.1'
          recorded_at: Tue, 01 Nov 2011 04:58:44 GMT
        recorded_with: VCR 6.1.0
        """
    OLD_HTTPX = """
        interactions:
        - request:
            body: '{"model": "m"}'
            headers: {accept: '*/*', content-type: application/json}
            method: POST
            uri: https://api.openai.com/v1/chat/completions
          response:
            content: '{"answer": 42}'
            headers:
            - [Content-Type, application/json]
            - [Set-Cookie, a=1]
            - [Set-Cookie, b=2]
            http_version: HTTP/1.1
            status_code: 200
            reason: OK
        """
    LISTS = """
        requests:
        - {body: '{"model": "m"}', headers: {Accept: '*/*', Content-Type: application/json}, method: POST,
           uri: 'https://api.openai.com/v1/chat/completions'}
        responses:
        - body: {string: !!binary eyJhbnN3ZXIiOiA0Mn0=}
          headers: {Content-Type: application/json, Set-Cookie: [a=1, b=2]}
          status: {code: 200, message: OK}
        """
    PARSED = """
        interactions:
        - request:
            headers: {accept: ['*/*'], content-type: [application/json]}
            method: POST
            parsed_body: {model: m}
            uri: https://api.openai.com/v1/chat/completions
          response:
            headers: {content-type: [application/json], set-cookie: [a=1, b=2]}
            parsed_body: {answer: 42}
            status: {code: 200, message: OK}
        version: 1
        """
    GO = """
        version: 2
        interactions:
        - id: 0
          request:
            proto: HTTP/1.1
            body: '{"model": "m"}'
            form: {}
            headers: {Accept: ['*/*'], Content-Type: [application/json]}
            url: https://api.openai.com/v1/chat/completions
            method: POST
          response:
            body: '{"answer": 42}'
            headers: {Content-Type: [application/json], Set-Cookie: [a=1, b=2]}
            status: 200 OK
            code: 200
            duration: 12ms
        """
    BETAMAX = json.dumps(
        {
            "http_interactions": [
                {
                    "request": {
                        "body": {"base64_string": base64.b64encode(b'{"model": "m"}').decode(), "encoding": "utf-8"},
                        "headers": {"Accept": ["*/*"], "Content-Type": ["application/json"]},
                        "method": "POST",
                        "uri": URL,
                    },
                    "response": {
                        "body": {"encoding": "utf-8", "string": '{"answer": 42}'},
                        "headers": {"Content-Type": ["application/json"], "Set-Cookie": ["a=1", "b=2"]},
                        "status": {"code": 200, "message": "OK"},
                        "url": URL,
                    },
                    "recorded_at": "2015-06-21T19:22:54",
                }
            ],
            "recorded_with": "betamax/0.4.2",
        }
    )

    @pytest.mark.parametrize("form", ["VCR_PY", "RUBY", "OLD_HTTPX", "LISTS", "PARSED", "GO", "BETAMAX"])
    def test_every_form_says_the_same(self, cassette, form):
        ((sent, came),) = cassette(getattr(self, form))

        assert (sent.method, sent.url, sent.body) == ("POST", URL, b'{"model": "m"}')
        assert sent.headers == (("accept", "*/*"), ("content-type", "application/json"))
        assert (came.status, came.reason, came.body) == (200, "OK", b'{"answer": 42}')
        names = [(name.lower(), value) for name, value in came.headers if name != "date"]
        assert names == [("content-type", "application/json"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]

    def test_a_bare_list_is_read(self, cassette):
        assert len(cassette([interaction(), interaction()], name="old.json")) == 2

    def test_what_is_compressed_is_read_whatever_its_name(self, cassette):
        assert len(cassette(gzip.compress(textwrap.dedent(self.VCR_PY).encode()), name="cassette.yaml")) == 1

    def test_json_is_read_whatever_its_name_and_mark(self, cassette):
        assert len(cassette(b"\xef\xbb\xbf \n" + self.BETAMAX.encode(), name="cassette.yaml")) == 1

    def test_yaml_in_brackets_is_no_json_and_is_read(self, cassette):
        assert cassette("{interactions: [], version: 1}") == []

    @pytest.mark.parametrize("nothing", ["interactions: []", "interactions:", '{"http_interactions": []}'])
    def test_one_without_interactions_has_none(self, cassette, nothing):
        assert cassette(nothing) == []

    def test_a_request_that_was_repeated_keeps_its_answers_in_order(self, cassette):
        answers = [interaction(response={"body": {"string": str(number)}}) for number in range(3)]

        assert [came.body for _, came in cassette({"interactions": answers})] == [b"0", b"1", b"2"]

    def test_header_lists_that_a_dumper_shared_by_alias_are_read(self, cassette):
        shared = ["application/json"]
        text = yaml.safe_dump({"interactions": [interaction(response={"headers": {"A": shared, "B": shared}})]})
        assert "*id001" in text

        ((_, came),) = cassette(text)

        assert came.headers == (("A", "application/json"), ("B", "application/json"))

    def test_times_stay_texts(self, cassette):
        ((sent, _),) = cassette("""
            interactions:
            - request: {uri: 'https://x.com/', method: GET, parsed_body: {day: 2024-01-31, when: 2024-01-31 12:00:00}}
              response: {status: {code: 200}, headers: {date: 2024-01-31}}
            """)

        assert json.loads(sent.body) == {"day": "2024-01-31", "when": "2024-01-31 12:00:00"}

    def test_a_method_that_nobody_noted_is_get(self, cassette):
        assert one(cassette, request={"method": None})[0].method == "GET"


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "raw"),
        [
            (None, b""), ("", b""), ({}, b""), ("é", b"\xc3\xa9"), (b"\xff\x00", b"\xff\x00"),
            ({"string": "é"}, b"\xc3\xa9"), ({"string": b"\xff"}, b"\xff"), ({"string": None}, b""),
            ({"string": "é", "encoding": "ISO-8859-1"}, b"\xe9"), ({"string": "é", "encoding": "utf8"}, b"\xc3\xa9"),
            ({"string": "€", "encoding": "ISO-8859-1"}, b"\xe2\x82\xac"),
            ({"string": "é", "encoding": "ASCII-8BIT"}, b"\xc3\xa9"), ({"base64_string": "/wA="}, b"\xff\x00"),
            ({"base64_string": "/w\nA=\n", "encoding": "utf-8"}, b"\xff\x00"),
            ({"string": {"a": [1, None]}}, b'{"a": [1, null]}'), ({"model": "m"}, b'{"model": "m"}'), ([1], b"[1]"),
            (12, b"12"),
        ],
    )  # fmt: skip
    def test_every_way_to_keep_one_is_read(self, cassette, body, raw):
        sent, came = one(cassette, request={"body": body}, response={"body": body})

        assert (sent.body, came.body) == (raw, raw)

    def test_bytes_that_json_holds_as_surrogates_come_back(self, cassette):
        raw = {
            "interactions": [interaction(response={"body": {"string": b"a\xff".decode("utf-8", "surrogateescape")}})]
        }

        assert cassette(raw)[0][1].body == b"a\xff"

    def test_half_of_a_surrogate_pair_is_no_obstacle(self, cassette):
        raw = {"interactions": [interaction(response={"body": {"string": "\ud83d"}})]}

        assert cassette(raw)[0][1].body == b"\xed\xa0\xbd"

    def test_a_parsed_body_is_written_as_its_serialiser_would(self, cassette):
        parsed = {"z": "naïve", "a": [1.0, 1e-7, True, None]}

        _, came = one(cassette, response={"parsed_body": parsed, "body": ""})

        assert came.body == json.dumps(parsed, sort_keys=True).encode()  # the YAML above is sorted

    @pytest.mark.parametrize("header", ["gzip", "GZIP", "x-gzip", None])
    def test_a_gzip_body_is_decoded_with_the_header_or_without(self, cassette, header):
        headers = {"Content-Encoding": [header]} if header else {}

        _, came = one(cassette, response={"body": {"string": gzip.compress(ANSWER)}, "headers": headers})

        assert (came.body, came.encoding) == (ANSWER, (header or "gzip").lower())

    @pytest.mark.parametrize("header", ["gzip", "deflate", "br", "zstd", "gzip, br", "unheard-of"])
    def test_a_body_that_was_decoded_while_its_header_stayed_is_left_alone(self, cassette, header):
        _, came = one(cassette, response={"body": {"string": ANSWER}, "headers": {"content-encoding": header}})

        assert (came.body, came.encoding) == (ANSWER, header)

    def test_so_is_a_binary_one(self, cassette):
        audio = b"\xff\xfb\x90\x00" * 9

        _, came = one(cassette, response={"body": {"string": audio}, "headers": {"content-encoding": "gzip"}})

        assert came.body == audio

    @pytest.mark.parametrize("wire", [zlib.compress(ANSWER), zlib.compress(ANSWER)[2:-4]])
    def test_deflate_is_decoded(self, cassette, wire):
        _, came = one(cassette, response={"body": {"string": wire}, "headers": {"content-encoding": "deflate"}})

        assert came.body == ANSWER

    @pytest.mark.parametrize("kind", ["application/gzip", "application/x-gzip; q=1", "application/octet-stream"])
    def test_an_archive_stays_one(self, cassette, kind):
        archive = gzip.compress(b"files")

        _, came = one(cassette, response={"body": {"string": archive}, "headers": {"content-type": kind}})

        assert (came.body, came.encoding) == (archive, "")

    def test_what_only_begins_like_gzip_is_left_alone(self, cassette):
        _, came = one(cassette, response={"body": {"string": b"\x1f\x8b\x08\xff no gzip"}})

        assert came.body == b"\x1f\x8b\x08\xff no gzip"

    def test_headers_that_speak_of_the_wire_are_left_out(self, cassette):
        headers = {"Transfer-Encoding": "chunked", "Content-Length": "7", "content-encoding": "gzip", "X-A": "b"}

        _, came = one(cassette, response={"body": {"string": gzip.compress(ANSWER)}, "headers": headers})

        assert came.headers == (("X-A", "b"),)

    def test_an_answer_without_a_body_has_no_chunks(self, cassette):
        assert one(cassette, response={"body": None, "status": {"code": 204}})[1].chunks == ()


class TestHeaders:
    @pytest.mark.parametrize(
        ("headers", "pairs"),
        [
            (None, ()), ({}, ()), ({"A": "b"}, (("A", "b"),)), ({"A": ["b", "c"]}, (("A", "b"), ("A", "c"))),
            ({"A": None}, ()), ({"A": 12}, (("A", "12"),)), ({"A": True}, (("A", "true"),)),
            ({"A": b"\xe9"}, (("A", "é"),)),
            ([["A", "b"], ["A", "c"]], (("A", "b"), ("A", "c"))), ([{"name": "A", "value": "b"}], (("A", "b"),)),
            ({"A": "b\r\nX-Injected: c"}, (("A", "b X-Injected: c"),)), ({" A ": " b "}, (("A", "b"),)),
        ],
    )  # fmt: skip
    def test_every_way_to_keep_them_is_read(self, cassette, headers, pairs):
        assert one(cassette, response={"headers": headers})[1].headers == pairs

    def test_a_request_has_their_names_in_lower_case(self, cassette):
        assert one(cassette, request={"headers": {"Content-Type": "a/b"}})[0].headers == (("content-type", "a/b"),)


class TestStatus:
    @pytest.mark.parametrize(
        ("fields", "status", "reason"),
        [
            ({"status": {"code": 429, "message": "Too Many Requests"}}, 429, "Too Many Requests"),
            ({"status": {"code": "429", "message": None}}, 429, ""),
            ({"status": {"code": 200, "reason": "OK"}}, 200, "OK"),
            ({"status": 503}, 503, ""), ({"status": "404 Not Found"}, 404, "Not Found"), ({"status": "404"}, 404, ""),
            ({"status": "200 OK", "code": 200}, 200, "OK"), ({"status": "", "code": 201}, 201, ""),
            ({"status": 200, "reason_phrase": "Fine"}, 200, "Fine"),
            ({"status": {"code": 200, "message": "Quite\r\nfine\n"}}, 200, "Quite fine"),
        ],
    )  # fmt: skip
    def test_every_way_to_keep_it_is_read(self, cassette, fields, status, reason):
        _, came = one(cassette, response=fields)

        assert (came.status, came.reason) == (status, reason)


KEY = "Zx9Qw8Er7Ty6Ui5Op4As3Df2Gh1Jk0LmNb"
SPILLING = [
    json.dumps({"interactions": [interaction(request={"uri": f"openai.com/v1?key={KEY}"})]}),
    json.dumps({"interactions": [interaction(request={"uri": f"https://user:{KEY}@/v1"})]}),
    json.dumps({"interactions": [interaction(request={"headers": {f"Bearer sk-{KEY}": {}}})]}),
    f"interactions: [Bearer {KEY}\nmethod: [",
    f"authorization: @{KEY}",
    f"authorization: *{KEY}",
    f"authorization: !<{KEY}> x",
    f"authorization: !{KEY} x",
    f"authorization: !!{KEY} x",
    f"authorization: !{KEY}!x y",
    f"authorization: !!python/name:sk-{KEY} x",
    f"authorization: !!int {KEY}",
]


class TestRefusal:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"request": {"uri": None}}, "its address is missing, or not a text"),
            ({"request": {"uri": "**REDACTED**"}}, "its address is not an absolute one"),
            ({"request": {"uri": "file:///etc/passwd"}}, "its address is not an absolute one"),
            ({"request": {"uri": "https://h:port/"}}, "its address is not an absolute one"),
            ({"request": {"uri": "https://[::1/"}}, "its address is not an absolute one"),
            ({"request": {"method": ["POST"]}}, "its method is missing, or not a text"),
            ({"request": {"headers": "Accept: */*"}}, "its headers are neither an object nor a list"),
            ({"request": {"headers": [["a", "b", "c"]]}}, "its headers have something that is not a name with a value"),
            ({"request": {"headers": {"a": {"b": "c"}}}}, "header 'a' is missing, or not a text"),
            ({"request": {"body": {"base64_string": "a"}}}, "its body is not base64"),
            ({"request": {"body": {"base64_string": 7}}}, "its body is not base64"),
            ({"request": {"parsed_body": {b"a": 1}}}, "its body can't be written as JSON"),
            ({"response": {"status": None}}, "it has no HTTP status"),
            ({"response": {"status": {"code": "fine"}}}, "it has no HTTP status"),
            ({"response": {"status": 2000}}, "it has no HTTP status"),
            ({"response": {"status": True}}, "it has no HTTP status"),
            ({"response": DAMAGED}, "not gzip, as its content-encoding says"),
            (
                {"response": {"body": b"\xff\xfe", "headers": {"content-encoding": "unheard-of"}}},
                "'unheard-of' is unknown",
            ),
        ],
    )
    def test_an_interaction_that_makes_no_sense_is_told_by_its_number(self, cassette, changes, message):
        with pytest.raises(CassetteError, match=r"cassette\.yaml: interaction 1: ") as caught:
            one(cassette, **changes)

        assert message in caught.value.why

    @pytest.mark.parametrize(
        ("document", "message"),
        [
            ("", "it is no cassette: it has neither interactions nor requests and responses"),
            ("just a text", "it is no cassette"),
            ("log: {entries: []}", "it is no cassette"),
            ("interactions: 7", "it is no cassette"),
            ("interactions: [{request: {}}]", "interaction 1 is not a request with its response"),
            ("interactions: [[]]", "interaction 1 is not a request with its response"),
            ("interactions: [{request: [], response: {}}]", "interaction 1: its request is not an object"),
            (
                "interactions: [{request: {uri: 'http://x'}, response: 1}]",
                "interaction 1: its response is not an object",
            ),
            ("requests: [{}]\nresponses: []", "it has 1 requests and 0 responses"),
            ("a: 'b", "it is not YAML (line 1: found unexpected end of stream)"),
            ("a: \x07", "it is not YAML ("),
            ("a: !!binary é", "it is not YAML ("),
            ("? [a]\n: 1", "it is not YAML (line 1: found unhashable key)"),
            ("a: !!int b", "it is not YAML (a value is not of the kind that its tag says)"),
            ("a: !!bool b", "it is not YAML (a value is not of the kind that its tag says)"),
            ("a: !!timestamp b", "it is not YAML (a value is not of the kind that its tag says)"),
            ('{"interactions": [,', "it is not JSON (Expecting value: line 1 column 19"),
            ("[" * 100_000, "it is nested too deeply"),
            ("a: " + "{b: " * 100_000, "it is nested too deeply"),
            ("- " * 100_000, "it is nested too deeply"),
        ],
    )
    def test_a_file_that_is_no_cassette_is_told(self, cassette, document, message):
        with pytest.raises(CassetteError, match=rf"cassette\.yaml: {re.escape(message)}"):
            cassette(document.encode())

    @pytest.mark.parametrize(
        "tag",
        [
            "!!python/object/apply:os.system ['exit 1']", "!!python/object/new:_io.BytesIO [x]", "!!python/unicode 'x'",
            "!!python/tuple [1]", "!!python/name:os.system ''", "!ruby/object:Gem::Installer {}",
        ],
    )  # fmt: skip
    def test_a_tag_that_makes_an_object_is_refused_and_makes_none(self, cassette, tag, monkeypatch):
        monkeypatch.setattr(os, "system", lambda command: pytest.fail("code was run"))

        with pytest.raises(
            CassetteError, match=rf"the tag {re.escape(tag.split()[0])} \(line 2\) is refused, since such"
        ):
            cassette(f"interactions:\n- {tag}\n")

    @pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
    @pytest.mark.parametrize("document", SPILLING)
    def test_nothing_that_may_be_a_key_is_shown(self, cassette, document, loader, with_loader):
        with_loader(loader)

        with pytest.raises(CassetteError) as caught:
            cassette(document)

        assert KEY not in str(caught.value)

    @pytest.mark.parametrize("merge", [False, True])
    def test_aliases_that_multiply_are_refused(self, cassette, merge, monkeypatch):
        monkeypatch.setattr(vcr, "MOST_VALUES", 10_000)
        lines = ["a0: &a0 {k: v}" if merge else "a0: &a0 [v]"]
        for level in range(1, 12):
            names = ", ".join([f"*a{level - 1}"] * 10)
            lines.append(f"a{level}: &a{level} {{<<: [{names}]}}" if merge else f"a{level}: &a{level} [{names}]")

        with pytest.raises(CassetteError, match="its aliases expand to more than is read"):
            cassette("\n".join(lines))

    def test_an_alias_of_itself_is_refused(self, cassette, monkeypatch):
        monkeypatch.setattr(vcr, "MOST_VALUES", 10_000)
        with pytest.raises(CassetteError, match="its aliases expand to more than is read"):
            cassette("interactions: &a [*a]")

    def test_a_file_that_grows_beyond_the_limit_is_refused(self, cassette, monkeypatch):
        monkeypatch.setattr(vcr, "LARGEST", 1000)

        with pytest.raises(CassetteError, match="it has more than 1,000 bytes"):
            cassette(gzip.compress(b" " * 5000))

    def test_a_body_that_grows_beyond_the_limit_is_refused(self, cassette, monkeypatch):
        monkeypatch.setattr(interactions, "LARGEST_BODY", 1000)

        with pytest.raises(CassetteError, match="interaction 1: its body has more than 1,000 bytes once it is decoded"):
            one(cassette, response={"body": {"string": gzip.compress(b"a" * 1001)}})

    @pytest.mark.parametrize(
        "damaged",
        [gzip.compress(b"interactions: []", mtime=0)[:-9], b"\x1f\x8b\x08\x00 no gzip at all"],
        ids=["cut short", "no gzip"],
    )
    def test_gzip_that_is_damaged_is_told(self, cassette, damaged):
        with pytest.raises(CassetteError, match="it is not gzip"):
            cassette(damaged)

    def test_a_file_that_is_not_there_is_told(self, tmp_path):
        with pytest.raises(CassetteError, match=r"gone\.yaml: it can't be read \(No such file or directory\)"):
            read_cassette(tmp_path / "gone.yaml")

    @pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
    def test_the_error_can_be_copied(self, copied):
        error = copied(CassetteError(Path("a.yaml"), "it is empty"))

        assert (str(error), error.path, error.why) == ("a.yaml: it is empty", Path("a.yaml"), "it is empty")


class TestWithoutPyYAML:
    def test_yaml_names_the_extra(self, cassette, monkeypatch):
        monkeypatch.setitem(sys.modules, "yaml", None)

        with pytest.raises(
            CassetteError, match=r"it is YAML, which takes PyYAML to read: install django-llmcache\[vcr\]"
        ):
            cassette("interactions: []")

    def test_json_is_read(self, cassette, monkeypatch):
        monkeypatch.setitem(sys.modules, "yaml", None)

        assert len(cassette({"interactions": [interaction()]})) == 1

    def test_the_loader_in_plain_python_reads_the_same(self, cassette, with_loader):
        with_loader("SafeLoader")

        assert len(cassette(TestForms.RUBY)) == 1


class TestRealOnes:
    @pytest.mark.parametrize(
        ("name", "statuses"),
        [
            ("bedrock-converse-stream.yaml", [200]), ("bedrock-thinking.yaml.gz", [200, 200]),
            ("gemini-tools.yaml", [200, 200]), ("groq-tool-use-failed.yaml", [400, 200, 200]),
            ("openai-code-execution.yaml", [200, 200, 200]), ("openrouter-errors.yaml", [429, 429, 429]),
        ],
    )  # fmt: skip
    def test_each_is_read_and_comes_back_from_fixtures(self, name, statuses):
        found = read_cassette(DATA / "vcr" / name)

        assert [came.status for _, came in found] == statuses
        for sent, came in found:
            assert back(fixture(request=sent, response=came)).response == came

    @pytest.mark.parametrize(
        ("name", "decoded"),
        [("gemini-tools.yaml", "gemini-tools-json-array"), ("openai-code-execution.yaml", "openai-code-execution")],
    )
    def test_bodies_are_what_others_decoded(self, name, decoded):
        for number, (sent, came) in enumerate(read_cassette(DATA / "vcr" / name), 1):
            expected = json.loads((DATA / "cassettes" / f"{decoded}-{number}.json").read_text(encoding="utf-8"))

            assert (sent.method, sent.url, came.status) == (expected["method"], expected["url"], expected["status"])
            if expected["response_form"] == "exact":
                assert came.body.decode() == expected["response_text"]
            else:
                assert json.loads(came.body) == json.loads(expected["response_text"])

    def test_a_body_that_was_parsed_is_as_long_as_it_was(self):
        lengths = [len(came.body) for _, came in read_cassette(DATA / "vcr" / "groq-tool-use-failed.yaml")]

        assert lengths == [387, 925, 1155]  # the content-length that the cassette has kept

    def test_an_event_stream_keeps_its_frames(self):
        ((_, came),) = read_cassette(DATA / "vcr" / "bedrock-converse-stream.yaml")

        rest, frames = came.body, []
        while rest:
            length = int.from_bytes(rest[:4], "big")
            assert int.from_bytes(rest[length - 4 : length], "big") == zlib.crc32(rest[: length - 4])
            frames.append(rest[:length])
            rest = rest[length:]
        assert len(frames) > 5

    def test_an_upload_keeps_its_parts(self):
        (sent, _), *_ = read_cassette(DATA / "vcr" / "openai-code-execution.yaml")

        assert sent.body.count(b"\r\n") == 10
        assert sent.body.endswith(b"\r\n--7b51ebdb9f9704dab31d90e3f5eda002--\r\n")
