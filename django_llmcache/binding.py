"""Turn the words of a call into a request, with the settings in force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from . import conf, providers
from .control import HEADER, policy_of
from .endpoints import Endpoint, problem_of_address
from .exceptions import ConfigurationError
from .headers import unsendable
from .messages import LLMRequest
from .policies import NOTHING_SAID, CachePolicy
from .providers import Messages
from .providers.target import Target
from .shapes import LONGEST_TIMEOUT
from .tags import tags_of

CONNECTION: Final = frozenset({"api_key", "base_url", "extra_headers", "timeout"})
WISHES: Final = frozenset({"admit", "cache", "refresh", "sample", "scope", "tags", "ttl"})
OURS: Final = CONNECTION | WISHES
"""Every keyword of a call that is not the provider's own."""

_SEVERAL: Final = frozenset({"admit", "tags"})
_SETTLED: Final = frozenset({frozenset, list, set, str, tuple})
_ENDPOINTS_KEPT: Final = 256


class Connection:
    """What a client or a call says of the connection, in place of the settings. It has no ``repr``: it has the key.

    Args:
        words: any of ``api_key``, ``base_url``, ``extra_headers``, ``timeout``.
        instead_of: another's words, for those that are not among these.

    Raises:
        ConfigurationError: a word that cannot work.
    """

    __slots__ = ("api_key", "base_url", "headers", "policy", "timeout")

    api_key: str | None
    base_url: str | None
    headers: Mapping[str, str]
    policy: CachePolicy
    """What ``x-llmcache-control`` among the headers says; it is not sent."""
    timeout: float | None

    def __init__(self, words: Mapping[str, Any], *, instead_of: Connection | None = None) -> None:
        known = instead_of or _Silent
        self.api_key = _text("api_key", words["api_key"], shown=False) if "api_key" in words else known.api_key
        self.base_url = _address(words["base_url"]) if "base_url" in words else known.base_url
        self.headers, self.policy = known.headers, known.policy
        if "extra_headers" in words:
            self.headers, self.policy = _uncontrolled(_headers(words["extra_headers"]))
        self.timeout = _timeout(words["timeout"]) if "timeout" in words else known.timeout


class _Silent:
    """A connection of which nothing was said."""

    api_key: str | None = None
    base_url: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    policy: CachePolicy = NOTHING_SAID
    timeout: float | None = None


class Binding:
    """One provider as the settings in force and a client's own words describe it.

    Args:
        name: the provider's.
        model: asked where a call names none.
        connection: in place of the settings'.

    Raises:
        ConfigurationError: an unknown provider, or a word that cannot work.
    """

    __slots__ = (
        "_base_url",
        "_chats",
        "_embeddings",
        "_headers",
        "_model",
        "_provider",
        "_target",
        "policy",
        "settings",
    )

    def __init__(self, name: str, model: str | None, connection: Connection) -> None:
        # No variable here holds the settings' words of the provider: reports of an error would show its API key.
        self.settings = conf.current()
        self._provider = provider = providers.get(name)
        self._model = model or self.settings.providers.get(name, {}).get("MODEL")
        self._target = Target(
            provider, api_key=connection.api_key, timeout=connection.timeout, headers=connection.headers
        )
        self.policy = connection.policy
        self._base_url = connection.base_url or provider.base_url
        self._headers = _counting(
            provider,
            provider.extra_headers(),
            self.settings.providers.get(name, {}).get("HEADERS", {}),
            connection.headers,
        )
        self._chats: tuple[dict[str, Endpoint], dict[str, Endpoint]] = ({}, {})
        self._embeddings: dict[str, Endpoint] = {}

    def chat_request(
        self,
        messages: Messages,
        model: str | None,
        options: dict[str, Any],
        policy: CachePolicy,
        stream: bool,  # noqa: FBT001 - called on every hit, where a keyword costs
    ) -> LLMRequest:
        """Return the request of a chat call.

        Args:
            messages: the conversation.
            model: or ``None`` for the default one.
            options: the provider's own fields of the body.
            policy: what the caller wants of the cache.
            stream: whether events are asked for.

        Raises:
            ConfigurationError: no model, or messages of a wrong shape.
            TypeError: ``stream=True`` among the options.
        """
        if "stream" in options and options.pop("stream"):
            raise TypeError("stream=True makes no answer to return: call stream() or astream(), which yield events.")
        provider = self._provider
        provider.check_messages(messages)
        name = model or self._default_model()
        try:
            endpoint = self._chats[stream].get(name)
        except TypeError:  # no text, then: it has no hash
            endpoint = None
        if endpoint is None:
            path, query = provider.chat_path(_name(name), stream=stream), provider.chat_query(stream=stream)
            endpoint = self._keep(self._chats[stream], name, "chat", path, query)
        payload = provider.chat_payload(messages, name, options, stream=stream)
        return LLMRequest.to(endpoint, name, payload, stream, policy, self._target)

    def embed_request(
        self, texts: str | Iterable[str], model: str | None, options: dict[str, Any], policy: CachePolicy
    ) -> LLMRequest:
        """Return the request of an embeddings call; raises as ``chat_request``."""
        given: Any = texts
        wanted = given if isinstance(given, str) else list(given) if isinstance(given, Iterable) else None
        if not wanted or not all(isinstance(text, str) for text in wanted):
            raise ConfigurationError(f"texts is {given!r:.80}; give a text or a list of texts.")
        name = _name(model or self._default_model())
        endpoint = self._embeddings.get(name)
        if endpoint is None:
            endpoint = self._keep(self._embeddings, name, "embeddings", self._provider.embed_path(name), ())
        payload = self._provider.embed_payload(wanted, name, options)
        return LLMRequest.to(endpoint, name, payload, False, policy, self._target)

    def _keep(
        self, kept: dict[str, Endpoint], model: str, operation: str, path: str, query: tuple[tuple[str, str], ...]
    ) -> Endpoint:
        if len(kept) >= _ENDPOINTS_KEPT:
            kept.clear()
        made = kept[model] = Endpoint(
            self._provider.name,
            operation=operation,
            base_url=self._base_url,
            path=path,
            query=query,
            headers=self._headers,
            rules=self._provider.rules,
        )
        return made

    def _default_model(self) -> str:
        if not self._model:
            name = self._provider.name
            raise ConfigurationError(
                f"No model for {name}: give model=… to the call, or set LLMCACHE['PROVIDERS'][{name!r}]['MODEL']."
            )
        return self._model


def no_name(provider: object) -> ConfigurationError:
    """Return the error of a call whose first argument names no provider, such as one that begins with its messages."""
    return ConfigurationError(
        f"provider is a {type(provider).__name__}; give its name first, as in chat('openai', messages)."
    )


def policy_from(words: dict[str, Any]) -> CachePolicy:
    """Take the wishes out of the words of a call, and return them as a policy."""
    wishes: dict[str, Any] = {name: words.pop(name) for name in WISHES & words.keys()}
    for name in _SEVERAL & wishes.keys():
        if wishes[name].__class__ not in _SETTLED and isinstance(wishes[name], Iterable):
            wishes[name] = tuple(wishes[name])  # an iterator is read once, and a view of a dict may change
    if isinstance(wishes.get("tags"), frozenset | list | set | tuple):
        wishes["tags"] = tags_of(wishes["tags"])  # texts: what is known by its wishes must not hold on to objects
    hashable = {name: tuple(wish) if wish.__class__ is list else wish for name, wish in wishes.items()}
    try:
        return _known_policy(**hashable)  # one object for the same wishes: what follows from them is known by it
    except (TypeError, ConfigurationError):
        pass  # a set has no hash, and an error is to show what was given
    return CachePolicy(**wishes)


@lru_cache(maxsize=256, typed=True)
def _known_policy(**wishes: Any) -> CachePolicy:
    return CachePolicy(**wishes)


def _counting(provider: providers.Provider, *sources: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the headers that change an answer, and so are in the key; a later source wins, as it does when sent."""
    lower = {name.lower(): str(value) for headers in sources for name, value in headers.items()}
    return tuple(sorted((name, value) for name, value in lower.items() if name in provider.rules.headers))


def _headers(value: Any) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"extra_headers is a {type(value).__name__}; give a mapping of names to values.")
    if bad := unsendable(value):
        raise ConfigurationError(f"The header {bad.name} in extra_headers {bad.problem}. Nothing was sent.")
    return value


def _uncontrolled(headers: Mapping[str, str]) -> tuple[Mapping[str, str], CachePolicy]:
    """Return the headers less ``x-llmcache-control``, and what that says."""
    said = [value for name, value in headers.items() if name.lower() == HEADER]
    if not said:
        return headers, NOTHING_SAID
    return {name: value for name, value in headers.items() if name.lower() != HEADER}, policy_of(", ".join(said))


def _name(model: Any) -> str:
    if isinstance(model, str):
        return model
    raise ConfigurationError(f"model is {model!r:.80}; give its name as a text.")


def _timeout(value: Any) -> float | None:
    if value is None:
        return None
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number <= LONGEST_TIMEOUT:
        raise ConfigurationError(
            f"timeout is {value!r}; give a finite number of seconds above 0, at most a day ({LONGEST_TIMEOUT}), "
            f"or a timedelta."
        )
    return number


def _address(value: Any) -> str | None:
    text = _text("base_url", value)
    if text and (problem := problem_of_address(text)):  # not shown: it may have a password
        raise ConfigurationError(f"base_url {problem}, as BASE_URL in the settings must.")
    return text


def _text(name: str, value: Any, *, shown: bool = True) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise ConfigurationError(f"{name} is {repr(value) if shown else type(value).__name__}; give a text.")
