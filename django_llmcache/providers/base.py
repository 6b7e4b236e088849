"""What every provider file gives: its addresses, its body, its errors and its table of what counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django_llmcache.bodies import JSON
from django_llmcache.credentials import shown
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.parsing import parsed, written
from django_llmcache.rules import DEFAULT_RULES, RequestRules

Messages = Sequence[Mapping[str, Any]]
"""A conversation: ``{"role": …, "content": …}`` mappings, or the provider's own shape."""


class Place(NamedTuple):
    """What the path of an address says.

    Attributes:
        root: what comes before a provider's own paths, such as ``/v1``.
        path: the rest, as ``chat_path`` gives it.
        operation: what is asked there, such as ``chat``.
        model: the model that it names, ``""`` where the body does.
    """

    root: str
    path: str
    operation: str
    model: str = ""


class Provider:
    """One provider's peculiarities. Subclass it, name the subclass in ``PROVIDERS[name]["CLASS"]``, done.

    Attributes:
        base_url: where the service is; ``BASE_URL`` in the settings overrides it.
        key_variable: the environment variable that has the API key.
        needs_key: whether a call without an API key is refused before it is sent.
        hosts: other hosts with the same API, as shell patterns: regions, and clouds that sell it.
        operations: what is asked at an address, by how its path ends; whatever else the service does is not cached.
        rules: what counts in a key, what streams and what has state on the provider's side.
    """

    base_url: str = ""
    hosts: tuple[str, ...] = ()
    operations: Mapping[str, str] = {}
    key_variable: str | None = None
    needs_key: bool = True
    rules: RequestRules = DEFAULT_RULES

    def __init__(self, name: str, *, base_url: str | None = None, key_variable: str | None = None) -> None:
        self.name = name
        self.base_url = base_url or self.base_url
        self.key_variable = key_variable or self.key_variable

    def chat_path(self, model: str, *, stream: bool) -> str:
        """Return the path of a chat call, below ``base_url``."""
        raise NotImplementedError

    def chat_query(self, *, stream: bool) -> tuple[tuple[str, str], ...]:
        """Return the query parameters of a chat call."""
        return ()

    def chat_payload(self, messages: Messages, model: str, options: dict[str, Any], *, stream: bool) -> dict[str, Any]:
        """Return the body of a chat call; a new dict, which may hold the caller's own lists."""
        raise NotImplementedError

    def embed_path(self, model: str) -> str:
        """Return the path of an embeddings call, below ``base_url``."""
        raise ConfigurationError(f"{self.name} has no embeddings API; ask another provider.")

    def embed_payload(self, texts: str | Sequence[str], model: str, options: dict[str, Any]) -> dict[str, Any]:
        """Return the body of an embeddings call."""
        return {"model": model, "input": texts if isinstance(texts, str) else list(texts), **options}

    def place_of(self, path: str) -> Place | None:
        """Return what is asked at the path of an address, ``None`` where it is nothing that this cache knows."""
        for ending, operation in self.operations.items():
            if path.endswith(ending):
                return Place(path.removesuffix(ending), ending, operation)
        return None

    def auth_headers(self, api_key: str) -> dict[str, str]:
        """Return the headers that carry the credential."""
        return {"authorization": f"Bearer {api_key}"}

    def extra_headers(self) -> dict[str, str]:
        """Return further headers that the API asks for."""
        return {}

    def error_message(self, body: bytes) -> str:
        """Return what the provider says went wrong, as a short text."""
        try:
            return _message_in(parsed(body))
        except ValueError:
            return body[:200].decode("utf-8", "replace").strip()

    def check_messages(self, messages: Any) -> None:
        """Refuse what cannot be a conversation.

        Raises:
            ConfigurationError: not a non-empty list of mappings; the message shows the shape wanted.
        """
        if messages.__class__ is list and messages:
            for message in messages:
                if message.__class__ is not dict:
                    break
            else:
                return
        example = '[{"role": "user", "content": "Hi"}]'
        if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence):
            raise ConfigurationError(f"messages is a {type(messages).__name__}; give a list such as {example}.")
        if not messages:
            raise ConfigurationError(f"messages is empty; give at least one, such as {example}.")
        for index, message in enumerate(messages):
            if not isinstance(message, Mapping):
                kind = type(message).__name__
                raise ConfigurationError(f"messages[{index}] is a {kind}; give a mapping, as in {example}.")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} at {shown(self.base_url)}>"


def is_portable(message: Mapping[str, Any]) -> bool:
    """Return whether a message is a role and a text, which every provider can be sent."""
    return message.keys() == {"role", "content"} and all(isinstance(part, str) for part in message.values())


def _message_in(data: JSON) -> str:
    if isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, dict):
        return str(data)[:200]
    error = data.get("error") or data.get("message") or data.get("detail") or data
    if isinstance(error, dict):
        error = error.get("message") or error
    return error if isinstance(error, str) else written(error).decode()[:200]
