"""Settings that a class or a test has of its own: what its session begins with, and what it takes over after that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django_llmcache import conf
from django_llmcache.recorder import in_force
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import Mode

from .hosts import provider_hosts
from .modes import decide

_NAME: Final = "LLMCACHE"

_looking = 0
"""How often ``of_class`` is in force: what it changes is none of a test's doing."""


@contextmanager
def of_class(kind: type | None) -> Iterator[None]:
    """Put in force what a class overrides of ``LLMCACHE``, as its ``setUpClass`` does, where that has not run yet.

    For a session that begins before it; it must be left again before ``setUpClass`` runs. What that sets itself is
    over what the class overrides, and stays so.

    Args:
        kind: the class, ``None`` for a test that has none.
    """
    global _looking
    own = getattr(kind, "_overridden_settings", None) or {}
    if _NAME not in own or _has_begun(kind, own[_NAME]):
        yield
        return
    from django.test import override_settings  # at the top it would import us again, half imported, by the app's hook

    _looking += 1
    try:
        with override_settings(**{_NAME: own[_NAME]}):
            yield
    finally:
        _looking -= 1


def _has_begun(kind: Any, written: Any) -> bool:
    """Return whether a class has what it overrides to put back at its end, also where it is covered by now."""
    from django.test import override_settings

    entered = [each for _, args, _ in kind._class_cleanups for each in args if isinstance(each, override_settings)]
    return any(each.options.get(_NAME) is written for each in entered)


def follow(*, setting: str, enter: bool, **_: Any) -> None:
    """Let the sessions in force know of the settings that a test has just set, or put back.

    The hosts are followed, and ``MODE`` to ``replay``, which asks nobody. Of the rest a test that sets it is warned:
    what it has recorded so far is of the settings that it began with. Where they can't be read nobody is asked: a test
    may only look at what the checks say of them.

    Args:
        setting: which of Django's.
        enter: whether it was set, and not put back.
    """
    if setting != _NAME or _looking or in_force.current() is None:
        return
    sessions, changed = list(in_force.sessions()), []
    unreadable = ""
    try:
        hosts = provider_hosts()
        named = conf.raw().get("TEST_CACHE") or {}
        for session in sessions:
            session.take_hosts(hosts)
            _follow_mode(session, named)
        changed = [(session, _not_followed(session, named)) for session in sessions] if enter else []
    except Exception as error:  # a provider of the project's own may raise anything
        unreadable = f"{type(error).__name__}: {error}"
    for session in sessions:
        session.setup = session.setup._replace(unreadable=unreadable)
    # A warning may be an error, which is the test's, and comes when all of them have followed.
    for session, names in changed:
        if names:
            session.setup.warn(
                f"{session.filed()} sets {names} while it runs, which is not followed: "
                "set it on the class, or for the run"
            )
            break  # the others are of the same test


def _follow_mode(session: Session, named: dict[str, Any]) -> None:
    replays = "MODE" in named and decide(session.options.mode).mode is Mode.REPLAY
    session.mode = Mode.REPLAY if replays else session.options.mode or session.setup.mode


def _not_followed(session: Session, named: dict[str, Any]) -> str:
    setup, now, decision = session.setup, conf.current(), decide(session.options.mode)
    words = now.test_cache
    both = {
        "DIR": (setup.store.folder, conf.fixture_folder()),
        "ENABLED": (True, decision.skip is None),
        "EXPIRED": (setup.expired, words.expired),
        "FALLBACK": (setup.fallback, words.fallback),
        "IGNORE_PATHS": (setup.ignore, words.ignore_paths),
        "MAX_FIXTURE_BYTES": (setup.store.max_bytes, words.max_fixture_bytes),
        "MODE": (session.mode, decision.mode),
        "TTL": ((setup.ttl, setup.ttls), (words.ttl, words.ttls)),
    }
    changed = ", ".join([repr(name) for name, (then, current) in both.items() if name in named and then != current])
    told = [f"TEST_CACHE[{changed}]"] if changed else []
    if "KEY_HEADERS" in conf.raw() and setup.headers != now.key_headers:
        told.append("KEY_HEADERS")
    return " and ".join(told)
