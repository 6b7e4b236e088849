"""The settings that docs/backends.md shows work as they stand."""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.core import checks
from django.core.cache import caches
from django.test import override_settings

from django_llmcache import LLMRequest, backends, cache
from tests import stores

PAGE = (Path(__file__).parents[2] / "docs" / "backends.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
REQUEST = LLMRequest("openai", operation="search", model="m-1", payload={"number": 1})


@contextmanager
def place_for(alias, tmp_path, unblocked):
    """Have an alias' place made on this machine; yield its LOCATION."""
    kinds = {"redis": "redis", "memcached": "memcached", "db": "database"}
    kind = next(kind for module, kind in kinds.items() if f".{module}." in alias["BACKEND"])
    if kind == "database":
        with unblocked, stores.table_in(stores.database_for("sqlite", tmp_path), tmp_path):
            yield settings.CACHES["llm"]["LOCATION"]
    else:
        yield stores.alias_for(kind, tmp_path)["LOCATION"]


@pytest.fixture(params=BLOCKS, ids=range(len(BLOCKS)))
def settings_shown(request, tmp_path, django_db_blocker):
    """Put a block's settings in force, with the servers of this machine; return them."""
    shown = {}
    exec(request.param, shown)
    aliases = shown.get("CACHES", {"default": caches.settings["default"]})
    with ExitStack() as stack:
        if "llm" in aliases:
            place = place_for(aliases["llm"], tmp_path, django_db_blocker.unblock())
            aliases["llm"]["LOCATION"] = stack.enter_context(place)
        stack.enter_context(override_settings(CACHES=aliases, LLMCACHE=shown["LLMCACHE"]))
        yield aliases
        backends.current().close()
        backends.empty()


def test_the_checks_find_nothing_in_them(settings_shown):
    found = checks.run_checks(tags=["llmcache"], include_deployment_checks=True)
    pickles = "DatabaseCache" in settings_shown.get("llm", {}).get("BACKEND", "")

    assert [message.id for message in found if message.level >= checks.ERROR] == []
    assert any(message.id == "llmcache.W006" for message in found) is pickles


@pytest.mark.usefixtures("settings_shown")
def test_an_answer_is_kept_with_them():
    asked = []

    def call(request):
        asked.append(request)
        return {"found": 1}

    cache.with_cache(REQUEST, call)

    assert cache.with_cache(REQUEST, call).from_cache
    assert len(asked) == 1


def test_there_are_blocks():
    assert len(BLOCKS) >= 4
