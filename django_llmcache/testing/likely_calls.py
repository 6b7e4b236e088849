"""Which requests look like LLM calls, whoever's the host is that they go to."""

from __future__ import annotations

import socket
import sys
import threading
from typing import Final

from django_llmcache.bodyrequest import payload_of
from django_llmcache.providers import traffic
from django_llmcache.recorder.exchange import Outgoing
from django_llmcache.recorder.loopback import is_loopback

from .interceptors.answering import is_in_cassette
from .interceptors.mocks import is_mocked

_SAID: Final = frozenset({"input", "messages", "model", "prompt"})
"""What the body of an LLM call has some of; the path of any other names the model."""


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
