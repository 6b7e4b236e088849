"""LLM calls to hosts that no setting names as a provider's: nobody can record them, and nobody is to pay unseen."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .exchange import Outgoing
from .leaks import masked
from .loopback import is_loopback
from .missed import Missed
from .misses import FixtureMiss
from .redaction import Redactor
from .setup import Mode, Setup


class Unnamed:
    """Those of one test.

    Args:
        missed: takes what is refused.
        redactor: takes credentials out of a request.
        filed: returns the test's id as it stands in messages.

    Attributes:
        hosts: those that were asked.
    """

    def __init__(self, missed: Missed, redactor: Redactor, filed: Callable[[], str]) -> None:
        self.hosts: set[str] = set()
        self._missed = missed
        self._redactor = redactor
        self._filed = filed

    def meet(self, asked: Outgoing, setup: Setup, mode: Mode) -> None:
        """Note a request to a host that is nobody's, or refuse it, where it looks like an LLM call.

        Args:
            asked: the request.
            setup: of the run.
            mode: of the test.

        Raises:
            FixtureMiss: in ``replay``, unless it goes to this machine.
        """
        if not setup.is_call(asked):
            return
        if mode is Mode.REPLAY and not is_loopback(asked.parts.hostname or ""):
            raise self._missed.note(FixtureMiss(_explained(self._redactor.request(asked), test=self._filed())))
        self.hosts.add(asked.host)


def naming(hosts: Iterable[str]) -> str:
    """Return the line of the settings that names hosts, so that what is asked there is recorded."""
    listed = ", ".join(f'"{host}"' for host in hosts)
    return f'LLMCACHE = {{"TEST_CACHE": {{"HOSTS": [{listed}]}}}}'


def _explained(asked: Outgoing, *, test: str) -> str:
    return "\n".join([
        f"An LLM call to a host that no setting names as a provider's: {masked(asked).line}",
        f"  test     {test}",
        "A replay asks nobody. Name the host in the settings, and what it answers is recorded and replayed:",
        f"  {naming([asked.host])}",
        "or as the BASE_URL of one of PROVIDERS, where chat() is to ask it too.",
    ])  # fmt: skip
