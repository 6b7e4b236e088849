"""``python -m benchmarks replay``: what one replayed call costs, by the number of fixtures, and a whole suite.

The provider is a real HTTP server on loopback; its own counter proves that no replayed call went to it.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import tempfile
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

from django_llmcache.contrib.demo.standin import StandIn

from . import suite
from .recorders import KEY, RECORDERS, Ours, by_openai, by_requests, installed
from .table import table
from .timing import quantile

SIZES = (1, 50, 500, 5000)
CALLS = 300
SLOW = 1000  # from here on only ours: the others take minutes to be set up
TARGETS = {by_requests: 0.45, by_openai: 1.0}  # milliseconds a call


def main(argv):
    parser = argparse.ArgumentParser(prog="python -m benchmarks replay", description=__doc__.partition("\n")[0])
    parser.add_argument("--most", type=int, default=max(SIZES), help="the largest number of fixtures (5,000)")
    parser.add_argument("--no-suite", action="store_true", help="leave out the suite of 200 tests (3 minutes)")
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
            if ask in recorder.asks and (size < SLOW or recorder is Ours)
        }
    print(f"\n{_report(measured, sizes)}")
    met = _judge(measured)
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
            texts = [ask(number) for number in range(size)]
        asked, taken = provider.calls, []
        gc.collect()
        with recorder.replaying():
            ask = ask_by(provider.url)
            for call in range(CALLS + 20):
                number = call * 7 % size
                started = perf_counter()
                text = ask(number)
                taken.append((perf_counter() - started) * 1000)
                assert text == texts[number], f"{kind.name} gave another answer"
        assert provider.calls == asked, f"{kind.name}: {provider.calls - asked} calls went to the provider"
    return sorted(taken[20:])


def _report(measured, sizes):
    rows = []
    for recorder, ask in dict.fromkeys((recorder, ask) for recorder, ask, _ in measured):
        cells = [measured.get((recorder, ask, size)) for size in sizes]
        by = "OpenAI SDK" if ask is by_openai else "requests"
        rows.append((f"{recorder.name}, {by}", *(f"{quantile(c, 0.5):.2f} ms" if c else "-" for c in cells)))
    return table("One replayed call, median", ("", *(f"{size:,} fixtures" for size in sizes)), rows)


def _judge(measured):
    print()
    met = True
    for (recorder, ask, size), taken in measured.items():
        if recorder is Ours:
            median, target = quantile(taken, 0.5), TARGETS[ask]
            met = met and median <= target
            by = "OpenAI SDK" if ask is by_openai else "requests"
            print(f"  {'met' if median <= target else 'MISSED':8}{by}, {size:,} fixtures: {median:.2f} of {target} ms")
    return met
