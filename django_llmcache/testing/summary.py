"""What a run did: one block at its end, over all of its processes."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson

from django_llmcache import bodies, conf
from django_llmcache.recorder.exchange import Incoming, Outgoing
from django_llmcache.recorder.session import Session

COUNTS: Final = ("replayed", "recorded", "live", "missed")

_here: list[dict[str, Any]] = []


def add(session: Session, written: Iterable[Path], *, passed: bool) -> None:
    """Note what one test did: in the run's log, so that a worker's tests are counted where the run ends."""
    line = {
        "test": session.test,
        "passed": passed,
        "calls": {name: session.counts[name] for name in COUNTS},
        "written": [str(path) for path in written],
        "expired": session.expired,
        "leaks": session.leaks,
        "unanswered": [_request(provider, asked) for provider, asked in session.unanswered],
        "tokens": sum(_tokens(fixture.response) for fixture in session.replayed),
        "seconds": sum(fixture.response.elapsed for fixture in session.replayed) / 1000,
    }
    path = conf.environment(conf.RUN_LOG)
    if path is None:
        _here.append(line)
        return
    with Path(path).open("ab") as log:  # one write of a line at the end: processes don't mix theirs
        log.write(orjson.dumps(line) + b"\n")


@contextmanager
def of_a_run() -> Iterator[None]:
    """Gather what this process and the workers that it starts do, from here on."""
    if conf.environment(conf.RUN_LOG) is not None:
        yield  # a worker: whoever started it gathers
        return
    descriptor, path = tempfile.mkstemp(prefix="llmcache-run-", suffix=".jsonl")
    os.close(descriptor)
    _here.clear()
    try:
        with conf.placed({conf.RUN_LOG: path}):
            yield
        _here.extend(_lines(Path(path)))
    finally:
        Path(path).unlink(missing_ok=True)


def lines(unused: Iterable[Path] = ()) -> list[str]:
    """Return the block to show, empty when no test used the recorder.

    Args:
        unused: fixtures that no test of a full run asked for.
    """
    path = conf.environment(conf.RUN_LOG)
    tests = [*_here, *(_lines(Path(path)) if path else ())]
    if not tests:
        return []
    calls: Counter[str] = Counter()
    for test in tests:
        calls.update(test["calls"])
    kinds = Counter(_kind(test) for test in tests)
    shown = [
        f"live_api: {len(tests)} tests: " + ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())),
        "calls: " + ", ".join(f"{calls[name]} {name}" for name in COUNTS if calls[name]),
        f"saved: {sum(test['tokens'] for test in tests):,} tokens, {sum(test['seconds'] for test in tests):,.1f} s",
    ]
    for name, heading in (("written", "recorded"), ("expired", "expired"), ("leaks", "asked past the recorder")):
        found = sorted({each for test in tests for each in test[name]})
        shown += [f"{heading}: {len(found)}", *(f"  {each}" for each in found[:_SHOWN])] if found else []
    left = sorted(map(str, unused))
    shown += [f"fixtures that no test used: {len(left)}", *(f"  {each}" for each in left[:_SHOWN])] if left else []
    return shown


_SHOWN: Final = 20


def _request(provider: str, asked: Outgoing) -> dict[str, Any]:
    return {
        "provider": provider, "method": asked.method, "url": asked.url, "headers": asked.headers,
        "body": asked.body.decode("utf-8", "replace"),
    }  # fmt: skip


def _kind(test: Mapping[str, Any]) -> str:
    calls = test["calls"]
    if calls["missed"]:
        return "failed on a miss"
    return next((kind for kind in ("live", "recorded", "replayed") if calls[kind]), "without a call")


def _tokens(response: Incoming) -> int:
    try:
        return bodies.usage_of(orjson.loads(response.body)).total_tokens
    except orjson.JSONDecodeError:
        return 0


def _lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines() if line]
