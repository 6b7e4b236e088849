"""Where a request goes, apart from what it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from .credentials import shown
from .exceptions import ConfigurationError
from .rules import DEFAULT_RULES, RequestRules

Pairs = tuple[tuple[str, str], ...]

_KEPT: Final = 64
_TEXTS: Final = ("provider", "operation", "base_url", "path")


def problem_of_address(base_url: str) -> str | None:
    """Return why no path can be put behind an address, without showing it; ``None`` where one can."""
    if not base_url.startswith(("https://", "http://")):
        return "must begin with https:// or http://"
    if "?" in base_url or "#" in base_url:
        return "must have no ? and no #, behind which the API's own paths would be lost"
    try:
        parts = urlsplit(base_url)
        names_host = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port beyond 65535, a bracket that is not closed
        names_host = False
    if not names_host or any(char.isspace() for char in base_url):
        return "must name a host, such as https://llm.example.com/v1"
    return None


def pairs(values: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> Pairs:
    """Return names and values as texts, sorted, so that their order makes no difference.

    Raises:
        ConfigurationError: neither a mapping nor pairs; the message tells no value, which may be a credential.
    """
    try:
        items = values.items() if isinstance(values, Mapping) else values
        return tuple(sorted((str(name), str(value)) for name, value in items))
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"A query, or headers, came as a {type(values).__name__}; give a mapping, or pairs of name and value."
        ) from None


class Endpoint:
    """Where a request goes, apart from what it says. Made once and shared by every request to one place. Immutable.

    Args:
        provider: registered name, such as ``"openai"``.
        operation: ``"chat"``, ``"embeddings"``, ``"models"``, …
        base_url: the service's address; a trailing slash is dropped.
        path: the path below ``base_url``.
        query: query parameters, without secrets.
        headers: request headers; those that ``rules`` does not list are dropped.
        rules: the provider's table of what counts.

    Raises:
        ConfigurationError: a part that is not a text, or no provider.
    """

    __slots__ = ("base_url", "headers", "operation", "path", "provider", "query", "route", "rules", "unkeyed")

    def __init__(
        self,
        provider: str,
        *,
        operation: str = "chat",
        base_url: str = "",
        path: str = "",
        query: Pairs = (),
        headers: Pairs = (),
        rules: RequestRules = DEFAULT_RULES,
    ) -> None:
        texts: tuple[Any, ...] = (provider, operation, base_url, path)
        for name, value in zip(_TEXTS, texts, strict=True):
            if not isinstance(value, str) or (not value and name == "provider"):
                raise ConfigurationError(f"{name} is {value!r}; give a text{_EXAMPLES.get(name, '')}.")
        put = object.__setattr__
        put(self, "provider", provider)
        put(self, "operation", operation)
        put(self, "base_url", base_url.rstrip("/"))
        put(self, "path", path)
        put(self, "query", pairs(query))
        put(
            self,
            "headers",
            tuple(pair for pair in pairs((n.lower(), v) for n, v in headers) if pair[0] in rules.headers),
        )
        put(self, "rules", rules)
        put(self, "unkeyed", rules.unkeyed_at(operation, path))
        put(self, "route", None)

    provider: str
    operation: str
    base_url: str
    path: str
    query: Pairs
    headers: Pairs
    rules: RequestRules
    unkeyed: frozenset[str]
    """Top-level names of a body that do not count here."""
    route: Any
    """What the last look-up here followed: nothing that the endpoint is, but soon found again."""

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"Endpoint is immutable; make a new one to change {name!r}.")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"Endpoint is immutable; {name!r} cannot be deleted.")

    def __reduce__(self) -> tuple[Any, ...]:
        return shared, (
            self.provider, self.operation, self.base_url, self.path, self.query, self.headers, self.rules,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<Endpoint {self.operation} {self.provider} {shown(self.base_url)}{self.path}>"


_EXAMPLES: Final = {"provider": " such as 'openai'", "operation": " such as 'chat'"}


@lru_cache(maxsize=_KEPT)
def shared(
    provider: str, operation: str, base_url: str, path: str, query: Pairs, headers: Pairs, rules: RequestRules
) -> Endpoint:
    """Return the endpoint of these parts, the same object each time while it is in use; raises as ``Endpoint``."""
    return Endpoint(
        provider, operation=operation, base_url=base_url, path=path, query=query, headers=headers, rules=rules
    )
