"""Bodies that say the same have one form, whatever they look like on the wire."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from django_llmcache.keys import canonical_body
from django_llmcache.recorder.forms import canonical_form
from tests.test_keys import BODIES, TEXTS, VALUES, says, shuffled

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
UNKEYED = frozenset({"metadata", "user"})


def form_of(body, content_type=JSON, *, ignore=()):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return canonical_form(content_type, data, unkeyed=UNKEYED, ignore=ignore)


def multipart(parts, boundary="7b51ebdb9f97"):
    """Return a content type and a body; a part is a name, a file's name or None, a type or None, and its content."""
    body = b""
    for name, file, kind, content in parts:
        head = f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{file}"' if file else "")
        head += f"\r\nContent-Type: {kind}" if kind else ""
        body += f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()


def parts_form(parts, boundary="7b51ebdb9f97", *, ignore=()):
    content_type, body = multipart(parts, boundary)
    return form_of(body, content_type, ignore=ignore)


UPLOAD = [("purpose", None, None, b"assistants"), ("file", "data.csv", "text/csv", b"item,value\r\napple,30\r\n")]


class TestJson:
    @given(BODIES)
    def test_an_object_has_the_canonical_bytes_of_the_response_cache(self, body):
        assert form_of(body) == b"json\n" + canonical_body(json.loads(json.dumps(body)), UNKEYED)

    @given(VALUES, VALUES)
    def test_two_values_that_are_no_objects_share_a_form_only_if_they_say_the_same(self, one, other):
        one, other = [one], [other]

        assert (form_of(one) == form_of(other)) == (says(one) == says(other))

    @given(BODIES, st.data())
    def test_neither_the_order_of_keys_nor_white_space_nor_escapes_count(self, body, data):
        other = shuffled(body, data.draw)

        for style in ({"indent": 2}, {"ensure_ascii": False}, {"separators": (",", ":")}):
            assert form_of(json.dumps(other, **style).encode()) == form_of(body)

    @pytest.mark.parametrize(
        "content_type", ["", "text/plain", "application/json; charset=utf-8", "application/x-amz-json"]
    )
    def test_json_is_known_whatever_it_is_called(self, content_type):
        assert form_of(b' \n{"b": 1, "a": 2}', content_type) == form_of({"a": 2, "b": 1})

    @pytest.mark.parametrize("body", [b"1", b'"text"', b"null"])
    def test_json_that_is_one_value_is_json(self, body):
        assert form_of(b" " + body) == form_of(body)

    @pytest.mark.parametrize(
        "body",
        [b"{", b'{"a": NaN}', b'{"a": "\xff"}', b'{"a": "\\ud800"}', b"[" * 2000 + b"]" * 2000, b"[[1]" + b"[" * 300],
        ids=["cut", "nan", "no-utf-8", "surrogate", "deep", "cut-list"],
    )
    def test_what_is_not_exactly_json_counts_byte_by_byte(self, body):
        assert form_of(body).startswith(b"raw\n")
        assert form_of(body) != form_of(body + b" ")

    def test_a_path_that_is_ignored_does_not_count(self):
        one, other = ({"messages": [{"id": name, "content": "Hi"}]} for name in "ab")

        assert form_of(one, ignore=("messages.*.id",)) == form_of(other, ignore=("messages.*.id",))
        assert form_of([one], ignore=("*.messages.*.id",)) == form_of([other], ignore=("*.messages.*.id",))
        assert form_of(one) != form_of(other)

    @pytest.mark.parametrize("value", [{"api_key": "REDACTED"}, {"apiKey": "REDACTED"}, {}])
    def test_it_does_not_count_whether_a_credential_was_given(self, value):
        assert form_of({"tools": [{"x": 1} | value]} | value) == form_of({"tools": [{"x": 1}]})

    def test_the_word_redacted_counts_elsewhere(self):
        assert form_of({"content": "REDACTED"}) != form_of({})


class TestMultipart:
    @given(st.from_regex(r"[A-Za-z0-9'()+_,./:=?-]{1,70}", fullmatch=True))
    def test_the_boundary_does_not_count(self, boundary):
        assume(f"--{boundary}" not in "item,value\r\napple,30\r\n")
        body = multipart(UPLOAD, boundary)[1]

        assert form_of(body, f'multipart/form-data; boundary="{boundary}"') == parts_form(UPLOAD)

    def test_the_name_of_a_file_counts_unless_it_is_left_out(self):
        other = [UPLOAD[0], ("file", "tmp8k2x.csv", *UPLOAD[1][2:])]

        assert parts_form(other) != parts_form(UPLOAD)
        assert parts_form(other, ignore=("file.filename",)) == parts_form(UPLOAD, ignore=("file.filename",))

    @pytest.mark.parametrize("part", [("text/plain", UPLOAD[1][3]), ("text/csv", b"other"), None])
    def test_nothing_else_of_a_file_is_left_out_with_its_name(self, part):
        other = [UPLOAD[0], ("file", "data.csv", *part) if part else ("file", None, *UPLOAD[1][2:])]

        assert parts_form(other, ignore=("file.filename",)) != parts_form(UPLOAD, ignore=("file.filename",))

    @given(st.permutations(UPLOAD))
    def test_the_order_of_parts_with_different_names_does_not_count(self, parts):
        assert parts_form(parts) == parts_form(UPLOAD)

    def test_the_order_of_parts_with_one_name_counts(self):
        parts = [("file", "a", None, b"1"), ("file", "b", None, b"2")]

        assert parts_form(parts) != parts_form(parts[::-1])

    @given(st.sampled_from([0, 1]), st.sampled_from([0, 1, 2, 3]), st.sampled_from(["other", "x.bin"]))
    def test_any_change_of_a_part_counts(self, number, field, value):
        parts = [list(part) for part in UPLOAD]
        parts[number][field] = value.encode() if field == 3 else value

        assert parts_form(parts) != parts_form(UPLOAD)

    @pytest.mark.parametrize(
        "content", [b"", b"\r\n", b"\r\n--", b"--7b51", b"\x00\xff\r\n\r\n\x89PNG", b"a\r\n\r\nb: c"]
    )
    def test_a_part_may_hold_any_bytes(self, content):
        one, other = ([("file", "f", None, data)] for data in (content, content + b"x"))

        assert parts_form(one) == parts_form(one, "another")
        assert parts_form(one) != parts_form(other)

    def test_a_part_more_counts(self):
        assert parts_form([*UPLOAD, UPLOAD[1]]) != parts_form(UPLOAD)

    def test_no_file_name_is_no_empty_content(self):
        assert parts_form([("a", None, None, b"")]) != parts_form([("a", "a", None, b"")])

    @pytest.mark.parametrize("name", ["user", "metadata[trace]", "trace"])
    def test_a_field_that_does_not_count_does_not_count_here(self, name):
        assert parts_form([*UPLOAD, (name, None, None, b"x")], ignore=("trace",)) == parts_form(UPLOAD)

    @pytest.mark.parametrize(
        ("name", "path"), [("a[b]", "a.b"), ("a[b]", "a[b]"), ("a[][b]", "a.*.b"), ("a[][b]", "a[][b]"), ("a[b]", "a")]
    )
    def test_a_dotted_path_reaches_into_names_with_brackets(self, name, path):
        assert parts_form([*UPLOAD, (name, None, None, b"x")], ignore=(path,)) == parts_form(UPLOAD)
        assert parts_form([*UPLOAD, (name, None, None, b"x")], ignore=("a.c", "b", "a.b.c.d")) != parts_form(UPLOAD)

    def test_parts_without_a_name_are_told_by_what_they_hold(self):
        def related(*contents):
            pieces = "".join(f"--x\r\nContent-Type: application/json\r\n\r\n{text}\r\n" for text in contents)
            return form_of(f"{pieces}--x--".encode(), "multipart/related; boundary=x")

        assert len({related("a", "b"), related("b", "a"), related("a")}) == 3
        assert related("a").startswith(b"parts\n")

    @pytest.mark.parametrize(
        ("content_type", "body"),
        [
            ("multipart/form-data", multipart(UPLOAD)[1]),
            ("multipart/form-data; boundary=other", multipart(UPLOAD)[1]),
            ("multipart/form-data; boundary=7b51ebdb9f97", multipart(UPLOAD)[1][:-20]),
            ("multipart/form-data; boundary=x", b"--x\r\nno head\r\n--x--"),
        ],
        ids=["none", "wrong", "cut", "headless"],
    )
    def test_what_is_not_in_parts_counts_byte_by_byte(self, content_type, body):
        assert form_of(body, content_type).startswith(b"raw\n")


class TestForm:
    @given(st.dictionaries(TEXTS, TEXTS), st.data())
    def test_the_order_of_fields_does_not_count(self, fields, data):
        other = data.draw(st.permutations(list(fields.items())))

        assert form_of(urlencode(other).encode(), FORM) == form_of(urlencode(fields).encode(), FORM)

    @given(st.lists(st.tuples(st.just("a"), TEXTS), min_size=2), st.data())
    def test_the_order_of_values_of_one_field_counts(self, fields, data):
        other = data.draw(st.permutations(fields))

        same = form_of(urlencode(other).encode(), FORM) == form_of(urlencode(fields).encode(), FORM)

        assert same == (other == fields)

    def test_the_spelling_of_a_character_does_not_count(self):
        assert form_of(b"a=%41%20b", FORM) == form_of(b"a=A+b", FORM)

    def test_bytes_that_are_no_text_are_kept_apart(self):
        assert form_of(b"a=%ff", FORM) != form_of(b"a=%fe", FORM)

    @pytest.mark.parametrize("more", [b"user=x", b"trace=x", b"client_secret=x", b"metadata[a]=x"])
    def test_what_does_not_count_does_not_count_here(self, more):
        assert form_of(b"a=1&" + more, FORM, ignore=("trace",)) == form_of(b"a=1", FORM)


class TestAnythingElse:
    def test_other_bodies_count_byte_by_byte_with_their_type(self):
        assert form_of(b"RIFF\xff", "audio/wav") != form_of(b"RIFF\xff", "audio/mpeg")
        assert form_of(b"RIFF\xff", "audio/wav") != form_of(b"RIFF\xfe", "audio/wav")
        assert form_of(b"RIFF", "audio/wav; rate=1") == form_of(b"RIFF", "Audio/WAV")

    def test_no_body_has_no_form(self):
        assert form_of(b"") == b""

    def test_a_body_of_one_kind_never_passes_for_another(self):
        bodies = [
            (b"[]", JSON),
            (b"[]", "audio/wav"),
            (b"[]", FORM),
            (b"[]", "multipart/form-data; boundary=x"),
            (b"", ""),
        ]
        forms = [form_of(body, kind) for body, kind in bodies]

        assert forms[0] == forms[1]
        assert len(set(forms)) == 4
