"""An entry as bytes and back; bytes that cannot be read; which entries a selector names."""

from __future__ import annotations

import copy
import pickle
import struct
import sys
from contextlib import suppress

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_llmcache.bodies import Usage
from django_llmcache.entry import FORMAT, OVERHEAD, TEXT_OVERHEAD, Entry, Selector
from django_llmcache.exceptions import EntryFormatError

KEY = f"llmcache:1.1:-:{'a' * 64}"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
COUNTS = st.integers(0, 2**53)
SECONDS = st.floats(0, 1e12, allow_nan=False)
ENTRIES = st.builds(
    Entry,
    key=st.just(KEY),
    body=st.binary(max_size=200),
    created=SECONDS,
    ttl=st.none() | SECONDS | st.integers(0, 10**9),
    status=st.integers(200, 299),
    headers=st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple),
    provider=TEXTS,
    operation=TEXTS,
    model=TEXTS,
    scope=TEXTS,
    tags=st.frozensets(TEXTS, max_size=3),
    usage=st.builds(Usage, COUNTS, COUNTS),
    latency=SECONDS,
    parts=TEXTS,
    has_null=st.booleans(),
)


def plain(**fields) -> Entry:
    return Entry(**({"key": KEY, "body": b'{"a":1}', "created": 1000.0, "ttl": 60} | fields))


def fields_of(entry):
    return {name: getattr(entry, name) for name in Entry.__slots__}


def with_head(head, body=b"", *, version=FORMAT):
    raw = orjson.dumps(head)
    return b"LLMC" + bytes([version]) + struct.pack(">I", len(raw)) + raw + body


def head_of(entry):
    stored = entry.encode()
    return orjson.loads(stored[9 : 9 + int.from_bytes(stored[5:9], "big")])


class TestBytes:
    @given(ENTRIES)
    def test_an_entry_comes_back_from_its_bytes_as_it_was(self, entry):
        found = Entry.decode(entry.encode(), key=KEY)

        assert fields_of(found) == fields_of(entry)
        assert type(found.usage) is Usage

    def test_the_same_entry_is_the_same_bytes(self):
        tags = [f"tag-{number}" for number in range(20)]

        assert plain(tags=frozenset(tags)).encode() == plain(tags=frozenset(reversed(tags))).encode()

    def test_the_body_stands_at_the_end_as_it_was_sent(self):
        body = bytes(range(256))

        assert plain(body=body).encode().endswith(body)
        assert plain().encode().startswith(b"LLMC" + bytes([FORMAT]))

    @given(st.binary(max_size=300))
    @example(b"")
    @example(b"LLMC")
    @example(b"LLMC\x02")
    @example(b"LLMC\x02\xff\xff\xff\xff")
    @example(b"LLMC\x02\x00\x00\x00\x02[]")
    @example(b"LLMC\x02\x00\x00\x00\x02{}")
    @example(b"LLMC\x02\x00\x00\x00\x04null")
    @example(b"\x80\x04\x95pickled")
    def test_foreign_bytes_are_told_as_unreadable(self, stored):
        with pytest.raises(EntryFormatError):
            Entry.decode(stored, key=KEY)

    @given(ENTRIES, st.data())
    def test_damaged_bytes_raise_nothing_but_the_documented_error(self, entry, data):
        stored = bytearray(entry.encode())
        for _ in range(data.draw(st.integers(1, 4))):
            stored[data.draw(st.integers(0, len(stored) - 1))] = data.draw(st.integers(0, 255))
        try:
            found = Entry.decode(bytes(stored), key=KEY)
        except EntryFormatError:
            return
        assert found.key == KEY

    @given(ENTRIES, st.data())
    def test_bytes_cut_short_anywhere_are_told_as_unreadable(self, entry, data):
        stored = entry.encode()

        with pytest.raises(EntryFormatError):
            Entry.decode(stored[: data.draw(st.integers(0, len(stored) - 1))], key=KEY)
        with pytest.raises(EntryFormatError):
            Entry.decode(stored + b"x", key=KEY)

    @given(st.lists(st.none() | st.booleans() | st.integers(-9, 9) | TEXTS | st.just([]) | st.just({}), max_size=16))
    def test_a_head_of_the_wrong_shape_raises_nothing_but_the_documented_error(self, head):
        for shape in (head, [KEY, *head]):
            with suppress(EntryFormatError):
                assert Entry.decode(with_head(shape), key=KEY).key == KEY

    @pytest.mark.parametrize("version", [0, FORMAT + 1, 255])
    def test_another_format_is_told_with_both_versions(self, version):
        with pytest.raises(EntryFormatError, match=f"format {version}; this version reads {FORMAT}"):
            Entry.decode(with_head(head_of(plain()), plain().body, version=version), key=KEY)

    def test_an_entry_of_another_key_is_told(self):
        """Two stores behind one prefix, or a digest that is no digest: never another request's answer."""
        with pytest.raises(EntryFormatError, match="another request"):
            Entry.decode(plain().encode(), key=KEY[:-1] + "b")

    def test_the_layout_of_the_bytes_is_what_it_was(self):
        """A change of it needs another ``FORMAT``: what an older version wrote would be read wrongly."""
        entry = plain(
            headers=(("content-type", "application/json"),), provider="openai", model="m", scope="s",
            tags=frozenset({"b", "a"}), usage=Usage(1, 2), latency=0.5, parts="model=0", has_null=True, stale_for=9.0,
        )  # fmt: skip

        assert FORMAT == 3
        assert head_of(entry) == [
            KEY, 1000.0, 60, 200, [["content-type", "application/json"]], "openai", "chat", "m", "s", ["a", "b"],
            [1, 2], 0.5, "model=0", 7, True, 9.0,
        ]  # fmt: skip


class TestValue:
    def test_the_digest_is_the_last_part_of_the_key(self):
        assert plain().digest == "a" * 64

    def test_it_expires_its_ttl_after_it_was_made_or_never(self):
        assert plain().expires == 1060.0
        assert plain(ttl=None).expires is None

    def test_its_size_counts_the_body_the_texts_beside_it_and_what_python_adds(self):
        bare = plain().size

        assert bare == len(plain().body) + len(KEY) + OVERHEAD
        assert plain(body=b"x" * 107).size == bare + 100
        assert plain(parts="12345").size == bare + 5
        assert plain(headers=(("ab", "cde"),)).size == bare + 5 + 2 * TEXT_OVERHEAD
        assert plain(tags=frozenset({"abc", "d"})).size == bare + 4 + 2 * TEXT_OVERHEAD

    def test_a_text_beyond_ascii_counts_for_all_that_it_may_take(self):
        tag = "\N{GRINNING FACE}" * 1000

        assert sys.getsizeof(tag) <= plain(tags=frozenset({tag})).size - plain().size

    @pytest.mark.parametrize("name", ["provider", "operation", "model"])
    def test_a_name_counts_where_it_is_long(self, name):
        assert plain(**{name: "m" * 5000}).size >= plain().size + 5000

    def test_it_is_immutable(self):
        entry = plain()

        with pytest.raises(AttributeError, match="immutable"):
            entry.ttl = 1
        with pytest.raises(AttributeError, match="immutable"):
            del entry.body
        assert entry.ttl == 60

    @pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda entry: pickle.loads(pickle.dumps(entry))])
    def test_a_copy_is_equal_in_every_field(self, again):
        entry = plain(tags=frozenset({"a"}), headers=(("b", "c"),), usage=Usage(1, 2), has_null=True, stale_for=5.0)

        other = again(entry)

        assert all(getattr(other, name) == getattr(entry, name) for name in Entry.__slots__)

    def test_its_repr_shows_neither_key_nor_answer(self):
        assert repr(plain(provider="openai", model="m")) == "<Entry openai m 7 bytes>"


NAMES = ("provider", "model", "scope", "tag", "key")
CONDITIONS = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, st.sampled_from("abc")))


class TestSelector:
    @given(CONDITIONS, st.sampled_from("abc"), st.sampled_from("abc"), st.frozensets(st.sampled_from("abc")))
    def test_it_names_what_meets_every_condition(self, conditions, provider, model, tags):
        entry = plain(key="a", provider=provider, model=model, scope="b", tags=tags)
        facts = {"provider": [provider], "model": [model], "scope": ["b"], "tag": tags, "key": ["a"]}
        expected = all(value in facts[name] for name, value in conditions.items())

        assert Selector(**conditions).matches(entry) is expected

    def test_it_is_immutable(self):
        with pytest.raises(AttributeError):
            Selector(tag="a").tag = "b"

    @given(CONDITIONS)
    def test_it_comes_back_from_its_conditions(self, conditions):
        selector = Selector(**conditions)

        assert selector.as_dict() == conditions
        assert Selector.from_dict(conditions) == selector
        assert hash(Selector.from_dict(conditions)) == hash(selector)
        assert selector.everything is (not conditions)

    def test_selectors_with_other_conditions_are_not_equal(self):
        assert Selector(provider="a") != Selector(model="a")
        assert Selector() != {}

    def test_it_shows_its_conditions_alone(self):
        assert repr(Selector(tag="faq")) == "Selector(tag='faq')"

    @pytest.mark.parametrize("odd", [None, [], "provider", {"provider": 1}, {"provider": None}, {"colour": "red"}])
    def test_what_is_no_selector_is_refused(self, odd):
        with pytest.raises(ValueError, match="Not a selector"):
            Selector.from_dict(odd)
