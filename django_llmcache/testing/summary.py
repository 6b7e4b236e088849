"""What a run did: one block at its end, over all of its processes."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from django_llmcache import conf, variables
from django_llmcache.recorder.exchange import Outgoing
from django_llmcache.recorder.fixture import Fixture
from django_llmcache.recorder.reading import usage_of
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.takes import without_block
from django_llmcache.recorder.unnamed import naming

COUNTS: Final = ("replayed", "recorded", "live", "missed")

_tokens: dict[str | None, int] = {}


class Test(NamedTuple):
    """One test, or one set-up.

    Attributes:
        id: as the test runner gives it.
        mode: that it ran in.
        passed: whether it did, as far as its session knows.
    """

    id: str
    mode: str
    passed: bool


class _Run(NamedTuple):
    """A run as the process knows it that gathers it.

    Attributes:
        process: its id.
        log: where its workers note what they do, ``None`` outside of any run.
        lines: what it has done itself, which need not go through the file.
    """

    process: int
    log: str | None
    lines: list[dict[str, Any]]


_run = _Run(os.getpid(), None, [])


def add(session: Session, written: Iterable[Path], *, passed: bool) -> None:
    """Note what one test did."""
    _note({
        "test": session.test,
        "is_test": session.is_test,
        "mode": session.mode,
        "passed": passed,
        "calls": {name: session.counts[name] for name in COUNTS},
        "written": [str(path) for path in written],
        "expired": [*session.expired],
        "leaks": [*session.leaks],
        "unkept": 0 if session.gave_up else session.counts["unkept"],  # of a skip a warning tells
        "unnamed": sorted(session.unnamed.hosts),
        "unanswered": [_request(provider, asked) for provider, asked in session.unanswered],
        "tokens": sum(map(_tokens_of, session.replayed)),
        "seconds": sum(fixture.response.elapsed for fixture in session.replayed) / 1000,
    })  # fmt: skip


def add_found(tests: Iterable[str]) -> None:
    """Note which live_api tests there are, whether they run or not."""
    _note({"found": list(tests)})


def add_skipped(test: str, why: str) -> None:
    """Note that a test was skipped, or what a class sets up, since the test cache is off."""
    _note({"skipped": test, "why": why})


def add_stopped(test: str) -> None:
    """Note that a test could not run, since a miss kept from it what it shares with others."""
    _note({"stopped": test})


def take_back(paths: Iterable[Path]) -> None:
    """Note that what was recorded is removed again, since its test has failed."""
    _note({"taken_back": [str(path) for path in paths]})


def tests() -> list[Test]:
    """Return the tests and the set-ups of this run so far, in all of its processes."""
    return [Test(line["test"], line["mode"], line["passed"]) for line in _lines() if "test" in line]


def found() -> set[str]:
    """Return the live_api tests that there are."""
    return {test for line in _lines() for test in line.get("found", ())}


def unnamed() -> set[str]:
    """Return the hosts that were asked though no setting names them."""
    return {host for line in _lines() for host in line.get("unnamed", ())}


def skipped_lines() -> list[str]:
    """Return what to say of tests that were skipped, by what was said to each; an ordinary run says it nowhere."""
    whys = {line["skipped"]: line["why"] for line in _lines() if "skipped" in line}
    return [f"live_api: {number} skipped. {why}" for why, number in Counter(whys.values()).items()]


@contextmanager
def of_a_run() -> Iterator[None]:
    """Gather what this process and the workers that it starts do, from here on."""
    global _run
    if conf.environment(conf.RUN_LOG) is not None:
        yield  # a worker: whoever started it gathers
        return
    descriptor, path = tempfile.mkstemp(prefix="llmcache-run-", suffix=".jsonl")
    os.close(descriptor)
    outer, _run = _run, _Run(os.getpid(), path, [])  # a test of the run may start one of its own
    try:
        with conf.placed({conf.RUN_LOG: path}):
            yield
    finally:
        _run = outer
        _parsed.cache_clear()
        Path(path).unlink(missing_ok=True)


def lines(unused: Iterable[Path] = ()) -> list[str]:
    """Return the block to show, empty when no test used the recorder.

    Args:
        unused: fixtures that no test of a full run asked for.
    """
    everything = _lines()
    gone = {path for line in everything for path in line.get("taken_back", ())}
    noted = [_without(line, gone) for line in everything if "test" in line]
    ran = _with_blocks([line for line in noted if line["is_test"]])
    if not ran and not any(line["calls"][name] for line in noted for name in COUNTS):
        return []
    calls: Counter[str] = Counter()
    for line in noted:
        calls.update(line["calls"])
    stopped = {line["stopped"] for line in everything if "stopped" in line}
    kinds = Counter(_kind(line, stopped) for line in ran)
    made = ", ".join(f"{calls[name]} {name}" for name in COUNTS if calls[name])
    told = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    shown = [
        f"live_api: {len(ran)} tests" + (f": {told}" if kinds else ""),
        *_of_what_is_shared(noted),
        f"calls: {made or 'none'}",
        *_of_what_failed(noted),
        f"saved: {sum(line['tokens'] for line in noted):,} tokens, {sum(line['seconds'] for line in noted):,.1f} s",
    ]
    for name, heading in _LISTED.items():
        named = sorted({each for line in noted for each in line[name]})
        shown += [f"{heading}: {len(named)}", *(f"  {each}" for each in named[:_SHOWN])] if named else []
        shown += [f"  to record them: {naming(named[:_SHOWN])}"] if named and name == "unnamed" else []
    left = sorted(map(str, unused))
    shown += [f"fixtures that no test used: {len(left)}", *(f"  {each}" for each in left[:_SHOWN])] if left else []
    return shown


def _of_what_is_shared(noted: Iterable[dict[str, Any]]) -> list[str]:
    """Return what to say of misses where no test was under way: unittest runs none of those that needed it."""
    missed = {line["test"] for line in noted if not line["is_test"] and line["calls"]["missed"]}
    return [f"set-ups and tear-downs: {len(missed)} failed on a miss"] if missed else []


def _of_what_failed(noted: Iterable[dict[str, Any]]) -> list[str]:
    """Return what to say of answers that were asked for and thrown away; of a test that ran again, the last."""
    last = {line["test"]: line["unkept"] for line in noted}
    answers, tests = sum(last.values()), len({without_block(test) for test, unkept in last.items() if unkept})
    if not answers:
        return []
    told = f"{answers} answer{'s' * (answers > 1)} of {tests} test{'s' * (tests > 1)} that failed"
    return [f"not kept: {told}; the next run asks again"]


def _without(line: dict[str, Any], gone: Collection[str]) -> dict[str, Any]:
    """Return a line less the fixtures that were removed again: the calls were live, and not kept."""
    kept = [path for path in line["written"] if path not in gone]
    lost, calls = len(line["written"]) - len(kept), line["calls"]
    changed = {"recorded": calls["recorded"] - lost, "live": calls["live"] + lost}
    return line | {"written": kept, "calls": calls | changed, "unkept": line["unkept"] + lost}


def _with_blocks(ran: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a line for each test, with the calls of the blocks that it asked in; of one that ran again, the last."""
    named: dict[str, dict[str, Any]] = {}
    for line in sorted(ran, key=lambda line: without_block(line["test"]) != line["test"]):  # blocks after their tests
        test, calls = without_block(line["test"]), Counter(line["calls"])
        if test == line["test"]:
            named[test] = line | {"calls": calls}
        else:
            named.setdefault(test, {"test": test, "calls": Counter()})["calls"].update(calls)
    return list(named.values())


_LISTED: Final = {
    "written": "recorded", "expired": "expired", "leaks": "asked past the recorder",
    "unnamed": "asked at hosts that no setting names as a provider's",
}  # fmt: skip
"""What of each line is listed, and under which heading."""

_SHOWN: Final = 20


def _note(line: dict[str, Any]) -> None:
    """Keep a line; a worker's in the run's log, so that its tests are counted where the run ends."""
    path = variables.said(conf.RUN_LOG)
    if path is None or (_run.process == os.getpid() and _run.log == path):
        _run.lines.append(line)
        return
    # One write of a line at the end: processes don't mix theirs.
    with open(path, "ab", buffering=0) as log:  # noqa: PTH123 - a Path would take longer, for each test
        log.write(orjson.dumps(line) + b"\n")


def _request(provider: str, asked: Outgoing) -> dict[str, Any]:
    return {
        "provider": provider, "method": asked.method, "url": asked.url, "headers": asked.headers,
        "body": asked.body.decode("utf-8", "replace"),
    }  # fmt: skip


def _kind(line: Mapping[str, Any], stopped: Collection[str]) -> str:
    calls = line["calls"]
    if calls["missed"] or (line["test"] in stopped and not line.get("passed")):  # it may have run again since
        return "failed on a miss"
    if line.get("leaks") and not calls["recorded"]:
        return "live"
    return next((kind for kind in ("recorded", "live", "replayed") if calls[kind]), "without a call")


def _tokens_of(fixture: Fixture) -> int:
    """Return the tokens of an answer; it is read once, however often it is replayed."""
    known = _tokens.get(fixture.file)
    if known is None:
        known = _tokens[fixture.file] = usage_of(fixture.response).total_tokens
    return known


def _lines() -> list[dict[str, Any]]:
    path = variables.said(conf.RUN_LOG)
    return [*_run.lines, *(_read(path) if path else ())]


def _read(path: str) -> tuple[dict[str, Any], ...]:
    try:
        return _parsed(path, Path(path).stat().st_size)
    except FileNotFoundError:  # a test may clear its folder for temporary files
        return ()


@lru_cache(maxsize=1)  # it is asked several things at the end
def _parsed(path: str, size: int) -> tuple[dict[str, Any], ...]:
    """Return the lines in the first bytes of a log, which only ever grows."""
    with Path(path).open("rb") as log:
        whole, _, _ = log.read(size).rpartition(b"\n")  # others may be at the last line
    return tuple(orjson.loads(line) for line in whole.splitlines() if line)
