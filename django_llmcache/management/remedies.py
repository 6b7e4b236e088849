"""What keeps the dry run of ``doctor`` from caching anything, and what helps a store that does not answer."""

from __future__ import annotations

import re
from typing import Any, Final

from django.core.cache.backends.dummy import DummyCache

from django_llmcache import backends, conf
from django_llmcache.backends.base import BaseBackend
from django_llmcache.backends.dummy import DummyBackend
from django_llmcache.backends.unavailable import UnavailableBackend
from django_llmcache.backends.wording import words_of
from django_llmcache.exceptions import ConfigurationError

_CURES: Final = {
    r"no such table|relation .* does not exist|Table .* doesn't exist": "Run manage.py createcachetable.",
    r"^AuthenticationError|NOAUTH|WRONGPASS": "Put user and password into LOCATION: redis://user:password@host:port.",
    r"^NoPermissionError": "docs/backends.md names the rights.",
    r"refused": "Does nothing listen there, or is LOCATION another's?",
    r"Timeout|timed out": "Where it is only slow, raise READ_TIMEOUT in LLMCACHE['OPTIONS'].",
}
"""What helps, by what libraries and databases say."""


def diagnosis_of(error: Exception, backend: BaseBackend) -> str:
    """Return what a store's library says that failed, and what helps where that is known."""
    said = words_of(error.__cause__ or error)
    if (address := _address_of(backend)) and "refused" in said and address not in said:
        said = f"{said} by {address}"
    cure = next((cure for pattern, cure in _CURES.items() if re.search(pattern, said)), "")
    return f"{said}. {cure}".rstrip()


def obstacle(settings: conf.Settings, model: str) -> str | None:
    """Return why nothing is kept of what is asked, where a dry run would only find that out; else ``None``.

    Args:
        settings: those in force.
        model: that the dry run asks OpenAI for.
    """
    if not settings.enabled:
        return "LLMCACHE['ENABLED'] is False, so nothing is cached"
    try:
        backend = backends.current()
    except ConfigurationError:
        return "there is no backend until its settings are mended"
    if isinstance(backend, UnavailableBackend):
        return "the backend could not be made, so nothing is cached"
    if type(backend) is DummyBackend:
        return "LLMCACHE['BACKEND'] is DummyBackend, which keeps nothing"
    alias = getattr(backend, "alias", None)
    if alias is not None and issubclass(alias.backend, DummyCache):
        return f"the alias {alias.name!r} of CACHES is a DummyCache, which keeps nothing"
    breaker = getattr(backend, "breaker", None)
    if breaker is not None and breaker.state != "closed":
        return "the store does not answer, so nothing is cached"
    if settings.ttl_for("openai", model, "chat") == 0:
        return f"{_source_of_ttl(settings)}, so nothing is kept"
    return None


def _address_of(backend: BaseBackend) -> str:
    """Return the ``LOCATION`` of a backend's alias, where it is a plain address: other ones may have a password."""
    alias: Any = getattr(backend, "alias", None)
    found = re.fullmatch(r"(?:redis://)?([\w.-]+:\d+)(?:/\d*)?", "" if alias is None else str(alias.location))
    return "" if found is None else found[1]


def _source_of_ttl(settings: conf.Settings) -> str:
    if settings.providers.get("openai", {}).get("TTL") is not None:
        return "LLMCACHE['PROVIDERS']['openai']['TTL'] is 0"
    return "LLMCACHE['DEFAULT_TTL'] is 0" if settings.default_ttl == 0 else "a rule of LLMCACHE['TTL_RULES'] says 0"
