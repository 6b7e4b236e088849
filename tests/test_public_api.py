"""The names that users import, and what the package gives under them."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import django_llmcache
from django_llmcache import cache, signals

PUBLIC = {
    "CachePolicy", "LLMClient", "LLMRequest", "LLMResponse", "achat", "aembed", "astream", "cache", "cached", "chat",
    "embed", "policy", "stream",
}  # fmt: skip
FACADE = {"clear", "delete", "explain", "get", "stats", "with_cache"}


def test_the_package_offers_these_names():
    assert set(django_llmcache.__all__) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_each_can_be_imported_and_says_what_it_is(name):
    assert inspect.getdoc(getattr(django_llmcache, name))


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_each_is_an_attribute_of_the_package_where_nothing_has_imported_it(name):
    code = f"import django_llmcache; assert {name!r} in dir(django_llmcache); print(django_llmcache.{name})"

    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'chatt'"):
        _ = django_llmcache.chatt


def test_star_gives_the_public_names():
    names: dict[str, object] = {}
    exec("from django_llmcache import *", names)

    assert names.keys() >= PUBLIC


@pytest.mark.parametrize("name", sorted(FACADE))
def test_each_function_of_the_cache_has_an_async_twin_with_the_same_arguments(name):
    function, twin = getattr(cache, name), getattr(cache, f"a{name}")

    assert inspect.iscoroutinefunction(twin)
    assert inspect.signature(function).parameters.keys() == inspect.signature(twin).parameters.keys()


def test_a_shell_offers_the_functions_of_the_cache_and_their_twins_alone():
    assert set(dir(cache)) == FACADE | {f"a{name}" for name in FACADE}


def test_the_client_has_the_functions_of_the_package_as_methods():
    for name in ("chat", "achat", "stream", "astream", "embed", "aembed"):
        function, method = getattr(django_llmcache, name), getattr(django_llmcache.LLMClient, name)
        of_function, of_method = (list(inspect.signature(found).parameters) for found in (function, method))

        assert of_function[1:] == of_method[1:]


@pytest.mark.parametrize("name", ["cache_hit", "cache_miss", "cache_put", "cache_evict", "cache_error"])
def test_each_event_has_a_signal(name):
    assert hasattr(getattr(signals, name), "connect")
