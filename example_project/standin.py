"""What answers for a provider without a key: a server on loopback, started when it is first asked."""

from __future__ import annotations

import atexit
from threading import Lock

from django.conf import settings

from django_llmcache.contrib.demo.standin import StandIn

STANDIN = StandIn()
_starting = Lock()
atexit.register(STANDIN.stop)


def running() -> StandIn:
    """Return the stand-in provider, started if it was not."""
    with _starting:
        STANDIN.latency = settings.STANDIN_LATENCY
        return STANDIN.start()
