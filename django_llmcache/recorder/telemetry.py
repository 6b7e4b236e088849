"""What SDKs tell a provider of themselves, at its own host: no LLM call, and nothing that a test is to wait for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from .exchange import Incoming, Outgoing
from .redaction import Redactor
from .replay import Replay
from .setup import Mode, Setup
from .taping import Taping

PATHS: Final = frozenset({
    "/telemetry/v1/traces",  # mistralai
    "/v1/traces/ingest",  # openai-agents, every five seconds, in a thread of its own
})  # fmt: skip
"""Where it goes, at whichever host of a provider's."""

_RECEIVED: Final = Incoming(204, "", (), ())


def is_telemetry(asked: Outgoing) -> bool:
    """Return whether a request to a provider is no LLM call."""
    return asked.parts.path in PATHS


def aside(
    asked: Outgoing, mode: Mode, setup: Setup, *, during: Callable[[str], AbstractContextManager[None]]
) -> Replay | Taping:
    """Return how telemetry is answered: by the service, and nobody keeps the tape; here, where nothing may leave.

    Args:
        asked: the request.
        mode: of the test.
        setup: of the run.
        during: held while the call is made.
    """
    if mode is Mode.REPLAY or setup.stands_in(asked):
        return Replay(_RECEIVED)
    return Taping(asked, key="", provider="", endpoint="", redactor=Redactor(), during=during, now=setup.now)
