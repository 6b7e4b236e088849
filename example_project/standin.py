"""What answers for a provider without a key: a server on loopback, started when it is first asked."""

from __future__ import annotations

import atexit
import os
from threading import Lock

from django.conf import settings

from django_llmcache.contrib.demo.standin import StandIn

HOST = "127.0.0.1"
STANDIN = StandIn()
_starting = Lock()
atexit.register(STANDIN.stop)


def running() -> StandIn:
    """Return the stand-in provider, started if it was not."""
    with _starting:
        _bypass_proxy()
        STANDIN.latency = settings.STANDIN_LATENCY
        return STANDIN.start()


def _bypass_proxy() -> None:
    """Let no proxy that the environment names stand between this process and loopback."""
    listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if listed != "*" and HOST not in listed.split(","):
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{listed},{HOST}".lstrip(",")
