"""How many LLM calls a block makes: ``with assert_llm_calls(1): …``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django_llmcache.signals import cache_hit, cache_miss


class Calls:
    """What a block asked: each call's details as the signals give them."""

    def __init__(self) -> None:
        self.live: list[dict[str, Any]] = []
        self.hits: list[dict[str, Any]] = []


@contextmanager
def assert_llm_calls(number: int, *, hits: int | None = None) -> Iterator[Calls]:
    """Make sure that a block asks providers so many times; a call that the response cache answers is a hit.

    Args:
        number: of calls that went on to a provider, or to the recorder in its place.
        hits: of calls that the response cache answered; ``None`` for any number.

    Raises:
        AssertionError: it made more or fewer; the message lists them.
    """
    calls = Calls()

    def on_miss(sender: Any, **details: Any) -> None:
        details.pop("signal")
        calls.live.append(details)

    def on_hit(sender: Any, **details: Any) -> None:
        details.pop("signal")
        calls.hits.append(details)

    cache_miss.connect(on_miss)
    cache_hit.connect(on_hit)
    try:
        yield calls
    finally:
        cache_miss.disconnect(on_miss)
        cache_hit.disconnect(on_hit)
    if len(calls.live) != number or (hits is not None and len(calls.hits) != hits):
        raise AssertionError(_difference(calls, number, hits))


def _difference(calls: Calls, number: int, hits: int | None) -> str:
    wanted = f"{number} calls" + ("" if hits is None else f" and {hits} hits")
    told = [f"  live  {call['provider']} {call['model']}" for call in calls.live]
    told += [f"  hit   {call['provider']} {call['model']}" for call in calls.hits]
    return "\n".join([f"Expected {wanted}; there were {len(calls.live)} and {len(calls.hits)}:", *told])
