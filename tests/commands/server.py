"""A web worker with a real cache for the tests: asks as each line of stdin says, tells what came on stdout.

Run as ``python -m tests.commands.server '{"LLMCACHE": {…}}'``; the lines are ``ask PROVIDER MODEL TAG SCOPE``.
"""

from __future__ import annotations

import json
import sys

from django.conf import settings

from tests.workers.worker import tell

ANSWER = b"""{
    "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 4, "completion_tokens": 3}
}"""


def ask(provider: str, model: str, tag: str, scope: str) -> None:
    """Ask a provider that is a plain function."""
    from django_llmcache import CachePolicy, LLMRequest, cache

    request = LLMRequest(provider, payload={"model": model, "messages": [{"role": "user", "content": tag}]})
    answer = cache.with_cache(request, lambda _request: ANSWER, policy=CachePolicy(tags=[tag], scope=scope))
    tell("answered", from_cache=answer.from_cache, key=answer.cache.key)


def main(configuration: str) -> None:
    """Configure Django, and ask until stdin ends."""
    settings.configure(**json.loads(configuration))
    from django_llmcache import cache, workers

    assert cache.stats().entries == 0
    tell("ready")
    for line in sys.stdin:
        match line.split():
            case ["ask", *words]:
                ask(*words)
            case ["call"]:
                workers.current().poll()
                tell("called")


if __name__ == "__main__":
    main(*sys.argv[1:])
