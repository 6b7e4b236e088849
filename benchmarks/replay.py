"""``python -m benchmarks replay``: what one replayed call costs, by the number of fixtures, and a whole suite.

The provider is a real HTTP server on loopback; its own counter proves that no replayed call went to it. Each question
is asked once, as a test does: what a recorder reads for it is part of the time, what it reads beforehand is not.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

from django_llmcache.contrib.demo.standin import StandIn

from . import suite
from .recorders import KEY, RECORDERS, Ours, by_openai, by_requests, installed
from .table import table
from .timing import quantile

SIZES = (1, 50, 500, 5000)
CALLS, LEAST = 300, 30
BUDGET = 20.0  # seconds: who is slower is asked less
TARGETS = {by_requests: 0.45, by_openai: 1.0}  # milliseconds a call
AHEAD = 50  # fixtures from which on nobody may be quicker
SAME = 1.3  # times the quickest size that the slowest may take
ARMING = 1.0  # milliseconds a test


def main(argv):
    parser = argparse.ArgumentParser(prog="python -m benchmarks replay", description=__doc__.partition("\n")[0])
    parser.add_argument("--most", type=int, default=max(SIZES), help="the largest number of fixtures (5,000)")
    parser.add_argument("--no-suite", action="store_true", help="leave out the suites of 200 tests (6 minutes)")
    options = parser.parse_args(argv)
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs")
    present = [recorder for recorder in RECORDERS if installed(recorder) or print(f"SKIPPED: {recorder.name}")]
    ways = [by_requests, *([by_openai] if find_spec("openai") else [])]
    sizes = [size for size in SIZES if size <= options.most]
    with StandIn(latency=0) as provider:
        _configure(provider.url)
        measured = {
            (recorder, ask, size): _measure(recorder, ask, size, provider)
            for size in sizes
            for recorder in present
            for ask in ways
            if ask in recorder.asks and size <= recorder.most
        }
        arming = _arming()
    print(f"\n{_report(measured, sizes)}\n")
    verdicts = [*_verdicts(measured, sizes), ("arming a test", arming, ARMING)]
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


def _measure(kind, ask_by, size, provider):
    """Return the milliseconds of each replayed call, sorted."""
    with tempfile.TemporaryDirectory() as folder:
        recorder = kind(Path(folder))
        with recorder.recording():
            ask = ask_by(provider.url)  # inside: some replace the class of the session
            texts = [ask(number) for number in range(size + 1)]
        asked, taken = provider.calls, []
        ended = perf_counter() + BUDGET
        while len(taken) < CALLS and (len(taken) < LEAST or perf_counter() < ended):
            taken += _round(recorder, lambda: ask_by(provider.url), texts, ended)
        assert provider.calls == asked, f"{kind.name}: {provider.calls - asked} calls went to the provider"
    return sorted(taken)


def _round(recorder, client, texts, ended):
    """Return what each question takes that is asked once; the last is asked before, for what is the client's own."""
    taken = []
    gc.collect()
    with recorder.replaying():
        ask = client()  # inside: some replace the class of the session
        assert ask(len(texts) - 1) == texts[-1]
        for call in range(min(CALLS, len(texts) - 1)):
            number = call * 7 % (len(texts) - 1)
            started = perf_counter()
            text = ask(number)
            taken.append((perf_counter() - started) * 1000)
            assert text == texts[number], f"{recorder.name} gave another answer"
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
    for recorder, ask in dict.fromkeys((recorder, ask) for recorder, ask, _ in measured):
        cells = [measured.get((recorder, ask, size)) for size in sizes]
        by = "OpenAI SDK" if ask is by_openai else "requests"
        rows.append((f"{recorder.name}, {by}", *(f"{quantile(c, 0.5):.2f} ms" if c else "-" for c in cells)))
    return table("One replayed call, median", ("", *(f"{size:,} fixtures" for size in sizes)), rows)


def _verdicts(measured, sizes):
    """Yield what was to be reached, with what was."""
    medians = {name: quantile(taken, 0.5) for name, taken in measured.items()}
    for ask in dict.fromkeys(ask for recorder, ask, _ in medians if recorder is Ours):
        by = "OpenAI SDK" if ask is by_openai else "requests"
        ours = {size: medians[Ours, ask, size] for size in sizes}
        for size, median in ours.items():
            yield f"{by}, {size:,} fixtures, milliseconds", median, TARGETS[ask]
        yield f"{by}, the slowest size by the quickest", max(ours.values()) / min(ours.values()), SAME
        for size, median in ours.items():
            with suppress(ValueError):  # no peer of that size
                peer = min(medians[key] for key in medians if key[1:] == (ask, size) and key[0] is not Ours)
                if size >= AHEAD:
                    yield f"{by}, {size:,} fixtures, by the quickest peer", median / peer, 1.0
