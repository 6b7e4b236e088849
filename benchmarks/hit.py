"""``python -m benchmarks hit``: a whole hit, from a new request to the answer's text, beside other caches.

All contenders run in one process, on the same bytes, in turns. Each timed call gets objects of its own, as on a
server, made before the clock starts. The provider is a real HTTP server on loopback, and its own counter proves that
no timed call went there.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
from importlib.util import find_spec
from time import perf_counter

from django_llmcache.contrib.demo.standin import Reply, StandIn

from . import hitprofile
from .contenders import CONTENDERS, KEY, Chat, Floor
from .questions import ANSWER, QUESTIONS
from .table import table
from .timing import quantile

ROUNDS = {"small": 400, "medium": 200, "large": 40}
CALLS = 10  # of one contender in a row
TARGETS = {"small": 2.5, "medium": 1.5, "large": 1.2}  # of chat(), times the floor


def main(argv):
    parser = argparse.ArgumentParser(prog="python -m benchmarks hit", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=float, default=1.0, help="times as many rounds as usual (1)")
    options = parser.parse_args(argv)
    _configure()
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs")
    present = [contender for contender in CONTENDERS if _installed(contender)]
    with StandIn(latency=0) as provider:
        os.environ["OPENAI_API_KEY"] = KEY
        _configure(provider.url)
        measured = {
            question.name: _measure(question, present, provider, max(1, int(ROUNDS[question.name] * options.rounds)))
            for question in QUESTIONS
        }
        for question in QUESTIONS:
            print(f"\n{_report(question, measured[question.name])}")
        good = [_judge(measured), _profile(QUESTIONS[0], provider, quantile(measured["small"][Chat], 0.5))]
    return 0 if all(good) else 1


def _configure(url=None):
    import django
    from django.conf import settings
    from django.core.signals import setting_changed

    llmcache = {"PROVIDERS": {"openai": {"BASE_URL": f"{url}/v1"}}} if url else {}
    if not settings.configured:
        settings.configure(INSTALLED_APPS=["django_llmcache"], LLMCACHE=llmcache, SECRET_KEY=KEY)
        django.setup()
    else:
        settings.LLMCACHE = llmcache
        setting_changed.send(sender=None, setting="LLMCACHE", value=llmcache, enter=True)


def _installed(contender):
    if contender.package is None or find_spec(contender.package) is not None:
        return True
    print(f"SKIPPED: {contender.name}, since {contender.package} is not installed")
    return False


def _measure(question, contenders, provider, rounds, *, live=None):
    """Return each contender's seconds for a hit, sorted; the one that is ``live`` has none, and is not to have any."""
    made = {
        kind: contender
        for kind in contenders
        if (contender := _warm(kind, question, provider, answers=2 if kind is live else 1)) is not None
    }
    taken = {kind: [] for kind in made}
    went_live = dict.fromkeys(made, 0)
    gc.collect()
    gc.freeze()
    for turn in range(rounds + 1):
        for kind, contender in made.items():
            asked = provider.calls
            with contender.timed():
                seconds = _seconds_each(contender, question)
            went_live[kind] += provider.calls - asked
            if turn:  # the first warms up
                taken[kind] += seconds
    return {
        kind: sorted(seconds)
        for kind, seconds in taken.items()
        if kind is live or _never(kind, question, went_live[kind])
    }


def _profile(question, provider, median):
    chat = _warm(Chat, question, provider, answers=1)
    return hitprofile.report(chat, lambda: chat.given(question.fresh()), median)


def _never(kind, question, went_live):
    """Return whether no timed call went to the provider: one that did is no hit."""
    if not went_live:
        return True
    assert kind.package, f"{kind.name}: {went_live} timed calls went to the provider"
    print(f"SKIPPED: {kind.name} on a {question.name} request, since it asked the provider {went_live} times")
    return False


def _warm(kind, question, provider, *, answers):
    """Return a contender that has the answer, ``None`` where somebody else's does not work here."""
    provider.script(*[Reply(body=ANSWER)] * answers)
    try:
        contender = kind(provider.url)
        texts = {contender(*contender.given(question.fresh())) for _ in range(2)}
    except Exception as error:
        if kind.package is None:
            raise
        print(f"SKIPPED: {kind.name} on a {question.name} request: {error!r:.200}")
        return None
    assert len(texts) == 1, f"{kind.name}: two answers to one question"
    return contender


def _seconds_each(contender, question):
    seconds = []
    for _ in range(CALLS):
        given = contender.given(question.fresh())  # just made, as a caller's is
        started = perf_counter()
        contender(*given)
        seconds.append(perf_counter() - started)
    return seconds


def _report(question, measured, base=Floor, base_name="the floor"):
    unit = quantile(measured[base], 0.5)
    return table(
        f"A hit on a {question.name} request, {len(question.body) / 1000:.1f} KB (x: times {base_name})",
        ("", "median", "x", "p99"),
        [
            (
                contender.name,
                f"{quantile(seconds, 0.5) * 1e6:,.1f} µs",
                f"{quantile(seconds, 0.5) / unit:.2f}",
                f"{quantile(seconds, 0.99) * 1e6:,.1f} µs",
            )
            for contender, seconds in measured.items()
        ],
    )


def _judge(measured):
    """Print whether chat() met its targets; return whether it met all."""
    print("\nchat(), times the floor")
    ratios = {name: quantile(m[Chat], 0.5) / quantile(m[Floor], 0.5) for name, m in measured.items()}
    for name, ratio in ratios.items():
        print(f"  {'met' if ratio <= TARGETS[name] else 'MISSED':8}{name}: {ratio:.2f} of {TARGETS[name]}")
    print("\nThe provider's own counter: none of these calls went to it.")
    return all(ratio <= TARGETS[name] for name, ratio in ratios.items())
