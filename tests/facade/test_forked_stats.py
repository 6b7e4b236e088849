"""What a forked worker counts is its own: the sum over workers has each call once."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

FORKS = """
import json, os
from django.conf import settings
settings.configure(LLMCACHE={"OPTIONS": {"MAX_ENTRIES": 1}})
from django_llmcache import LLMRequest, cache

def ask(question):
    answer = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}], "usage": {"total_tokens": 3}}
    cache.with_cache(LLMRequest("openai", payload={"model": "m", "messages": [question]}), lambda request: answer)

for question in ("one", "two", "two"):
    ask(question)
before, (here, there) = cache.stats().as_dict(), os.pipe()
if not os.fork():
    ask("two")
    os.write(there, json.dumps(cache.stats().as_dict()).encode())
    os._exit(0)
os.wait()
print(json.dumps([before, json.loads(os.read(here, 10_000)), cache.stats().as_dict()]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_keeps_the_answers_and_counts_from_zero():
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, timeout=60, check=True)

    parent, child, parent_after = json.loads(done.stdout)
    assert (parent["hits"], parent["misses"], parent["evictions"]) == (1, 2, {"capacity": 1})
    assert (child["entries"], child["hits"], child["misses"], child["puts"]) == (1, 1, 0, 0)
    assert child["evictions"] == {}
    assert parent_after == parent
