"""What ``manage.py llmcache doctor`` finds: what is set, what is instrumented, and whether anything is cached."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

import orjson
import requests
from django.core import checks

from django_llmcache import backends, cache, conf, providers
from django_llmcache.backends.base import BaseBackend
from django_llmcache.backends.unavailable import UnavailableBackend
from django_llmcache.checks import TAG
from django_llmcache.client import LLMClient
from django_llmcache.contrib.demo.show import no_proxy
from django_llmcache.contrib.demo.standin import StandIn
from django_llmcache.credentials import shown
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.management.remedies import diagnosis_of, obstacle
from django_llmcache.policies import policy
from django_llmcache.sitestats import publisher
from django_llmcache.transports import cached_client, cached_session
from django_llmcache.workers.folder import of_this_process

SCOPE: Final = "llmcache-doctor"
LASTS: Final = 60.0
"""Seconds for which a store that is elsewhere keeps what the dry run stored, out of everybody's reach."""

NOT_MADE: Final = "llmcache.W009"
"""The check that tells of a backend that could not be made: no error of a deployment, which goes on, but one here."""

LIBRARIES: Final = ("requests", "httpx2", "httpx")
_BODY: Final[dict[str, Any]] = {"model": "gpt-4-turbo", "messages": [{"role": "user", "content": "Test"}]}
_NO_KEY: Final = "the stand-in asks for none"


class Seen(NamedTuple):
    """Where one answer of the dry run came from, and what was against storing it."""

    from_cache: bool
    reason: str | None = None


Way = Callable[[Mapping[str, Any]], Seen]


class Finding(NamedTuple):
    """One line of the report; ``wrong`` says whether it is one to mend."""

    name: str
    text: str
    wrong: bool = False


class Diagnosis(NamedTuple):
    """All that was found."""

    findings: tuple[Finding, ...]

    @property
    def problem(self) -> str | None:
        """Return what to mend, ``None`` where all is well."""
        wrong = [f"{finding.name}: {finding.text}" for finding in self.findings if finding.wrong]
        return "\n".join(wrong) or None

    def as_text(self) -> str:
        """Return a line for each finding."""
        return "\n".join(f"{finding.name:<14} {finding.text}" for finding in self.findings)

    def as_json(self) -> str:
        """Return one JSON object: the findings with their names, and the problems."""
        found: dict[str, list[str]] = {}
        for finding in self.findings:
            found.setdefault(finding.name, []).append(finding.text)
        wrong = [f"{finding.name}: {finding.text}" for finding in self.findings if finding.wrong]
        return orjson.dumps({**found, "problems": wrong}, option=orjson.OPT_INDENT_2).decode()


def examine() -> Diagnosis:
    """Look at the settings and make a dry run, to a stand-in provider on loopback; nothing of it is kept."""
    findings = list(_checks())
    try:
        settings = conf.current()
    except ConfigurationError as error:
        return Diagnosis((*findings, Finding("settings", str(error), wrong=True)))
    findings += _settings(settings)
    findings += _instrumented(settings)
    against = obstacle(settings, _BODY["model"])
    findings += _dry_run() if against is None else [Finding("dry run", f"none: {against}")]
    return Diagnosis(tuple(findings))


def _checks() -> Iterator[Finding]:
    messages = checks.run_checks(tags=[TAG])
    if not messages:
        yield Finding("checks", "nothing is wrong with the settings")
    for message in messages:
        wrong = message.is_serious() or message.id == NOT_MADE
        yield Finding("checks", f"{message.id}: {message.msg} {message.hint or ''}".strip(), wrong=wrong)


def _settings(settings: conf.Settings) -> Iterator[Finding]:
    yield Finding("strategy", settings.strategy)
    with suppress(ConfigurationError):  # the checks tell of it
        backend = backends.current()
        if isinstance(backend, UnavailableBackend):
            yield Finding("backend", f"none: {NOT_MADE} says why")
        else:
            kind = "each process has its own" if backend.in_process else "shared"
            yield Finding("backend", f"{backend.name}: {kind}")
            yield from _store(backend)
    yield Finding("middleware", ", ".join(path.rpartition(".")[2] for path in settings.middleware) or "none")
    if not any(path.endswith(".CacheMiddleware") for path in settings.middleware):
        yield Finding("middleware", "CacheMiddleware is not in MIDDLEWARE: is another in its place?")
    if not settings.cache_by_default:
        yield Finding("cached", "calls that say cache=True alone: CACHE_BY_DEFAULT is False")
    yield Finding("scope", settings.scope or ("none; REQUIRE_SCOPE is True" if settings.require_scope else "none"))
    for name in providers.names():
        with suppress(ConfigurationError):
            provider = providers.get(name)
            source = _key_from(provider, settings)
            if source is not None or name in settings.providers:
                yield Finding("provider", f"{name} at {shown(provider.base_url)}: {source or 'no API key'}")


def _store(backend: BaseBackend) -> Iterator[Finding]:
    """Ask a store that is elsewhere, and tell whether it answers: this process' breaker alone knows nothing yet."""
    breaker = getattr(backend, "breaker", None)
    if breaker is None:
        return
    started = time.perf_counter()
    try:
        backend.mark()
    except Exception as error:
        said = f"it does not answer; breaker {breaker.state}. {diagnosis_of(error, backend)}"
        yield Finding("store", said, wrong=True)
    else:
        took = (time.perf_counter() - started) * 1000
        yield Finding("store", f"it answers, in {took:.1f} ms; breaker {breaker.state}")
        yield from _clears(backend)


def _clears(backend: BaseBackend) -> Iterator[Finding]:
    """Tell of a store that lets nothing be cleared: a user of Redis may lack a command that a look-up does without."""
    try:
        backend.rehearse_clear()
    except Exception as error:
        yield Finding("store", f"it takes no clear. {diagnosis_of(error, backend)}", wrong=True)


def _key_from(provider: providers.Provider, settings: conf.Settings) -> str | None:
    if settings.providers.get(provider.name, {}).get("API_KEY"):
        return "API key from the settings"
    if provider.key_variable and conf.environment(provider.key_variable):
        return f"API key from {provider.key_variable}"
    return None


def _instrumented(settings: conf.Settings) -> Iterator[Finding]:
    if not settings.instrument:
        yield Finding("instrumented", "nothing: LLMCACHE['INSTRUMENT'] is False")
        return
    instrument: Any = sys.modules.get("django_llmcache.transports.instrument")
    done = instrument.installed() if instrument is not None else []
    for name in LIBRARIES:
        if name in done:
            yield Finding("instrumented", name)
        elif find_spec(name) is None:
            yield Finding("instrumented", f"not {name}, which is not installed")
        elif name in sys.modules:
            yield Finding("instrumented", f"not {name}, whose send somebody else has put back", wrong=True)
        else:
            yield Finding("instrumented", f"{name}, as soon as it is imported")


def _dry_run() -> Iterator[Finding]:
    """Ask the same twice in every way there is, with the project's own settings but for the provider's address."""
    with StandIn(latency=0.0) as standin, no_proxy():
        raw = conf.raw()
        own = {**raw.get("PROVIDERS", {}).get("openai", {}), "BASE_URL": f"{standin.url}/v1", "API_KEY": _NO_KEY}
        own.pop("CLASS", None)
        changed = {"PROVIDERS": {**raw.get("PROVIDERS", {}), "openai": own}, "RUN_DIR": of_this_process(os.getpid())}
        with conf.instead({**raw, **changed}), publisher.unheard(), policy(cache=True, scope=SCOPE, **_short()):
            url = f"{standin.url}/v1/chat/completions"
            for number, (name, ask) in enumerate(_ways(url)):
                yield _asked_twice(name, ask, {**_BODY, "seed": number})
            with suppress(Exception):  # what failed has been told
                cache.clear(scope=SCOPE)


def _short() -> dict[str, Any]:
    """Return how long an answer is kept: no longer than it takes, and not at all where the settings say so."""
    ttl = conf.current().ttl_for("openai", _BODY["model"], "chat")
    return {"ttl": LASTS if ttl is None else min(ttl, LASTS), "stale_for": 0}


def _ways(url: str) -> Iterator[tuple[str, Way]]:
    yield "chat()", _by_chat
    yield "cached_session()", partial(_by_http, cached_session, url)
    libraries: list[Any] = [name for name in ("httpx2", "httpx") if find_spec(name) is not None]
    for library in libraries:
        yield f"cached_client(library={library!r})", partial(_by_http, partial(cached_client, library=library), url)
    if conf.current().instrument:
        yield "requests.Session()", partial(_by_http, requests.Session, url)
        for library in libraries:
            yield f"{library}.Client()", partial(_by_http, import_module(library).Client, url)


def _by_chat(body: Mapping[str, Any]) -> Seen:
    answer = LLMClient("openai").chat(body["messages"], model=body["model"], seed=body["seed"])
    return Seen(answer.from_cache, answer.cache.reason)


def _by_http(make: Callable[[], Any], url: str, body: Mapping[str, Any]) -> Seen:
    with make() as client:
        answer = client.post(url, json=body, timeout=10)
    return Seen(answer.headers.get("x-llmcache") == "hit")


def _asked_twice(name: str, ask: Way, body: Mapping[str, Any]) -> Finding:
    try:
        first, second = ask(body), ask(body)
    except Exception as error:
        return Finding("dry run", f"{name}: failed: {error!r}", wrong=True)
    if second.from_cache and not first.from_cache:
        return Finding("dry run", f"{name}: provider, then cache")
    reason = f" ({first.reason})" if first.reason else ""
    return Finding("dry run", f"{name}: the second answer did not come from the cache{reason}", wrong=True)
