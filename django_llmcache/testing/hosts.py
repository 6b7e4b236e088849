"""Which hosts are providers': what the recorder touches. Everything else goes its way."""

from __future__ import annotations

from typing import Final

from django_llmcache import conf
from django_llmcache.providers import traffic

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
"""Providers that SDKs ask and that ``chat()`` has no name for, and clouds that are filed under their own."""


def provider_hosts() -> tuple[tuple[str, str], ...]:
    """Return a pattern of ``host`` or ``host:port`` with the provider's name for each, the user's own first.

    A pattern comes more than once where several providers have it as their own: at a gateway.

    Raises:
        ConfigurationError: a provider in the settings that can't be made.
    """
    own = {pattern.lower(): name_of(pattern) for pattern in conf.current().test_cache.hosts}
    known = [(host, name) for host, name in traffic.known_hosts(common_ports=False) if host not in own]
    exact = [(host, name) for host, name in known if "*" not in host]
    wild = [(host, name) for host, name in known if "*" in host and host not in dict(WELL_KNOWN)]
    return tuple(dict.fromkeys((*own.items(), *exact, *WELL_KNOWN, *wild)))


def name_of(pattern: str) -> str:
    """Return what a host of the user's own is called in the folder of the fixtures."""
    name = "".join(char if char.isalnum() or char in "-." else "-" for char in pattern.lower())
    return name.strip("-.") or "other"
