"""Which hosts are providers': what the recorder touches. Everything else goes its way."""

from __future__ import annotations

import socket
import sys
import threading
from typing import Final

from django_llmcache import conf
from django_llmcache.bodyrequest import payload_of
from django_llmcache.providers import traffic
from django_llmcache.recorder.exchange import Outgoing
from django_llmcache.recorder.unnamed import is_loopback

from .interceptors.answering import is_in_cassette
from .interceptors.mocks import is_mocked

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


_SAID: Final = frozenset({"input", "messages", "model", "prompt"})
"""What the body of an LLM call has some of; the path of any other names the model."""


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


def looks_like_call(asked: Outgoing) -> bool:
    """Return whether a request would be an LLM call, were its host a provider's.

    What a cassette of VCR.py answers is none, or a mock below the client, nor is what the project's own live server is
    asked.
    """
    place = traffic.place_at_any_host(asked.parts.path.rstrip("/")) if asked.method == "POST" else None
    if place is None or is_in_cassette() or _is_mocked_below() or _is_live_server(asked):
        return False
    payload = payload_of(asked.body)
    return payload is not None and (bool(place.model) or not _SAID.isdisjoint(payload))


def _is_mocked_below() -> bool:
    """Return whether something else is where urllib3 sends, or in the place of all sockets, as of mocket's."""
    pools = getattr(sys.modules.get("urllib3.connectionpool"), "HTTPConnectionPool", None)
    mocked = pools is not None and (not isinstance(pools, type) or is_mocked(pools, "urlopen"))
    return mocked or socket.socket.__module__ != "socket"


def _is_live_server(asked: Outgoing) -> bool:
    """Return whether a request goes to a server of ``LiveServerTestCase`` or of pytest-django."""
    testcases = sys.modules.get("django.test.testcases")  # who has no such server need not wait for its import
    if testcases is None:
        return False
    host, port = asked.parts.hostname or "", asked.parts.port
    servers = [thread for thread in threading.enumerate() if isinstance(thread, testcases.LiveServerThread)]
    return any(thread.port == port and (thread.host == host or is_loopback(host)) for thread in servers)


def name_of(pattern: str) -> str:
    """Return what a host of the user's own is called in the folder of the fixtures."""
    name = "".join(char if char.isalnum() or char in "-." else "-" for char in pattern.lower())
    return name.strip("-.") or "other"
