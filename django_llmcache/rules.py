"""What one provider's requests mean to a cache: which names do not count, what streams, what has state.

Each provider file holds one ``RequestRules``. The defaults here are for a provider that nobody described: they know
the state of every dialect, so that a request of any of them is cached only where that is safe.

An image or a document behind an ``http`` address counts as part of the request, by its address: what it shows may
change, within the time to live. A file stored at the provider does not: its id says nothing about its content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Final, NoReturn

UNKEYED: Final = frozenset({
    "idempotency_key", "metadata", "safety_identifier", "stream_options", "timeout", "user",
})  # fmt: skip
"""Top-level names that cannot change an answer. Isolation between users is the job of ``scope``."""

ECHOED: Final = frozenset({
    "metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "user",
})  # fmt: skip
"""Names that count with OpenAI's Responses API, whoever speaks it: its answers repeat them."""

GATEWAYS: Final = frozenset({"x-portkey-config", "x-portkey-custom-host", "x-portkey-provider"})
"""Request headers that tell a gateway where it sends the request, whatever API that speaks."""

STATEFUL: Final = frozenset({
    "agent", "agent_id", "agent_reference", "assistant_id", "background", "cachedContent", "cached_content",
    "connectors", "container", "conversation", "conversation_id", "dataSources", "data_sources", "enable_search",
    "mcp_servers", "plugins", "preset", "previous_interaction_id", "previous_response_id", "search_parameters",
    "search_settings", "thread_id", "vector_store_ids", "web_search", "web_search_options",
})  # fmt: skip
"""Top-level names of every dialect that mean state at the provider, or a search of the web."""

STORED: Final = frozenset({"prompt"})
"""Top-level names that mean state where they hold an object: OpenAI's ``prompt={"id": …}``, not a prompt's text."""

CLIENT_TOOLS: Final = frozenset({"function", "custom"})
"""Types of tools that run on the client: in OpenAI's dialect, and ``custom`` in Anthropic's too."""

DECLARATIONS: Final = frozenset({"functionDeclarations", "function_declarations"})
"""What a tool of Gemini's dialect has where it is the client's own functions; each other name is a hosted tool."""

REFERENCES: Final = frozenset({
    "audio", "container_id", "container_upload", "fileData", "fileUri", "file_id", "file_ids", "file_uri",
    "image_generation_call", "item_reference", "s3Location", "vector_store_ids",
})  # fmt: skip
"""Names and types, at any depth of a message, of what lives at the provider."""

SEARCHING: Final = (
    "*:online", "*-search-preview*", "*-search-api*", "*@preset/*", "*compound*", "perplexity/*", "sonar*",
)  # fmt: skip
"""Models that search the web without being told to, or are what is kept at the provider; ``*`` as in a shell."""

OPAQUE: Final = frozenset({"args", "arguments", "input", "response"})
"""Names below a message that hold what a client-side tool was given or gave back: the client's own words."""

_TURNS: Final = frozenset({"contents", "input", "systemInstruction", "system_instruction"})
"""Where turns are, besides ``messages``."""
_MODELS_KEPT: Final = 512


def stream_by_value(method: str, path: str, payload: Mapping[str, Any]) -> bool:
    """Return whether the body asks for a stream: by the value of ``stream``, so ``stream=False`` does not."""
    return bool(payload.get("stream"))


class RequestRules:
    """One provider's table of what counts, what streams and what has state on the provider's side. Immutable.

    Args:
        unkeyed: top-level names of the body that are not in the key, but for those which the answer repeats.
        headers: names of request headers that change an answer; all others are not in the key.
        stateful: top-level names that mean state on the provider's side, or an answer that changes with time (web
            search and the like). By value: ``None``, ``False``, an empty text or list and ``{"mode": "off"}`` do
            not count; an empty object does, since it asks for the defaults.
        stored: top-level names that do so only where they hold an object.
        client_tools: tool types that run on the client; any other type is stateful until listed.
        references: names and types, at any depth of a message, of something that lives on the provider's side.
        searching: models that search the web by themselves, or that name what is kept on the provider's side, as shell
            patterns; those that ``models`` lists in case one fails count as well.
        is_stream: ``(method, path, body) -> bool``.
        is_stateful: a last say on the whole body, for what no table can express. Called on every look-up.
    """

    __slots__ = (
        "_raw_headers",
        "_searches",
        "_watched",
        "_watched_headers",
        "client_tools",
        "headers",
        "is_stateful",
        "is_stream",
        "references",
        "searching",
        "stateful",
        "stored",
        "unkeyed",
    )

    def __init__(
        self,
        *,
        unkeyed: Iterable[str] = UNKEYED,
        headers: Iterable[str] = (),
        stateful: Iterable[str] = STATEFUL,
        stored: Iterable[str] = STORED,
        client_tools: Iterable[str] = CLIENT_TOOLS,
        references: Iterable[str] = REFERENCES,
        searching: Iterable[str] = SEARCHING,
        is_stream: Callable[[str, str, Mapping[str, Any]], bool] = stream_by_value,
        is_stateful: Callable[[Mapping[str, Any]], bool] | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "unkeyed", frozenset(unkeyed))
        put(self, "headers", frozenset(name.lower() for name in headers))
        put(self, "_raw_headers", frozenset(name.encode() for name in self.headers))
        put(self, "_watched_headers", self._raw_headers | {b"host"})
        put(self, "stateful", frozenset(stateful))
        put(self, "stored", frozenset(stored))
        put(self, "client_tools", frozenset(client_tools))
        put(self, "references", frozenset(references))
        put(self, "searching", tuple(searching))
        put(self, "is_stream", is_stream)
        put(self, "is_stateful", is_stateful)
        put(self, "_watched", self.stateful | self.stored | _TURNS | {"models", "tools"})
        put(self, "_searches", {})

    unkeyed: frozenset[str]
    headers: frozenset[str]
    stateful: frozenset[str]
    stored: frozenset[str]
    client_tools: frozenset[str]
    references: frozenset[str]
    searching: tuple[str, ...]
    is_stream: Callable[[str, str, Mapping[str, Any]], bool]
    is_stateful: Callable[[Mapping[str, Any]], bool] | None
    _raw_headers: frozenset[bytes]
    """``headers`` as they go over the wire."""
    _watched_headers: frozenset[bytes]
    """The same with ``host``, which counts where it is not that of the address."""
    _watched: frozenset[str]
    _searches: dict[str, bool]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"RequestRules is immutable; make a new one to change {name!r}.")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"RequestRules is immutable; {name!r} cannot be deleted.")

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(RequestRules, **self._fields()), ()

    def with_headers(self, names: Iterable[str]) -> RequestRules:
        """Return the same table with more request headers that change an answer."""
        return RequestRules(**{**self._fields(), "headers": self.headers | frozenset(names)})

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__ if not name.startswith("_")}

    def unkeyed_at(self, operation: str, path: str) -> frozenset[str]:
        """Return the top-level names that are not in the key of what is asked at one place."""
        echoes = operation == "responses" or path.rstrip("/").endswith("/responses")
        return self.unkeyed - ECHOED if echoes else self.unkeyed

    def has_state(self, payload: Mapping[str, Any]) -> bool:
        """Return whether the answer depends on more than the request: hosted tools, stored files, sessions."""
        if not self._watched.isdisjoint(payload) and self._asks_for_state(payload):
            return True
        turns = payload.get("messages")
        if turns is not None and self._refer(turns):
            return True
        if self._searches_itself(payload.get("model")):
            return True
        return self.is_stateful is not None and self.is_stateful(payload)

    def _asks_for_state(self, payload: Mapping[str, Any]) -> bool:
        for name in self._watched.intersection(payload):
            value = payload[name]
            if name == "tools":
                found = bool(value) and not self._run_on_client(value)
            elif name in self.stateful:
                found = value.get("mode") != "off" if isinstance(value, Mapping) else bool(value)
            elif name in self.stored:
                found = isinstance(value, Mapping)
            elif name == "models":
                found = isinstance(value, list | tuple) and any(map(self._searches_itself, value))
            else:
                found = self._refer(value)
            if found:
                return True
        return False

    def _run_on_client(self, tools: Any) -> bool:
        if not isinstance(tools, list | tuple):
            return False
        listed = self.client_tools
        for tool in tools:
            kind = tool.get("type") if tool.__class__ is dict else None
            if (kind.__class__ is not str or kind not in listed) and (kind is not None or not _is_function(tool)):
                return False
        return True

    def _searches_itself(self, model: Any) -> bool:
        if not isinstance(model, str):
            return False
        known = self._searches.get(model)
        if known is not None:
            return known
        if len(self._searches) >= _MODELS_KEPT:
            self._searches.clear()
        found = self._searches[model] = any(fnmatchcase(model.lower(), pattern) for pattern in self.searching)
        return found

    def _refer(self, turns: Any) -> bool:
        for turn in turns if turns.__class__ is list else (turns,):
            if turn.__class__ is dict:
                if len(turn) == 2 and turn.get("content").__class__ is str:
                    continue
            elif turn.__class__ is str or turn.__class__ is int:
                continue
            try:
                if self._mentions(turn):
                    return True
            except RecursionError:
                # Deeper than JSON goes, or a circle: the request gets no key.
                return False
        return False

    def _mentions(self, value: Any) -> bool:
        if value.__class__ is dict or isinstance(value, Mapping):
            for name, inner in value.items():
                if isinstance(inner, str):
                    if inner and (name in self.references or (name == "type" and inner in self.references)):
                        return True
                elif inner and (name in self.references or (name not in OPAQUE and self._mentions(inner))):
                    return True
            return False
        return isinstance(value, list | tuple) and any(map(self._mentions, value))


def _is_function(tool: Any) -> bool:
    """Return whether a tool without a type is the client's own function, in any dialect."""
    if not isinstance(tool, Mapping) or tool.get("type") is not None:
        return False
    if "function" in tool or "name" in tool:
        return True
    return all(value is None or name in DECLARATIONS for name, value in tool.items())


DEFAULT_RULES: Final = RequestRules()
