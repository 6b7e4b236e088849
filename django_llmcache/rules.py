"""What one provider's requests mean to a cache: which names do not count, what streams, what has state.

Each provider file holds one ``RequestRules``. The defaults here suit an OpenAI-compatible service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

UNKEYED: Final = frozenset({"user", "metadata", "safety_identifier", "stream_options"})
"""Top-level names that cannot change an answer. Isolation between users is the job of ``scope``."""

STATEFUL: Final = frozenset({"background", "container", "conversation", "previous_response_id", "prompt"})
CLIENT_TOOLS: Final = frozenset({"function", "custom"})
REFERENCES: Final = frozenset(
    {"file_id", "container_id", "vector_store_ids", "item_reference", "fileData", "file_data_id"}
)


def stream_by_value(method: str, path: str, payload: Mapping[str, Any]) -> bool:
    """Return whether the body asks for a stream: by the value of ``stream``, so ``stream=False`` does not."""
    return payload.get("stream") is True


class RequestRules:
    """One provider's table of what counts, what streams and what has state on the provider's side.

    Args:
        unkeyed: top-level names of the body that are not in the key.
        headers: lower-case names of request headers that change an answer; all others are not in the key.
        stateful: top-level names whose true value means state on the provider's side, or an answer that
            changes with time (web search and the like).
        client_tools: tool types that run on the client; any other type is stateful until listed.
        references: names, anywhere below a message, of something that lives on the provider's side.
        is_stream: ``(method, path, body) -> bool``.
        is_stateful: a last say on the whole body, for what no table can express.
    """

    __slots__ = (
        "_watched",
        "client_tools",
        "headers",
        "is_stateful",
        "is_stream",
        "references",
        "stateful",
        "unkeyed",
    )

    def __init__(
        self,
        *,
        unkeyed: frozenset[str] = UNKEYED,
        headers: frozenset[str] = frozenset(),
        stateful: frozenset[str] = STATEFUL,
        client_tools: frozenset[str] = CLIENT_TOOLS,
        references: frozenset[str] = REFERENCES,
        is_stream: Callable[[str, str, Mapping[str, Any]], bool] = stream_by_value,
        is_stateful: Callable[[Mapping[str, Any]], bool] | None = None,
    ) -> None:
        self.unkeyed = unkeyed
        self.headers = headers
        self.stateful = stateful
        self.client_tools = client_tools
        self.references = references
        self.is_stream = is_stream
        self.is_stateful = is_stateful
        self._watched = stateful | {"tools"}

    def has_state(self, payload: Mapping[str, Any]) -> bool:
        """Return whether the answer depends on more than the request: hosted tools, stored files, sessions."""
        if not self._watched.isdisjoint(payload):
            for name in self.stateful:
                if payload.get(name):
                    return True
            if not all(map(self._runs_on_client, payload.get("tools") or ())):
                return True
        for name in ("messages", "input", "contents"):
            turns = payload.get(name)
            if turns.__class__ is list and self._refers(turns):  # type: ignore[arg-type]
                return True
        return self.is_stateful is not None and self.is_stateful(payload)

    def _runs_on_client(self, tool: Any) -> bool:
        if not isinstance(tool, Mapping):
            return False
        kind = tool.get("type")
        return kind in self.client_tools if kind is not None else "function" in tool or "name" in tool

    def _refers(self, turns: list[Any]) -> bool:
        for turn in turns:
            if turn.__class__ is dict:
                content = turn.get("content")
                if content.__class__ is str and len(turn) == 2:
                    continue
            if self._mentions(turn):
                return True
        return False

    def _mentions(self, value: Any) -> bool:
        if isinstance(value, Mapping):
            return any(
                name in self.references or (name == "type" and inner in self.references) or self._mentions(inner)
                for name, inner in value.items()
            )
        return isinstance(value, list | tuple) and any(map(self._mentions, value))


DEFAULT_RULES: Final = RequestRules()
