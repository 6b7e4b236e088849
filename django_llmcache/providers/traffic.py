"""Which HTTP requests are LLM calls, and what they ask: told by method, host and path, as the provider files say."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from django_llmcache import conf
from django_llmcache.bodyrequest import BodyRequest, payload_of
from django_llmcache.credentials import PARAMETERS
from django_llmcache.digests import RecentDigests
from django_llmcache.endpoints import Pairs, shared
from django_llmcache.headers import RawHeaders, joined
from django_llmcache.messages import LLMRequest
from django_llmcache.policies import CachePolicy
from django_llmcache.rules import RequestRules

from . import built_in, get, names
from .base import Place, Provider

LOCAL: Final = ("localhost", "127.0.0.1", "::1")
"""The names of this machine."""

COMMON_PORTS: Final = frozenset(f"{name}:{port}" for name in LOCAL for port in (1234, 8000))
"""Built-in addresses that any server on a developer's machine may have."""

LARGE: Final = 32 * 1024
"""Bytes of a body from which on it is told by its digest: to read a smaller one takes no longer."""

_KEPT: Final = 512


class _Known(NamedTuple):
    """One provider at one host: a pattern of ``host`` or ``host:port``.

    Attributes:
        by_chance: whether anything else might be there: a common port that the settings don't name.
    """

    host: str
    provider: Provider
    by_chance: bool


class _Found(NamedTuple):
    """What is at an address.

    Attributes:
        host: as a request there names it, with its port.
    """

    provider: Provider
    base_url: str
    place: Place
    by_chance: bool
    host: str


class _Said(NamedTuple):
    """What the body of a request says.

    Attributes:
        model, stream: which one it asks, and whether for a stream.
        payload: the JSON object that it is; none of one that was read before.
        digest: SHA-256 of a large one; none of a small one.
    """

    model: str
    stream: bool
    payload: Any
    digest: bytes


def request_of(
    method: str,
    url: str,
    headers: RawHeaders,
    body: bytes,
    *,
    policy: CachePolicy,
    target: Any,
    by_chance: bool = True,
) -> LLMRequest | None:
    """Return what an HTTP request asks an LLM provider, ``None`` where it is no such call.

    Args:
        method: upper-case.
        url: absolute, with its query.
        headers: as they are sent.
        body: the bytes as they are sent.
        policy: what this call wants of the cache.
        target: what can send it.
        by_chance: whether ``localhost:8000`` and its like are a provider's without being in ``PROVIDERS``.
    """
    address, _, query = url.partition("?")
    table = _current()
    found = table.at(address) if method == "POST" else None
    if found is None or (found.by_chance and not by_chance):
        return None
    said = table.said(address, body, found)
    if said is None:
        return None
    rules, place = found.provider.rules, found.place
    named = joined(headers, rules._watched_headers)
    if "host" in named and "host" not in rules.headers:
        if named["host"].lower() == found.host:
            del named["host"]
        else:
            rules = _with_host(rules)
    kept = tuple(sorted(named.items()))
    endpoint = shared(found.provider.name, place.operation, found.base_url, place.path, _counted(query), kept, rules)
    model, stream, payload, digest = said
    if not digest:
        return LLMRequest.to(endpoint, model, payload, stream, policy, target)
    return BodyRequest(
        endpoint, model, stream=stream, policy=policy, target=target, body=body, payload=payload, digest=digest
    )


def with_query(query: str, counted: Pairs) -> str:
    """Return a query in which other pairs count; the credentials in it stay as they are."""
    secrets = (pair for pair in _pairs_in(query) if pair[0].lower() in PARAMETERS)
    return urlencode((*secrets, *counted), errors="surrogateescape")


def is_known(url: str) -> bool:
    """Return whether an address is at a provider's host, whatever is asked there."""
    return _current().knows(host_of(urlsplit(url)))


def name_at(url: str) -> str | None:
    """Return which provider's an address is, where several share its host; ``None`` where nothing tells.

    What is asked there tells, as for the response cache; where that is nothing it knows, whose address it begins with.
    """
    address = url.partition("?")[0]
    table = _current()
    found = table.at(address)
    return table.name_below(address) if found is None else found.provider.name


def place_at_any_host(path: str) -> Place | None:
    """Return what is asked at the path of an address, were its host a provider's; ``None`` for nothing known."""
    found = (known.provider.place_of(path) for known in _current().known)
    return next((place for place in found if place is not None), None)


def known_hosts(*, common_ports: bool = True) -> Iterator[tuple[str, str]]:
    """Yield a pattern of ``host`` or ``host:port`` with the provider's name for each, those of the settings first.

    A provider's own host stays one where ``BASE_URL`` or ``CLASS`` say another.

    Args:
        common_ports: whether ``localhost:8000`` and its like count without being in ``PROVIDERS``.

    Raises:
        ConfigurationError: a provider in the settings that can't be made.
    """
    for known in _current().known:
        if common_ports or not known.by_chance:
            yield known.host, known.provider.name


def host_of(parts: SplitResult) -> str:
    """Return the host in lower case, with the port where it is not the scheme's own; ``""`` for no such address."""
    try:
        port = parts.port
    except ValueError:
        return ""
    host = (parts.hostname or "").lower()
    return host if port in (None, {"http": 80, "https": 443}.get(parts.scheme)) else f"{host}:{port}"


@lru_cache(maxsize=64)
def _with_host(rules: RequestRules) -> RequestRules:
    """Return the rules for a request that names another host than its address: one of several that are there."""
    return rules.with_headers(("host",))


def _counted(query: str) -> Pairs:
    """Return what counts of a query. Bytes that are no UTF-8 come as surrogates, with which there is no key."""
    if not query:
        return ()
    return tuple(sorted(pair for pair in _pairs_in(query) if pair[0].lower() not in PARAMETERS))


def _pairs_in(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True, errors="surrogateescape")


class _Table:
    """Where providers are, as one snapshot of the settings says, and what is at the addresses that were asked.

    An address is looked up once: an SDK asks few, and asks them often.
    """

    def __init__(self, settings: conf.Settings) -> None:
        self.settings = settings
        self.known = tuple(_known(settings))
        self._addresses: dict[str, _Found | None] = {}
        self._said: dict[tuple[str, bytes], _Said] = {}
        self._digests = RecentDigests()

    def said(self, address: str, body: bytes, found: _Found) -> _Said | None:
        """Return what a body says, ``None`` where it is no JSON object; a large one is read once, and then known."""
        digest = self._digests.of(body) if len(body) >= LARGE else b""
        known = self._said.get((address, digest)) if digest else None
        if known is not None:
            return known
        payload = payload_of(body)
        if payload is None:
            return None
        place, named = found.place, payload.get("model")
        model = named if isinstance(named, str) else place.model
        said = _Said(model, found.provider.rules.is_stream("POST", place.path, payload), payload, digest)
        if digest:
            if len(self._said) >= _KEPT:
                self._said.clear()
            self._said[address, digest] = said._replace(payload=None)
        return said

    def at(self, address: str) -> _Found | None:
        """Return what is at an address."""
        try:
            return self._addresses[address]
        except KeyError:
            if len(self._addresses) >= _KEPT:
                self._addresses.clear()
            found = self._addresses[address] = self._find(address)
            return found

    def knows(self, host: str) -> bool:
        """Return whether a host is a provider's."""
        return any(fnmatchcase(host, known.host) for known in self.known)

    def name_below(self, address: str) -> str | None:
        """Return whose own address is the longest that another begins with."""
        own = {f"{known.provider.base_url.rstrip('/')}/".lower(): known.provider.name for known in reversed(self.known)}
        return own.get(max((url for url in own if address.lower().startswith(url)), key=len, default=""))

    def _find(self, address: str) -> _Found | None:
        parts = urlsplit(address)
        host = host_of(parts)
        if not host:
            return None
        named = parts.netloc.rpartition("@")[2]
        root = f"{parts.scheme}://{named}"
        founds = [
            _Found(known.provider, f"{root}{place.root}", place, known.by_chance, named.lower())
            for known in self.known
            if fnmatchcase(host, known.host) and (place := known.provider.place_of(parts.path)) is not None
        ]
        # Several may share a host: a gateway, or a stand-in. The one whose own address this is goes first.
        return next((found for found in founds if _is_its_own(found)), founds[0] if founds else None)


_table: _Table | None = None


def _current() -> _Table:
    global _table
    settings = conf.snapshot or conf.current()
    table = _table
    if table is None or table.settings is not settings:
        table = _table = _Table(settings)
    return table


def _is_its_own(found: _Found) -> bool:
    return found.provider.base_url.rstrip("/").lower() == found.base_url.rstrip("/").lower()


def _known(settings: conf.Settings) -> Iterator[_Known]:
    """Yield where providers are, those of the settings first."""
    for name in sorted(names(), key=lambda name: name not in settings.providers):
        provider, original = get(name), built_in(name)
        for host in _names_of(provider.base_url):
            yield _Known(host, provider, host in COMMON_PORTS and name not in settings.providers)
        for host in _names_of(original.base_url if original else ""):
            yield _Known(host, provider, host in COMMON_PORTS)
        for pattern in dict.fromkeys((*provider.hosts, *(original.hosts if original else ()))):
            yield _Known(pattern, provider, by_chance=False)


def _names_of(url: str) -> list[str]:
    """Return the host of an address, of this machine by each of its names."""
    parts = urlsplit(url)
    host, name = host_of(parts), (parts.hostname or "").lower()
    if name not in LOCAL:
        return [host] if host else []
    return [f"{each}{host.removeprefix(name)}" for each in LOCAL]
