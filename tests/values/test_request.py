"""A request is a value: it keeps what it was given, and nobody can change it."""

from __future__ import annotations

import copy
import pickle
from types import MappingProxyType

import pytest

from django_llmcache.endpoints import Endpoint, pairs, shared
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.keys import make_key
from django_llmcache.messages import LLMRequest
from django_llmcache.policies import CachePolicy
from django_llmcache.providers.gemini import RULES as GEMINI
from django_llmcache.providers.ollama import RULES as OLLAMA
from django_llmcache.rules import DEFAULT_RULES, RequestRules

HI = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
RULES = RequestRules(headers=["openai-beta"])
PROPERTIES = (
    "provider", "operation", "base_url", "path", "query", "headers", "rules", "model", "payload", "stream", "policy",
)  # fmt: skip
COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "replace": lambda value: value.replace(),
}


def whole(**changes):
    words = {
        "payload": HI,
        "operation": "chat",
        "base_url": "https://api.example.com/v1/",
        "path": "/chat/completions",
        "query": {"b": "2", "a": "1"},
        "headers": {"OpenAI-Beta": "x", "Authorization": "Bearer made-up"},
        "policy": CachePolicy(ttl=5),
        "rules": RULES,
    }
    return LLMRequest("openai", **(words | changes))


def said(request):
    return {name: getattr(request, name) for name in PROPERTIES}


class TestParts:
    def test_it_says_what_it_was_given(self):
        request = whole()

        assert said(request) == {
            "provider": "openai",
            "operation": "chat",
            "base_url": "https://api.example.com/v1",
            "path": "/chat/completions",
            "query": (("a", "1"), ("b", "2")),
            "headers": (("openai-beta", "x"),),
            "rules": RULES,
            "model": "gpt-4o",
            "payload": HI,
            "stream": False,
            "policy": CachePolicy(ttl=5),
        }

    def test_little_is_needed(self):
        request = LLMRequest("openai", payload={})

        assert (request.operation, request.model, request.stream) == ("chat", "", False)
        assert (request.base_url, request.path, request.query, request.headers) == ("", "", (), ())
        assert request.policy == CachePolicy()
        assert request.rules is DEFAULT_RULES

    def test_the_model_is_the_payloads_unless_it_is_said(self):
        assert LLMRequest("openai", payload={"model": "a"}).model == "a"
        assert LLMRequest("openai", payload={"model": "a"}, model="b").model == "b"
        assert LLMRequest("openai", payload={"model": 7}).model == ""

    def test_headers_that_do_not_change_an_answer_are_not_kept(self):
        assert "made-up" not in repr(said(whole()))

    @pytest.mark.parametrize(
        ("rules", "path", "payload", "expected"),
        [
            (DEFAULT_RULES, "", {"stream": True}, True),
            (DEFAULT_RULES, "", {"stream": False}, False),
            (GEMINI, "/models/m:streamGenerateContent", {}, True),
            (GEMINI, "/models/m:generateContent", {"stream": True}, False),
            (OLLAMA, "/api/chat", {}, True),
            (OLLAMA, "/api/chat", {"stream": False}, False),
            (OLLAMA, "/api/embed", {}, False),
        ],
    )
    def test_the_rules_tell_a_stream(self, rules, path, payload, expected):
        assert LLMRequest("p", payload=payload, path=path, rules=rules).stream is expected

    def test_whether_it_is_a_stream_can_be_said(self):
        assert LLMRequest("p", payload={}, stream=True).stream is True
        assert LLMRequest("p", payload={"stream": True}, stream=False).stream is False

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            ({"payload": [1]}, "payload is a list; give the provider's body as a dict"),
            ({"payload": None}, "payload is a NoneType"),
            ({"model": 7}, "model is 7; give its name as a text"),
            ({"policy": {"ttl": 5}}, "policy is a dict; give a CachePolicy"),
            ({"stream": "no"}, "stream is 'no'; give True or False"),
            ({"rules": None}, "rules is a NoneType; give RequestRules"),
            ({"operation": None}, "operation is None; give a text such as 'chat'"),
            ({"base_url": ["x"]}, "base_url is ['x']; give a text"),
            ({"path": 7}, "path is 7; give a text"),
            ({"query": 7}, "came as a int; give a mapping, or pairs"),
            ({"headers": ["Authorization: made-up"]}, "came as a list; give a mapping, or pairs"),
        ],
        ids=str,
    )
    def test_a_part_that_cannot_work_is_told(self, words, says):
        with pytest.raises(ConfigurationError) as raised:
            whole(**words)

        assert says in str(raised.value)
        assert "made-up" not in str(raised.value)

    @pytest.mark.parametrize("provider", ["", None, 7, ["openai"]])
    def test_a_provider_is_needed(self, provider):
        with pytest.raises(ConfigurationError, match=r"provider is .*; give a text such as 'openai'"):
            LLMRequest(provider, payload=HI)

    def test_its_repr_shows_no_content(self):
        assert repr(LLMRequest("openai", payload=HI)) == "<LLMRequest chat openai gpt-4o>"
        assert repr(LLMRequest("openai", payload=HI | {"stream": True})) == "<LLMRequest chat openai gpt-4o stream>"


class TestImmutable:
    @pytest.mark.parametrize("name", PROPERTIES)
    def test_no_part_can_be_set(self, name):
        with pytest.raises(AttributeError):
            setattr(whole(), name, "other")

    def test_no_part_can_be_added(self):
        with pytest.raises(AttributeError):
            whole().extra = 1

    def test_the_payload_cannot_be_changed_through_the_request(self):
        with pytest.raises(TypeError):
            whole().payload["model"] = "other"

    def test_the_callers_dict_can_change_without_the_request(self):
        payload = dict(HI)
        request = LLMRequest("openai", payload=payload)
        payload["model"] = "other"

        assert request.payload == HI

    def test_any_mapping_will_do_as_payload(self):
        assert LLMRequest("openai", payload=MappingProxyType(HI)).payload == HI


class TestCopies:
    @pytest.mark.parametrize("made", COPIES)
    def test_a_copy_says_the_same_and_has_the_same_key(self, made):
        request = whole()
        twin = COPIES[made](request)

        assert said(twin) | {"rules": None} == said(request) | {"rules": None}
        assert make_key(twin) == make_key(request)

    def test_a_deep_copy_has_a_payload_of_its_own(self):
        request = whole(payload=copy.deepcopy(HI))
        twin = copy.deepcopy(request)
        request.payload["messages"][0]["content"] = "changed"

        assert twin.payload == HI

    def test_what_can_send_it_is_kept_by_copies_and_never_pickled(self):
        request = LLMRequest.to(
            whole()._endpoint, "m", dict(HI), stream=False, policy=CachePolicy(), target=lambda: "an API key"
        )

        for made in (copy.copy, copy.deepcopy, lambda value: value.replace(model="n")):
            assert made(request)._target is request._target
        assert pickle.loads(pickle.dumps(request))._target is None


class TestReplace:
    def test_only_what_is_named_changes(self):
        changed = whole().replace(operation="embeddings", path="/embeddings")

        assert said(changed) == said(whole()) | {"operation": "embeddings", "path": "/embeddings"}

    def test_a_new_model_goes_into_the_payload_too(self):
        changed = whole().replace(model="other")

        assert (changed.model, changed.payload["model"]) == ("other", "other")
        assert HI["model"] == "gpt-4o"

    def test_a_new_model_is_not_added_to_a_payload_that_names_none(self):
        changed = LLMRequest("gemini", payload={"contents": []}, model="a").replace(model="b")

        assert (changed.model, dict(changed.payload)) == ("b", {"contents": []})

    def test_a_new_payload_brings_its_own_model_and_stream(self):
        changed = whole().replace(payload={"model": "other", "stream": True})

        assert (changed.model, changed.stream) == ("other", True)

    def test_a_new_payload_without_a_model_keeps_the_model(self):
        assert whole().replace(payload={"messages": []}).model == "gpt-4o"

    def test_a_part_that_cannot_work_is_told(self):
        with pytest.raises(ConfigurationError, match="policy"):
            whole().replace(policy=3)
        with pytest.raises(ConfigurationError, match="payload is a NoneType"):
            whole().replace(payload=None)
        with pytest.raises(TypeError):
            whole().replace(colour="red")


class TestEndpoint:
    def test_it_is_immutable(self):
        endpoint = Endpoint("openai")

        with pytest.raises(AttributeError, match="immutable"):
            endpoint.path = "/x"
        with pytest.raises(AttributeError, match="immutable"):
            del endpoint.path

    def test_requests_to_one_place_share_it(self):
        assert whole()._endpoint is whole(payload={"model": "other"})._endpoint
        assert whole()._endpoint is not whole(path="/other")._endpoint

    def test_names_of_headers_are_lower_case_and_sorted_and_only_those_listed(self):
        rules = RequestRules(headers=["B", "a"])
        endpoint = Endpoint("p", headers=(("B", "2"), ("A", "1"), ("Cookie", "x")), rules=rules)

        assert endpoint.headers == (("a", "1"), ("b", "2"))

    def test_its_repr_shows_neither_query_nor_headers(self):
        endpoint = shared("p", "chat", "https://e.com", "/x", (("key", "made-up"),), (("openai-beta", "b"),), RULES)

        assert repr(endpoint) == "<Endpoint chat p https://e.com/x>"

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"b": 2, "a": 1}, (("a", "1"), ("b", "2"))),
            ([("b", "2"), ("a", "1"), ("a", "0")], (("a", "0"), ("a", "1"), ("b", "2"))),
            ((), ()),
            (iter([("a", 1)]), (("a", "1"),)),
        ],
    )
    def test_names_and_values_become_sorted_texts(self, given, expected):
        assert pairs(given) == expected
