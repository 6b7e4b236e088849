"""The client: one call to any provider, through the pipeline of middleware.

Keywords of every call, all optional:

* ``model``: else the client's, else ``PROVIDERS[name]["MODEL"]``;
* what is wanted of the cache: ``cache``, ``ttl``, ``refresh``, ``scope``, ``tags``, ``sample``, ``admit``, as
  ``CachePolicy`` describes them;
* the connection: ``timeout`` (seconds), ``extra_headers``, ``api_key``, ``base_url``;
* any other keyword is the provider's own and goes into the body as it is.

Every call raises ``ConfigurationError`` for a value that cannot work, before anything is sent, and one of the family
of ``ProviderError`` where the provider gives no usable answer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import Any, Final

from . import conf, pipeline
from .binding import CONNECTION, OURS, Binding, Connection, no_name, policy_from
from .events import StreamEvent
from .messages import LLMRequest, LLMResponse
from .policies import CachePolicy
from .providers import Messages
from .providers.streams import AsyncLLMStream, LLMStream

_CACHE: Final = frozenset({"cache"})
_ASKED_FOR: Final = CachePolicy(cache=True)
"""What ``cache=True`` alone says: the commonest wish, which takes a quarter of a hit to work out."""


class LLMClient:
    """Asks one provider.

    Args:
        provider: a name such as ``"openai"``.
        model: asked where a call names none.
        connection: ``api_key``, ``base_url``, ``extra_headers``, ``timeout``, in place of the settings'.

    Raises:
        ConfigurationError: an unknown provider, or a value that cannot work.
    """

    def __init__(self, provider: str, *, model: str | None = None, **connection: Any) -> None:
        if unknown := sorted(connection.keys() - CONNECTION):
            raise TypeError(
                f"LLMClient() takes no {', '.join(unknown)}; it takes model, {', '.join(sorted(CONNECTION))}."
            )
        if not isinstance(provider, str):
            raise no_name(provider)
        self._name = provider
        self._model = model
        self._connection = Connection(connection)
        self._bound = Binding(provider, model, self._connection)

    def chat(
        self, messages: Messages, *, model: str | None = None, cache: bool | None = None, **words: Any
    ) -> LLMResponse:
        """Return the answer to a conversation, from the cache where it may.

        Args:
            messages: ``{"role": …, "content": …}`` mappings, or the provider's own shape.
            model: which model to ask.
            cache: whether the cache is asked and told; else as the settings say.
            words: as this module says.
        """
        return pipeline.handler()(self._chat_request(messages, model, _with(words, cache)))

    async def achat(
        self, messages: Messages, *, model: str | None = None, cache: bool | None = None, **words: Any
    ) -> LLMResponse:
        """Return what ``chat`` does. A hit never leaves the event loop."""
        return await pipeline.ahandler()(self._chat_request(messages, model, _with(words, cache)))

    def request(self, messages: Messages, *, model: str | None = None, **words: Any) -> LLMRequest:
        """Return what ``chat`` would send with the same words, for ``cache.explain`` and its like; nothing is sent."""
        return self._chat_request(messages, model, dict(words))

    def stream(self, messages: Messages, *, model: str | None = None, **words: Any) -> LLMStream:
        """Return the answer's events as they arrive; never from the response cache."""
        answer = pipeline.handler()(self._chat_request(messages, model, words, stream=True))
        if not isinstance(answer, LLMStream):
            raise _no_stream(answer)
        return answer

    async def astream(
        self, messages: Messages, *, model: str | None = None, **words: Any
    ) -> AsyncGenerator[StreamEvent, None]:
        """Yield the answer's events as they arrive; never from the response cache."""
        answer = await pipeline.ahandler()(self._chat_request(messages, model, words, stream=True))
        if not isinstance(answer, AsyncLLMStream):
            raise _no_stream(answer)
        async with answer:
            async for event in answer:
                yield event

    def embed(self, texts: str | Iterable[str], *, model: str | None = None, **words: Any) -> LLMResponse:
        """Return the vectors of some texts, in ``embeddings``, from the cache where it may."""
        return pipeline.handler()(self._embed_request(texts, model, words))

    async def aembed(self, texts: str | Iterable[str], *, model: str | None = None, **words: Any) -> LLMResponse:
        """Return what ``embed`` does."""
        return await pipeline.ahandler()(self._embed_request(texts, model, words))

    def _chat_request(
        self, messages: Messages, model: str | None, words: dict[str, Any], *, stream: bool = False
    ) -> LLMRequest:
        binding = self._bound
        policy = binding.policy
        if binding.settings is not conf.snapshot or not OURS.isdisjoint(words):
            binding, policy = self._split(words)
        return binding.chat_request(messages, model, words, policy, stream)

    def _embed_request(self, texts: str | Iterable[str], model: str | None, words: dict[str, Any]) -> LLMRequest:
        binding, policy = self._split(words)
        return binding.embed_request(texts, model, words, policy)

    def _split(self, words: dict[str, Any]) -> tuple[Binding, CachePolicy]:
        """Take our words out of a call's, and leave the provider's."""
        bound = self._bound
        if bound.settings is not conf.current():
            bound = self._bound = Binding(self._name, self._model, self._connection)
        ours = OURS.intersection(words)
        if ours == _CACHE and words["cache"] is True:
            del words["cache"]
            return bound, _ASKED_FOR.over(bound.policy)
        if not CONNECTION.isdisjoint(ours):
            connection = Connection({name: words.pop(name) for name in CONNECTION & ours}, instead_of=self._connection)
            bound = Binding(self._name, self._model, connection)
        return bound, policy_from(words).over(bound.policy) if ours else bound.policy

    def __repr__(self) -> str:
        return f"<LLMClient {self._name}{f' {self._model}' if self._model else ''}>"


def _no_stream(answer: object) -> TypeError:
    return TypeError(
        f"A middleware returned a {type(answer).__name__} for a stream; it must pass on what it was given."
    )


def _with(words: dict[str, Any], cache: bool | None) -> dict[str, Any]:  # noqa: FBT001 - on the way of every call
    if cache is not None:
        words["cache"] = cache
    return words


_clients: dict[str, LLMClient] = {}


def _client(provider: str) -> LLMClient:
    try:
        return _clients[provider]
    except (KeyError, TypeError):  # new, or no name at all, which the client tells of
        pass
    return _clients.setdefault(provider, LLMClient(provider))


def chat(
    provider: str, messages: Messages, *, model: str | None = None, cache: bool | None = None, **words: Any
) -> LLMResponse:
    """Return the answer to a conversation, from the cache where it may.

    Args:
        provider: a name such as ``"openai"``.
        messages: ``{"role": …, "content": …}`` mappings, or the provider's own shape.
        model: which model to ask; else ``PROVIDERS[provider]["MODEL"]``.
        cache: whether the cache is asked and told; else as the settings say.
        words: of the cache ``ttl``, ``refresh``, ``scope``, ``tags``, ``sample``, ``admit``, as
            ``CachePolicy`` describes them; of the connection ``timeout``, ``extra_headers``, ``api_key``,
            ``base_url``. Every other word is the provider's own, such as ``temperature``, and is sent as it is.

    Raises:
        ConfigurationError: a value that cannot work; nothing was sent.
        ProviderError: one of its family, where the provider gives no usable answer.
    """
    try:  # as client.chat does, without the calls: most hits come this way
        client = _clients[provider]
    except (KeyError, TypeError):
        client = None
    if client is None:
        client = _client(provider)
    bound = client._bound
    if (cache is None or cache is True) and bound.settings is conf.snapshot and OURS.isdisjoint(words):
        policy = _ASKED_FOR.over(bound.policy) if cache else bound.policy
        request = bound.chat_request(messages, model, words, policy, False)
    else:
        request = client._chat_request(messages, model, _with(words, cache))
    made_for, handler = pipeline.in_force
    answer: LLMResponse = (handler if made_for is conf.snapshot else pipeline.handler())(request)
    return answer


async def achat(
    provider: str, messages: Messages, *, model: str | None = None, cache: bool | None = None, **words: Any
) -> LLMResponse:
    """Return what ``chat`` does, of the same arguments. A hit never leaves the event loop."""
    return await _client(provider).achat(messages, model=model, cache=cache, **words)


def stream(provider: str, messages: Messages, *, model: str | None = None, **words: Any) -> LLMStream:
    """Return the answer's events as they arrive, never from the response cache; takes the arguments of ``chat``."""
    return _client(provider).stream(messages, model=model, **words)


def astream(
    provider: str, messages: Messages, *, model: str | None = None, **words: Any
) -> AsyncGenerator[StreamEvent, None]:
    """Yield the answer's events as they arrive, never from the response cache; takes the arguments of ``chat``."""
    return _client(provider).astream(messages, model=model, **words)


def embed(provider: str, texts: str | Iterable[str], *, model: str | None = None, **words: Any) -> LLMResponse:
    """Return the vectors of some texts, in ``embeddings``, from the cache where it may; ``chat`` tells of the words."""
    return _client(provider).embed(texts, model=model, **words)


async def aembed(provider: str, texts: str | Iterable[str], *, model: str | None = None, **words: Any) -> LLMResponse:
    """Return what ``embed`` does, of the same arguments."""
    return await _client(provider).aembed(texts, model=model, **words)
