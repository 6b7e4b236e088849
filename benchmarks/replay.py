"""``python -m benchmarks replay``: what one replayed call costs, by the number of fixtures, and a whole suite.

The provider is a real HTTP server on loopback; its own counter proves that no replayed call went to it. Each question
is asked once, as a test does: what a recorder reads for it is part of the time, what it reads beforehand is not. "Asked
again" is a question that a test of the same run has asked before.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import platform
import tempfile
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

from django_llmcache.contrib.demo.standin import StandIn

from . import suite
from .recorders import KEY, RECORDERS, Files, Nothing, Ours, by_openai, by_requests, installed
from .table import table
from .timing import quantile

SIZES = (1, 50, 500, 5000)
ROUNDS = 5  # the best of them: others use the machine too, now more and now less
CALLS, LEAST = 60, 10
BUDGET = 2.0  # seconds a round: who is slower is asked less
TARGETS = {by_requests: 0.45, by_openai: 1.0}  # milliseconds a call
AHEAD = 50  # fixtures from which on nobody may be quicker
SAME = 1.3  # times the quickest size that the slowest may take
ARMING = 1.0  # milliseconds a test


def main(argv):
    parser = argparse.ArgumentParser(prog="python -m benchmarks replay", description=__doc__.partition("\n")[0])
    parser.add_argument("--most", type=int, default=max(SIZES), help="the largest number of fixtures (5,000)")
    parser.add_argument("--no-suite", action="store_true", help="leave out the suites of 200 tests (5 minutes)")
    options = parser.parse_args(argv)
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs")
    present = [recorder for recorder in RECORDERS if installed(recorder) or print(f"SKIPPED: {recorder.name}")]
    ways = [by_requests, *([by_openai] if find_spec("openai") else [])]
    sizes = [size for size in SIZES if size <= options.most]
    with StandIn(latency=0) as provider, ExitStack() as stack:
        _configure(provider.url)
        cells = [
            _Cell(recorder, ask, size, again, provider, Path(stack.enter_context(tempfile.TemporaryDirectory())))
            for size in sizes
            for recorder in present
            for ask in ways
            for again in ((False, True) if recorder is Ours else (False,))
            if ask in recorder.asks and size <= recorder.most
        ]
        armed = []
        for _ in range(ROUNDS):
            for cell in cells:
                cell.ask_all()
            armed.append(_arming())
        measured = {cell.name: cell.best for cell in cells}
    print(f"\n{_report(measured, sizes)}\n")
    verdicts = [*_verdicts(measured, sizes), ("arming a test, milliseconds", min(armed), ARMING)]
    for what, found, target in verdicts:
        print(f"  {'met' if found <= target else 'MISSED':8}{what}: {found:.2f} of {target:.2f}")
    met = all(found <= target for _, found, target in verdicts)
    if not options.no_suite:
        print()
        met = suite.run() and met
    return 0 if met else 1


def _configure(url):
    import django
    from django.conf import settings

    from django_llmcache.testing.setups import running_pytest

    os.environ["OPENAI_API_KEY"] = KEY
    providers = {"openai": {"BASE_URL": f"{url}/v1"}}
    settings.configure(INSTALLED_APPS=["django_llmcache"], LLMCACHE={"PROVIDERS": providers}, SECRET_KEY=KEY)
    django.setup()
    running_pytest()


class _Cell:
    """One recorder with so many fixtures, asked in one way: each question once, or again."""

    def __init__(self, kind, ask_by, size, again, provider, folder):
        self.name = (kind, ask_by, again, size)
        self._again = again
        self.best = math.inf  # milliseconds: the least of the rounds' medians
        self._recorder, self._ask_by, self._provider = kind(folder), ask_by, provider
        with self._recorder.recording():
            ask = ask_by(provider.url)  # inside: some replace the class of the session
            self._texts = [ask(number) for number in range(size + 1)]

    def ask_all(self):
        asked, ended, taken = self._provider.calls, perf_counter() + BUDGET, []
        gc.collect()  # once: where one fixture is asked for at a time, it would be cold after each
        while len(taken) < CALLS and (len(taken) < LEAST or perf_counter() < ended):
            with self._recorder.replaying():
                taken += self._each_once(self._ask_by(self._provider.url), ended)
        assert self._provider.calls == asked, f"{self._recorder.name}: some calls went to the provider"
        self.best = min(self.best, quantile(sorted(taken), 0.5))

    def _each_once(self, ask, ended):
        """Return what each question takes; the last is asked before, for what is the client's own."""
        *texts, last = self._texts
        assert ask(len(texts)) == last
        numbers, taken = [call * 7 % len(texts) for call in range(min(CALLS, len(texts)))], []
        for number in numbers if self._again else ():
            ask(number)
        for number in numbers:
            started = perf_counter()
            text = ask(number)
            taken.append((perf_counter() - started) * 1000)
            assert text == texts[number], f"{self._recorder.name} gave another answer"
            if len(taken) >= LEAST and perf_counter() > ended:
                break
        return taken


def _arming():
    """Return the milliseconds of a replaying test that asks nothing."""
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        recorder = Ours(Path(folder))
        with recorder.switched_on():
            for _ in range(CALLS):
                started = perf_counter()
                with recorder.armed("replay"):
                    pass
                taken.append((perf_counter() - started) * 1000)
    return quantile(sorted(taken), 0.5)


def _report(measured, sizes):
    rows = []
    for recorder, ask, again in dict.fromkeys(key[:3] for key in measured):
        cells = [measured.get((recorder, ask, again, size)) for size in sizes]
        rows.append((f"{recorder.name}, {_way(ask, again)}", *(f"{cell:.2f} ms" if cell else "-" for cell in cells)))
    return table(
        f"One replayed call, the best median of {ROUNDS} rounds", ("", *(f"{size:,} fixtures" for size in sizes)), rows
    )


def _verdicts(measured, sizes):
    """Yield what was to be reached, with what was."""
    for ask, again in dict.fromkeys(key[1:3] for key in measured if key[0] is Ours):
        by = _way(ask, again)
        ours = {size: measured[Ours, ask, again, size] for size in sizes}
        for size, median in ours.items():
            yield f"{by}, {size:,} fixtures, milliseconds", median, TARGETS[ask]
        yield f"{by}, the slowest size by the quickest", max(ours.values()) / min(ours.values()), SAME
        for size, median in ours.items():
            with suppress(ValueError):  # no peer of that size
                peer = min(
                    median
                    for (recorder, way, _, number), median in measured.items()
                    if (way, number) == (ask, size) and recorder not in (Ours, Nothing, Files)
                )
                if size >= AHEAD:
                    yield f"{by}, {size:,} fixtures, by the quickest peer", median / peer, 1.0


def _way(ask, again):
    return ("OpenAI SDK" if ask is by_openai else "requests") + (", asked again" if again else "")
