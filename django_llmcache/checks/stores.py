"""System checks of where entries are kept: the backend's options, what it needs, and its alias of ``CACHES``."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from django.core import checks
from django.core.cache import caches
from django.core.checks import CheckMessage

from django_llmcache import backends, conf
from django_llmcache.backends.base import BaseBackend
from django_llmcache.backends.stores import cure_for_pickle
from django_llmcache.backends.unavailable import UnavailableBackend
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.spelling import near


def of_backend(settings: conf.Settings) -> Iterator[CheckMessage]:
    """Yield why there is no backend: options that can't work, which calls raise, or what they go on without."""
    try:
        backend = backends.current()
    except ConfigurationError as error:
        yield checks.Error(str(error), hint=_cure(settings), id="llmcache.E004")
        return
    if isinstance(backend, UnavailableBackend):
        hint = (
            "Nothing is cached until it can, and calls go on. Do what it says: install what is missing, or mend the "
            "alias in CACHES, where OPTIONS names one."
        )
        yield checks.Warning(backend.message, hint=hint, id="llmcache.W009")


def of_deployment() -> Iterator[CheckMessage]:
    """Yield what doesn't fit a deployment: a store that each process has of its own, or one that pickles."""
    try:
        backend = backends.current()
    except Exception:
        return  # `of_backend` tells of it
    if not backend.in_process:
        yield from _of_alias(backend)
        return
    yield checks.Warning(
        f"{type(backend).__name__} keeps answers in the memory of each process.",
        hint=(
            "Workers don't share answers, and a restart forgets them. That is right for one worker; with several, "
            "set LLMCACHE['BACKEND'] to a shared one, or silence llmcache.W001 in SILENCED_SYSTEM_CHECKS."
        ),
        id="llmcache.W001",
    )


def _of_alias(backend: BaseBackend) -> Iterator[CheckMessage]:
    """Yield a warning of an alias that pickles what it keeps."""
    alias = getattr(backend, "alias", None)
    if alias is not None and (cure := cure_for_pickle(alias)) is not None:
        yield checks.Warning(
            f"The alias {alias.name!r} of CACHES, which LLMCACHE['OPTIONS'] names, pickles what it keeps.",
            hint=f"Whoever can write to it can run code in what reads it. {cure}",
            id="llmcache.W006",
        )


def _cure(settings: conf.Settings) -> str:
    """Return what to do about options that the backend refuses."""
    if settings.backend == conf.SETTINGS["BACKEND"].default:
        return "Mend LLMCACHE['OPTIONS'], or leave it out for the backend's own defaults."
    options, known = settings.options, sorted(caches.settings)
    alias = options.get("ALIAS")
    if isinstance(alias, str) and alias not in known:
        meant = near(alias, known)
        guess = f"Did you mean {meant!r}? " if meant else ""
        return f"{guess}CACHES has {', '.join(known)}: give one of them as ALIAS, or add {alias!r} to CACHES."
    if options.get("ENCRYPT") is True and find_spec("cryptography") is None:
        return "Every call raises this until it is installed, or ENCRYPT is left out: nothing is kept unsealed instead."
    return "Mend LLMCACHE['OPTIONS']; docs/backends.md says what the backends take that come with the package."
