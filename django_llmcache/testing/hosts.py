"""Which hosts are providers': what the recorder touches. Everything else goes its way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from django_llmcache import conf, providers

WELL_KNOWN: Final = (
    ("*.openai.azure.com", "azure"),
    ("*.services.ai.azure.com", "azure"),
    ("*.cognitiveservices.azure.com", "azure"),
    ("bedrock-runtime.*.amazonaws.com", "bedrock"),
    ("*aiplatform.googleapis.com", "vertex"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("api.perplexity.ai", "perplexity"),
    ("api.fireworks.ai", "fireworks"),
    ("api.cerebras.ai", "cerebras"),
    ("api.voyageai.com", "voyage"),
    ("api.jina.ai", "jina"),
    ("api-inference.huggingface.co", "huggingface"),
    ("router.huggingface.co", "huggingface"),
    ("*.us.openai.com", "openai"),
    ("eu.api.openai.com", "openai"),
)  # fmt: skip
"""Providers that SDKs ask and that ``chat()`` has no name for."""

COMMON_PORTS: Final = frozenset({"localhost:1234", "localhost:8000"})
"""Built-in addresses that any server on a developer's machine may have; recorded where ``PROVIDERS`` names theirs."""


def provider_hosts() -> tuple[tuple[str, str], ...]:
    """Return a pattern of ``host`` or ``host:port`` with the provider's name for each, the user's own first."""
    settings = conf.current()
    own = [(pattern.lower(), name_of(pattern)) for pattern in settings.test_cache.hosts]
    configured = [
        (host, name)
        for name, words in settings.providers.items()
        for host in _hosts_of([words.get("BASE_URL") or providers.get(name).base_url])
    ]
    built_in = [
        (host, name)
        for name in providers.names()
        for host in _hosts_of([providers.get(name).base_url])
        if host not in COMMON_PORTS
    ]
    return tuple(dict.fromkeys((*own, *configured, *built_in, *WELL_KNOWN)))


def _hosts_of(urls: Iterable[str]) -> list[str]:
    """Return the hosts of some addresses, of this machine by each of its names."""
    hosts = []
    for url in urls:
        parts = urlsplit(url)
        name, port = (parts.hostname or "").lower(), parts.port
        if not name:
            continue
        tail = "" if port is None or port == {"http": 80, "https": 443}.get(parts.scheme) else f":{port}"
        names = ("localhost", "127.0.0.1", "::1") if name in ("localhost", "127.0.0.1", "::1") else (name,)
        hosts += [f"{each}{tail}" for each in names]
    return hosts


def name_of(pattern: str) -> str:
    """Return what a host of the user's own is called in the folder of the fixtures."""
    name = "".join(char if char.isalnum() or char in "-." else "-" for char in pattern.lower())
    return name.strip("-.") or "other"
