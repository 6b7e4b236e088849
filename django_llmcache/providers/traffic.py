"""Which HTTP requests are LLM calls, and what they ask: told by method, host and path, as the provider files say."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlsplit

import orjson

from django_llmcache import conf
from django_llmcache.endpoints import Pairs, shared
from django_llmcache.messages import LLMRequest
from django_llmcache.policies import CachePolicy

from . import get, names
from .base import Place, Provider

COMMON_PORTS: Final = frozenset({"localhost:1234", "localhost:8000"})
"""Built-in addresses that any server on a developer's machine may have."""

SECRETS: Final = frozenset({"access_token", "api-key", "api_key", "key", "sig", "subscription-key", "token"})
"""Query parameters that carry a credential: they are in no key."""

_KEPT: Final = 512


class _Known(NamedTuple):
    """One provider at one host: a pattern of ``host`` or ``host:port``."""

    host: str
    provider: Provider


class _Found(NamedTuple):
    """What is at an address."""

    provider: Provider
    base_url: str
    place: Place


def request_of(
    method: str, url: str, headers: Mapping[str, str], body: bytes, *, policy: CachePolicy, target: Any
) -> LLMRequest | None:
    """Return what an HTTP request asks an LLM provider, ``None`` where it is no such call.

    Args:
        method: upper-case.
        url: absolute, with its query.
        headers: by name, in any case.
        body: the bytes as they are sent.
        policy: what this call wants of the cache.
        target: what can send it.
    """
    address, _, query = url.partition("?")
    found = _at(address) if method == "POST" else None
    payload = None if found is None else payload_of(body)
    if found is None or payload is None:
        return None
    rules, place = found.provider.rules, found.place
    kept = [(name.lower(), value) for name, value in headers.items() if name.lower() in rules.headers]
    endpoint = shared(
        found.provider.name, place.operation, found.base_url, place.path, _counted(query), tuple(sorted(kept)), rules
    )
    named = payload.get("model")
    model = named if isinstance(named, str) else place.model
    return LLMRequest.to(endpoint, model, payload, rules.is_stream(method, place.path, payload), policy, target)


def is_known(url: str, *, common_ports: bool = True) -> bool:
    """Return whether an address is of a provider, whatever is asked there.

    Args:
        url: absolute.
        common_ports: whether ``localhost:8000`` and its like count without being in ``PROVIDERS``.
    """
    host = host_of(urlsplit(url))
    return any(fnmatchcase(host, known.host) for known in _known(common_ports=common_ports))


def host_of(parts: SplitResult) -> str:
    """Return the host in lower case, with the port where it is not the scheme's own; ``""`` for no such address."""
    try:
        port = parts.port
    except ValueError:
        return ""
    host = (parts.hostname or "").lower()
    return host if port in (None, {"http": 80, "https": 443}.get(parts.scheme)) else f"{host}:{port}"


def payload_of(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a body is, every value of it exactly as written; ``None`` for anything else.

    orjson takes a whole number beyond 64 bits for a float, and the last of two fields of one name: where it would
    not write the same bytes again, the standard library reads the body once more, strictly.
    """
    try:
        payload = orjson.loads(body)
        if orjson.dumps(payload) != body:
            payload = json.loads(body, object_pairs_hook=_unique, parse_constant=_refused, parse_float=_finite)
    except (ValueError, TypeError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def _unique(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(fields)
    if len(made) < len(fields):
        raise ValueError("a name comes twice")
    return made


def _refused(word: str) -> float:
    raise ValueError(f"{word} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is beyond a float")
    return number


def _counted(query: str) -> Pairs:
    if not query:
        return ()
    return tuple(sorted(pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0].lower() not in SECRETS))


_addresses: dict[str, _Found | None] = {}
_made_for: conf.Settings | None = None


def _at(address: str) -> _Found | None:
    """Return what is at an address; it is worked out once, since an SDK asks few and asks them often."""
    global _made_for
    settings = conf.snapshot or conf.current()
    if _made_for is not settings or len(_addresses) >= _KEPT:
        _addresses.clear()
        _made_for = settings
    try:
        return _addresses[address]
    except KeyError:
        found = _addresses[address] = _find(address)
        return found


def _find(address: str) -> _Found | None:
    parts = urlsplit(address)
    host = host_of(parts)
    if not host:
        return None
    root = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    founds = [
        _Found(known.provider, f"{root}{place.root}", place)
        for known in _known(common_ports=True)
        if fnmatchcase(host, known.host) and (place := known.provider.place_of(parts.path)) is not None
    ]
    # Several may share a host: a gateway, or a stand-in. The one whose own address this is goes first.
    return next((found for found in founds if _is_its_own(found)), founds[0] if founds else None)


def _is_its_own(found: _Found) -> bool:
    return found.provider.base_url.rstrip("/").lower() == found.base_url.rstrip("/").lower()


def _known(*, common_ports: bool) -> Iterator[_Known]:
    """Yield where providers are, those of the settings first."""
    configured = conf.current().providers
    for name in sorted(names(), key=lambda name: name not in configured):
        provider = get(name)
        host = host_of(urlsplit(provider.base_url))
        if host and (common_ports or name in configured or host not in COMMON_PORTS):
            yield _Known(host, provider)
        for pattern in provider.hosts:
            yield _Known(pattern, provider)
