"""What makes a key, and what does not."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import enum
import hashlib
import json
import os
import re
import subprocess
import sys
import unicodedata
import uuid
from collections import OrderedDict
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import django_llmcache
from django_llmcache import keys
from django_llmcache.exceptions import UncacheableRequest
from django_llmcache.keys import (
    canonical_body,
    canonical_envelope,
    make_key,
    pack_parts,
    parts_of,
    scope_digest,
    unpack_parts,
)
from django_llmcache.messages import LLMRequest
from django_llmcache.rules import ECHOED, UNKEYED, RequestRules

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
KEY = re.compile(r"llmcache:1\.[^:\s]+:(-|[0-9a-f]{16}):[0-9a-f]{64}")
MEMCACHED_LIMIT = 250


def request_of(payload, **address) -> LLMRequest:
    return LLMRequest("openai", payload=payload, **address)


def key_of(payload, **wishes) -> str:
    return make_key(request_of(payload), **wishes)


TEXTS = st.text(max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-3, 3).map(float)
    | TEXTS
    | st.sampled_from(["1", "true", "null", "", " ", "0"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=15
)
NO_NUMBERS = st.sampled_from([float("nan"), float("inf"), float("-inf")])
ANY_VALUES = st.recursive(
    SCALARS | NO_NUMBERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=15,
)
FIELDS = st.sampled_from(["temperature", "messages", "a", "b", "store", "seed"]) | TEXTS
BODIES = st.dictionaries(FIELDS.filter(lambda name: name not in UNKEYED), VALUES, max_size=5)
ANY_BODIES = st.dictionaries(FIELDS.filter(lambda name: name not in UNKEYED), ANY_VALUES, max_size=5)


def meaning(value: Any, *, top: bool = False) -> Any:
    """Return what a body says, kinds told apart, by the documented rule: ``0`` is ``0.0`` at the top level alone."""
    match value:
        case dict():
            return frozenset((name, meaning(inner, top=top)) for name, inner in value.items())
        case list():
            return tuple(meaning(inner) for inner in value)
        case float() if top and value.is_integer() and -(2**63) <= value < 2**64:
            return ("int", repr(int(value)))
        case _:
            return (type(value).__name__, repr(value))


def says(body: Any) -> Any:
    return meaning(body, top=True)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path to every value inside ``value``."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for step, inner in items for place in [(*path, step), *places(inner, (*path, step))]]


def with_value(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = copy.copy(value)
    changed[path[0]] = with_value(value[path[0]], path[1:], new)
    return changed


def shuffled(value: Any, draw: Any) -> Any:
    """Return ``value`` with the keys of every object in another order, lists as they are."""
    if isinstance(value, dict):
        return {name: shuffled(value[name], draw) for name in draw(st.permutations(list(value)))}
    return [shuffled(inner, draw) for inner in value] if isinstance(value, list) else value


def bytes_of(body: Any) -> bytes | None:
    """Return the canonical bytes of a body, ``None`` where it has none."""
    try:
        return canonical_body(body, UNKEYED)
    except UncacheableRequest:
        return None


class Unbounded(enum.Enum):
    NAN = float("nan")


class TestBody:
    @given(BODIES, VALUES, st.data())
    def test_changing_any_field_at_any_depth_changes_the_key(self, body, value, data):
        assume(body)
        changed = with_value(body, data.draw(st.sampled_from(places(body))), value)
        assume(says(changed) != says(body))

        assert key_of(changed) != key_of(body)

    @given(BODIES, TEXTS, VALUES)
    def test_a_parameter_nobody_knows_yet_changes_the_key(self, body, name, value):
        assume(name not in body and name not in UNKEYED)

        assert key_of({**body, name: value}) != key_of(body)

    @given(BODIES, st.data())
    def test_taking_a_field_away_changes_the_key(self, body, data):
        assume(body)
        name = data.draw(st.sampled_from(sorted(body)))

        assert key_of({other: value for other, value in body.items() if other != name}) != key_of(body)

    @given(BODIES, st.data())
    def test_the_order_of_keys_never_counts(self, body, data):
        assert key_of(shuffled(body, data.draw)) == key_of(body)

    @given(BODIES, st.lists(VALUES, min_size=2, max_size=4), st.data())
    def test_the_order_of_a_list_always_counts(self, body, items, data):
        place = data.draw(st.sampled_from([*places(body), ("new",)]))
        other = data.draw(st.permutations(items))
        assume(meaning(list(other)) != meaning(items))

        assert key_of(with_value(body | {"new": 0}, place, list(other))) != key_of(
            with_value(body | {"new": 0}, place, items)
        )

    @given(ANY_BODIES, ANY_BODIES)
    def test_two_bodies_share_canonical_bytes_only_if_they_say_the_same(self, one, other):
        written = [bytes_of(body) for body in (one, other)]
        assume(None not in written)

        assert (written[0] == written[1]) == (says(one) == says(other))

    @given(ANY_BODIES)
    def test_a_body_has_bytes_and_a_key_unless_it_has_nan_or_infinity_at_any_depth(self, body):
        finite = all(word not in repr(says(body)) for word in ("'float', 'nan'", "'float', 'inf'", "'float', '-inf'"))

        assert (bytes_of(body) is not None) is finite
        if not finite:
            with pytest.raises(UncacheableRequest, match="JSON cannot say"):
                key_of(body)

    @given(BODIES)
    def test_canonical_bytes_read_back_as_the_body(self, body):
        assert says(json.loads(canonical_body(body, UNKEYED))) == says(body)

    @given(BODIES, st.sampled_from([(), ("metadata.trace", "x")]))
    def test_the_key_is_the_digest_of_the_address_and_the_canonical_bytes(self, body, ignore):
        request = request_of(body)
        address = canonical_envelope(request._endpoint, request.model, 1, None, 0)

        digest = hashlib.sha256(address + canonical_body(body, UNKEYED, ignore)).hexdigest()
        assert make_key(request, ignore=ignore) == f"llmcache:1.1:-:{digest}"

    @given(BODIES)
    def test_making_a_key_leaves_the_body_as_it_was(self, body):
        before = copy.deepcopy(body)

        key_of(body | {"user": "u", "temperature": 0.0}, ignore=("messages.*.name", "a.b"))

        assert before == body
        assert list(before) == list(body)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (0, 0.0),
            (0.0, -0.0),
            (1, 1.0),
            (-(2**63), -(2.0**63)),
            (2**63, 2.0**63),
            (2**53, 2.0**53),
        ],
    )
    def test_one_number_is_one_number_at_the_top_level(self, one, other):
        assert key_of(CHAT | {"temperature": one}) == key_of(CHAT | {"temperature": other})

    def test_a_deeper_number_counts_as_it_is_written(self):
        assert key_of({"options": {"temperature": 0}}) != key_of({"options": {"temperature": 0.0}})

    def test_values_of_different_types_are_different(self):
        values = [1, True, "1", 0, False, "0", None, "null", [], {}, "", [None], [[]], 0.5, "0.5"]

        assert len({key_of({"x": value}) for value in values}) == len(values)

    def test_no_field_is_no_null_field(self):
        assert key_of({"x": None}) != key_of({})

    def test_whether_a_stream_is_asked_for_counts_by_what_is_written(self):
        assert len({key_of(CHAT), key_of(CHAT | {"stream": False}), key_of(CHAT | {"stream": None})}) == 3

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            pytest.param("x²", "x2", id="superscript"),
            pytest.param("10⁵", "105", id="power"),
            pytest.param(unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é"), id="composed"),
            pytest.param("Hi", "hi", id="case"),
            pytest.param("Hi", "Hi ", id="trailing-space"),
            pytest.param("a  b", "a b", id="inner-space"),
            pytest.param("a\n", "a", id="newline"),
            pytest.param("a\r\nb", "a\nb", id="line-ends"),
            pytest.param("a\u200bb", "ab", id="zero-width"),
            pytest.param("a\u00a0b", "a b", id="no-break-space"),
            pytest.param("ﬁ", "fi", id="ligature"),
            pytest.param("а", "a", id="cyrillic"),
            pytest.param("\ufeffa", "a", id="byte-order-mark"),
            pytest.param("a\x00", "a", id="nul"),
        ],
    )
    def test_no_text_is_altered(self, one, other):
        assert key_of({"messages": [{"content": one}]}) != key_of({"messages": [{"content": other}]})

    @given(st.text())
    def test_a_text_stands_in_the_canonical_bytes_as_it_is(self, text):
        assert json.loads(canonical_body({"prompt": text}, UNKEYED)) == {"prompt": text}

    def test_a_tuple_is_sent_as_a_list_and_keyed_as_one(self):
        assert key_of({"stop": ("a", "b")}) == key_of({"stop": ["a", "b"]})

    def test_any_mapping_will_do_for_a_body(self):
        assert key_of(MappingProxyType(CHAT)) == key_of(OrderedDict(CHAT)) == key_of(CHAT)


class Text(str):
    __slots__ = ()


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Data:
    x: int = 1


def nested(depth):
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def circle():
    value: list[Any] = []
    value.append(value)
    return value


NOT_JSON = {
    "set": {1},
    "object": object(),
    "bytes": b"x",
    "datetime": dt.datetime(2026, 1, 1),
    "date": dt.date(2026, 1, 1),
    "dataclass": Data(),
    "decimal": Decimal(1),
    "str-subclass": Text("x"),
    "dict-subclass": OrderedDict(a=1),
    "other-mapping": MappingProxyType({"a": 1}),
    "generator": (x for x in ()),
    "beyond-64-bit": 2**64,
    "below-64-bit": -(2**63) - 1,
    "surrogate": "\ud800",
    "number-as-key": {1: 2},
    "none-as-key": {None: 2},
    "subclass-as-key": {Text("a"): 2},
    "surrogate-as-key": {"\ud800": 2},
    "too-deep": nested(300),
    "circle": circle(),
}


class TestUncacheable:
    @pytest.mark.parametrize("value", NOT_JSON.values(), ids=list(NOT_JSON))
    @pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [{"content": x}]], ids=["top", "deep"])
    def test_what_json_cannot_say_exactly_gets_no_key(self, value, wrap):
        with pytest.raises(UncacheableRequest) as caught:
            key_of(CHAT | {"x": wrap(value)})

        assert caught.value.reason == "unencodable"

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_nan_and_infinity_get_no_key_and_the_field_is_named(self, value):
        with pytest.raises(UncacheableRequest, match="temperature is"):
            key_of(CHAT | {"temperature": value})

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), Unbounded.NAN], ids=str)
    @pytest.mark.parametrize(
        "wrap", [lambda x: [x], lambda x: {"a": ({"b": x},)}, lambda x: [None, [1.5, x]]], ids="abc"
    )
    def test_nor_do_they_at_any_depth(self, value, wrap):
        with pytest.raises(UncacheableRequest, match="options has NaN or infinity in it"):
            key_of(CHAT | {"options": wrap(value)})

    def test_a_text_that_says_null_does_no_harm(self):
        assert key_of({"prompt": "null", "x": [1.5, Color.RED, None, {"y": uuid.UUID(int=1)}]})

    @pytest.mark.parametrize("ignore", ["a.b", "a"])
    def test_nan_where_it_is_ignored_does_no_harm(self, ignore):
        body = CHAT | {"a": {"b": float("nan")}, "metadata": [float("nan")]}

        assert key_of(body, ignore=(ignore,)) == key_of(CHAT | {"a": {"b": 1}}, ignore=(ignore,))

    @pytest.mark.parametrize("name", [1, None, ("a",)])
    def test_a_field_whose_name_is_no_text_gets_no_key(self, name):
        with pytest.raises(UncacheableRequest):
            key_of({name: 1})

    def test_an_uncacheable_value_in_a_field_that_does_not_count_does_no_harm(self):
        assert key_of(CHAT | {"metadata": {1}, "user": float("nan")}) == key_of(CHAT)

    def test_the_error_tells_no_content(self):
        with pytest.raises(UncacheableRequest) as caught:
            key_of({"messages": [{"content": "a secret \ud800"}]})

        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        "address", [{"base_url": "http://\ud800"}, {"path": "/\udfff"}, {"model": "\ud800"}, {"query": {"a": "\ud800"}}]
    )
    def test_an_address_that_json_cannot_say_gets_no_key(self, address):
        with pytest.raises(UncacheableRequest, match="address"):
            make_key(request_of(CHAT, **address))

    @pytest.mark.parametrize(
        "wishes", [{"scope": "\ud800"}, {"version": "\ud800"}, {"version": 2**64}, {"sample": 2**64}]
    )
    def test_a_wish_that_json_cannot_say_gets_no_key(self, wishes):
        with pytest.raises(UncacheableRequest):
            key_of(CHAT, **wishes)

    @pytest.mark.parametrize(
        ("value", "sent"),
        [(Color.RED, "red"), (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"), ((1,), [1])],
    )
    def test_what_is_sent_as_the_same_json_is_keyed_as_the_same(self, value, sent):
        """The documented remainder: orjson writes these deep in a body, into the key as onto the wire."""
        assert key_of({"options": {"x": value}}) == key_of({"options": {"x": sent}})


class TestAddress:
    BASE = {
        "provider": "openai",
        "model": "gpt-4o-mini",
        "operation": "chat",
        "base_url": "https://api.openai.com/v1",
        "path": "/chat/completions",
        "query": {"api-version": "1"},
        "headers": {"OpenAI-Beta": "a"},
    }
    RULES = RequestRules(headers=["openai-beta"])

    def key(self, payload=CHAT, **changes):
        return make_key(LLMRequest(payload=payload, rules=self.RULES, **(self.BASE | changes)))

    @pytest.mark.parametrize(
        "change",
        [
            {"provider": "groq"},
            {"model": "gpt-4o"},
            {"operation": "embeddings"},
            {"base_url": "https://proxy.example/v1"},
            {"path": "/responses"},
            {"query": {"api-version": "2"}},
            {"query": {}},
            {"headers": {"OpenAI-Beta": "b"}},
            {"headers": {}},
        ],
        ids=str,
    )
    def test_every_part_of_the_address_counts(self, change):
        assert self.key(**change) != self.key()

    @pytest.mark.parametrize(
        "change",
        [
            {"headers": {"openai-beta": "a", "authorization": "Bearer sk-1", "x-request-id": "r"}},
            {"headers": [("OPENAI-BETA", "a")]},
            {"base_url": "https://api.openai.com/v1/"},
            {"query": [("api-version", "1")]},
        ],
        ids=str,
    )
    def test_credentials_and_spelling_of_the_address_do_not_count(self, change):
        assert self.key(**change) == self.key()

    def test_the_order_of_query_and_headers_does_not_count(self):
        rules = RequestRules(headers=["a", "b"])
        one, other = [("a", "1"), ("b", "2")], [("B", "2"), ("A", "1")]

        def key(query, headers):
            return make_key(request_of(CHAT, query=query, headers=headers, rules=rules))

        assert key(one, one) == key([("b", "2"), ("a", "1")], other)

    def test_nothing_can_move_between_parts_of_the_address(self):
        assert self.key(base_url="https://a", path="/b/c") != self.key(base_url="https://a/b", path="/c")
        assert self.key(provider="openaix", operation="chat") != self.key(provider="openai", operation="xchat")

    def test_the_default_model_counts_where_the_body_names_none(self):
        body = {"contents": []}

        assert self.key(body, model="gemini-2.0-flash") != self.key(body, model="gemini-2.5-pro")

    @pytest.mark.parametrize("name", sorted(UNKEYED))
    def test_a_name_on_the_deny_list_does_not_count_at_the_top_level(self, name):
        assert key_of(CHAT | {name: "x"}) == key_of(CHAT)
        assert key_of(CHAT | {"extra": {name: "x"}}) != key_of(CHAT | {"extra": {}})

    @pytest.mark.parametrize("name", ["store", "seed", "prompt_cache_key", "service_tier", "n", "logprobs"])
    def test_any_other_name_counts(self, name):
        assert key_of(CHAT | {name: 1}) != key_of(CHAT)

    @pytest.mark.parametrize("name", sorted(ECHOED))
    @pytest.mark.parametrize("place", [{"operation": "responses"}, {"path": "/responses"}], ids=str)
    def test_a_name_that_the_answer_repeats_counts(self, name, place):
        def key(**more):
            return make_key(request_of(CHAT | more, rules=RequestRules(unkeyed=UNKEYED | ECHOED), **place))

        assert key(**{name: "mine"}) != key(**{name: "yours"})
        assert key(timeout=7) == key()

    def test_each_provider_has_its_own_deny_list(self):
        rules = RequestRules(unkeyed=["keep_alive"])

        def key(**more):
            return make_key(request_of(CHAT | more, rules=rules))

        assert key(keep_alive="5m") == key()
        assert key(user="u") != key()


class TestWishes:
    def test_scope_sample_and_version_count(self):
        wishes = [{}, {"scope": "user:1"}, {"scope": "user:2"}, {"sample": 1}, {"sample": 2}, {"version": 2}]

        assert len({key_of(CHAT, **wish) for wish in wishes}) == len(wishes)

    def test_no_scope_and_the_public_scope_share(self):
        assert key_of(CHAT, scope=None) == key_of(CHAT, scope="public") == key_of(CHAT)
        assert scope_digest(None) == scope_digest("public") == "-"

    def test_version_one_is_not_the_text_one(self):
        assert key_of(CHAT, version=1) != key_of(CHAT, version="1")

    def test_the_scope_is_not_told_by_the_key(self):
        assert "alice" not in key_of(CHAT, scope="user:alice")
        assert scope_digest("user:alice") in key_of(CHAT, scope="user:alice")

    def test_a_key_says_format_version_scope_and_digest(self):
        assert key_of(CHAT, version=7).startswith("llmcache:1.7:-:")
        assert KEY.fullmatch(key_of(CHAT, version="2026-01", scope="user:1"))

    @given(st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(exclude_categories=["Cs"])), TEXTS)
    def test_a_key_fits_memcached_whatever_the_version(self, version, scope):
        key = key_of(CHAT, version=version, scope=scope or None)

        assert KEY.fullmatch(key)
        assert len(key) < 200 < MEMCACHED_LIMIT
        assert key.isascii()
        assert key.isprintable()

    @given(st.lists(st.text(max_size=60), min_size=2, max_size=2, unique=True))
    def test_two_versions_never_share_a_key(self, versions):
        one, other = versions

        assert key_of(CHAT, version=one) != key_of(CHAT, version=other)

    def test_the_same_words_make_the_same_key_however_many_were_made_between(self):
        request = request_of(CHAT)
        first = make_key(request, scope="user:0")
        for number in range(100):
            make_key(request, scope=f"user:{number}")

        assert make_key(request, scope="user:0") == first


class TestIgnored:
    def test_a_dotted_path_does_not_count(self):
        one, other = {"options": {"trace": "a", "seed": 1}}, {"options": {"trace": "b", "seed": 1}}

        assert key_of(one, ignore=("options.trace",)) == key_of(other, ignore=("options.trace",))
        assert key_of(one) != key_of(other)

    def test_what_is_beside_the_path_counts(self):
        ignore = ("options.trace",)

        assert key_of({"options": {"seed": 1}}, ignore=ignore) != key_of({"options": {"seed": 2}}, ignore=ignore)
        assert key_of({"trace": 1}, ignore=ignore) != key_of({"trace": 2}, ignore=ignore)

    @pytest.mark.parametrize("kind", [list, tuple])
    def test_a_star_stands_for_every_item_of_a_list(self, kind):
        def body(name):
            return {"messages": kind([{"content": "Hi", "name": name}, {"content": "Ho", "name": name}])}

        assert key_of(body("a"), ignore=("messages.*.name",)) == key_of(body("b"), ignore=("messages.*.name",))
        assert key_of(body("a"), ignore=("messages.name",)) != key_of(body("b"), ignore=("messages.name",))

    @pytest.mark.parametrize("kind", [list, tuple])
    @pytest.mark.parametrize("path", ["messages[0].content", "messages.0.content"])
    def test_a_number_stands_for_one_item_of_a_list(self, path, kind):
        def key(*words):
            return key_of({"messages": kind({"role": "user", "content": word} for word in words)}, ignore=(path,))

        assert key("Monday", "Hi") == key("Tuesday", "Hi")
        assert key("Monday", "Hi") != key("Monday", "Ho")
        assert key("Monday") != key("Monday", "Hi")

    def test_items_that_do_not_count_leave_their_places(self):
        def key(*items):
            return key_of({"stop": items}, ignore=("stop[0]", "stop[2]"))

        assert key("a", "b", "c") == key("x", "b", "y")
        assert key("a", "b", "c") != key("a", "x", "c")

    def test_a_number_is_the_name_of_a_field_too(self):
        assert key_of({"a": {"0": "x"}}, ignore=("a.0",)) == key_of({"a": {"0": "y"}}, ignore=("a.0",))

    def test_a_star_at_the_end_leaves_an_empty_list(self):
        assert key_of({"stop": ["a"]}, ignore=("stop.*",)) == key_of({"stop": []}, ignore=("stop.*",))

    @pytest.mark.parametrize(
        "path", ["nowhere", "messages.nowhere", "model.x", "*", "messages.*.content.x", "messages[99]", "model[0]"]
    )
    def test_a_path_that_leads_nowhere_does_nothing(self, path):
        assert key_of(CHAT, ignore=(path,)) == key_of(CHAT)


SCRIPT = """
import sys
from django_llmcache import LLMRequest
from django_llmcache.keys import make_key
request = LLMRequest(
    "openai", payload={"model": "m", "messages": [{"role": "user", "content": "x²"}], "b": {"z": 1, "a": [1.5]}},
    base_url="https://a", path="/p", query={"q": "1", "p": "2"}, headers={"a": "1", "b": "2"},
)
print(make_key(request, version="v", scope="user:1", sample=2), "django" in sys.modules)
"""


def test_another_process_with_another_hash_seed_makes_the_same_key():
    """And it makes it from a plain script, without Django."""
    root = Path(django_llmcache.__file__).parent.parent
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "random")
    }
    here = make_key(
        LLMRequest(
            "openai",
            payload={"b": {"a": [1.5], "z": 1}, "messages": [{"content": "x²", "role": "user"}], "model": "m"},
            base_url="https://a",
            path="/p",
            query={"p": "2", "q": "1"},
        ),
        version="v",
        scope="user:1",
        sample=2,
    )

    assert outputs == {f"{here} False\n"}


def test_the_format_of_keys_is_what_it_was():
    """Every stored answer is lost when this changes: raise FORMAT with it."""
    assert keys.FORMAT == 1
    assert key_of(CHAT) == "llmcache:1.1:-:db19db6e44add2f3b826578c9f9db8bca3e7cf4c2062f77a62fc45af6340067f"


class TestParts:
    def test_each_turn_and_each_field_is_a_part(self):
        parts = parts_of(request_of(CHAT | {"temperature": 0, "tools": [{"name": "f"}], "user": "u", "stop": []}))

        assert set(parts) == {
            "provider", "operation", "base_url", "path", "query", "headers", "model", "scope", "sample",
            "messages[0]", "temperature", "tools[0]", "stop",
        }  # fmt: skip

    def test_only_the_part_that_differs_differs(self):
        one = parts_of(request_of({"messages": [{"content": "a"}, {"content": "b"}], "temperature": 1}))
        other = parts_of(request_of({"messages": [{"content": "a"}, {"content": "c"}], "temperature": 1.0}))

        assert [name for name in one if one[name] != other[name]] == ["messages[1]"]

    @given(BODIES, BODIES, st.sampled_from([(), ("a",), ("messages.*.a", "b")]))
    def test_parts_are_the_same_exactly_when_the_key_is(self, one, other, ignore):
        a, b = request_of(one, model="m"), request_of(other, model="m")

        same_parts = parts_of(a, ignore=ignore) == parts_of(b, ignore=ignore)

        assert same_parts == (make_key(a, ignore=ignore) == make_key(b, ignore=ignore))

    def test_wishes_are_parts(self):
        request = request_of(CHAT)
        plain = parts_of(request, version=1)
        wished = parts_of(request, version=2, scope="user:1", sample=1)

        assert {name for name in plain if plain[name] != wished[name]} == {"version", "scope", "sample"}

    def test_a_field_called_like_a_part_of_the_address_hides_neither(self):
        """OpenRouter has a field ``provider``."""
        parts = parts_of(request_of(CHAT | {"provider": {"order": ["x"]}}))
        other = parts_of(request_of(CHAT | {"provider": {"order": ["y"]}}))

        assert parts["provider"] == other["provider"]
        assert parts["body.provider"] != other["body.provider"]

    @pytest.mark.parametrize("body", [{"x": {1}}, {1: "x", "a": 2}, {"x": float("nan")}, {"x": "\ud800"}])
    def test_a_request_without_a_key_has_no_parts(self, body):
        with pytest.raises(UncacheableRequest):
            parts_of(request_of(body))

    def test_parts_tell_no_content(self):
        assert "Hi" not in str(parts_of(request_of(CHAT)).values())

    @given(
        st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.from_regex("[0-9a-f]{8}", fullmatch=True))
    )
    def test_packed_parts_unpack(self, parts):
        assert unpack_parts(pack_parts(parts)) == parts
