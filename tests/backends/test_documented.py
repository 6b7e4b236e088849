"""The settings that docs/backends.md shows work as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core import checks
from django.core.cache import caches
from django.test import override_settings

from django_llmcache import LLMRequest, backends, cache
from tests import stores

PAGE = (Path(__file__).parents[2] / "docs" / "backends.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
REQUEST = LLMRequest("openai", operation="search", model="m-1", payload={"number": 1})


@pytest.fixture(params=BLOCKS, ids=lambda block: block.splitlines()[0][:20])
def settings_shown(request, tmp_path):
    """Put a block's settings in force, with the servers of this machine."""
    shown = {}
    exec(request.param, shown)
    aliases = shown.get("CACHES", {"default": caches.settings["default"]})
    if "llm" in aliases:
        aliases["llm"]["LOCATION"] = stores.alias_for("redis", tmp_path)["LOCATION"]
    with override_settings(CACHES=aliases, LLMCACHE=shown["LLMCACHE"]):
        yield
        backends.current().close()
        backends.empty()


@pytest.mark.usefixtures("settings_shown")
def test_the_checks_find_nothing_in_them():
    found = checks.run_checks(tags=["llmcache"], include_deployment_checks=True)

    assert [message.id for message in found if message.level >= checks.ERROR] == []
    assert not [message for message in found if message.id == "llmcache.W006"]


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
    assert len(BLOCKS) >= 2
