"""One provider with a credential and an address: what the pipeline's innermost call sends through."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django_llmcache import conf
from django_llmcache.credentials import Credentials, account_of, in_headers
from django_llmcache.errorcopy import fresh
from django_llmcache.events import error_of
from django_llmcache.exceptions import (
    ConfigurationError,
    InvalidAnswerError,
    MissingAPIKeyError,
    ProviderConnectionError,
    ProviderError,
    ServerError,
)
from django_llmcache.headers import one_each, unsendable
from django_llmcache.messages import LLMRequest, LLMResponse
from django_llmcache.sharing import Who
from django_llmcache.transports import over_requests
from django_llmcache.transports.wire import WireAnswer, WireRequest, kept

from .base import Provider
from .encoding import encode
from .failures import Failure
from .streams import AsyncLLMStream, LLMStream


class Target:
    """Sends requests to one provider.

    Args:
        provider: whose peculiarities hold.
        api_key: the call's own; else the settings, then the environment, are asked when something is sent.
        timeout: seconds; else the settings', else 60.
        headers: the call's own, over those of the settings.
    """

    __slots__ = ("_api_key", "_headers", "_timeout", "provider")

    def __init__(
        self,
        provider: Provider,
        *,
        api_key: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.provider = provider
        self._api_key = api_key
        self._timeout = timeout
        self._headers = dict(headers or {})

    @property
    def timeout(self) -> float:
        """Return the seconds to wait for a connection and for each piece of an answer."""
        return conf.current().timeout_for(self.provider.name) if self._timeout is None else self._timeout

    @property
    def who(self) -> Who:
        """Return who asks, as far as a failure may be theirs alone."""
        return Who(Target, account_of(self._all_headers(self._key()), ""))

    def told(self, error: BaseException, *, alike: bool) -> BaseException | None:
        """Return an error like the one in which another's call has ended; ``None`` where that may be another's alone.

        Args:
            error: that of the other, which has no credential in it.
            alike: whether the other has the same credential.
        """
        return fresh(error) if alike or isinstance(error, ServerError | ProviderConnectionError) else None

    def send(self, request: LLMRequest) -> LLMResponse:
        """Return the provider's answer; an ``LLMStream`` where the request asks for a stream.

        Raises:
            ProviderError: one of its family; the class says what to do.
        """
        wire, failure = self._prepared(request)
        if request.stream:
            return LLMStream.open(over_requests.RequestsStream(wire), failure)
        return _checked(over_requests.send(wire), failure)

    async def asend(self, request: LLMRequest) -> LLMResponse:
        """Return the provider's answer, an ``AsyncLLMStream`` where a stream is asked for; raises as ``send``."""
        wire, failure = self._prepared(request)
        transport = async_transport()
        if request.stream:
            return await AsyncLLMStream.open(await transport.open_stream(wire), failure)
        return _checked(await transport.send(wire), failure)

    def _prepared(self, request: LLMRequest) -> tuple[WireRequest, Failure]:
        # Before the key is known: a traceback with the values of variables shows what is known where it was raised.
        body = encode(request.payload)
        if (problem := self._problem_of_credential()) is not None:
            raise problem
        name = self.provider.name
        if (bad := unsendable(dict(request.headers))) is not None:  # of a middleware: others were looked at before
            raise ConfigurationError(f"The header {bad.name} of a call to {name} {bad.problem}. Nothing was sent.")
        key = self._key()
        query = f"?{urlencode(request.query)}" if request.query else ""
        headers = self._all_headers(key, request)
        failure = Failure(self.provider, Credentials(key, in_headers(headers)), request.base_url)
        return WireRequest(name, f"{request.base_url}{request.path}{query}", headers, body, self.timeout), failure

    def _key(self) -> str | None:
        variable = self.provider.key_variable
        said = (self._api_key, self._words().get("API_KEY"), conf.environment(variable) if variable else None)
        return next((word.strip() for word in said if word and not word.isspace()), None)

    def _words(self) -> Mapping[str, Any]:
        return conf.current().providers.get(self.provider.name, {})

    def _problem_of_credential(self) -> ConfigurationError | None:
        """Return the error of a key that is missing or cannot be sent; raised here, it would show the key."""
        name, key = self.provider.name, self._key()
        if key is None and self.provider.needs_key:
            return MissingAPIKeyError(
                f"No API key for {name}; nothing was sent. Give api_key=… to the call, "
                f"or set LLMCACHE['PROVIDERS'][{name!r}]['API_KEY'], or the environment variable "
                f"{self.provider.key_variable}.",
                provider=name,
            )
        bad = unsendable(self.provider.auth_headers(key)) if key else None
        if bad is None:
            return None
        return ConfigurationError(
            f"The header {bad.name} of a call to {name}, which carries the API key, {bad.problem}. Nothing was sent."
        )

    def _all_headers(self, key: str | None, request: LLMRequest | None = None) -> dict[str, str]:
        """Return the headers of a call; those that are in the key as the request has them, which middleware changes."""
        streams = request is not None and request.stream
        accept = "text/event-stream, application/x-ndjson, application/json" if streams else "application/json"
        headers = {"content-type": "application/json", "accept": accept}
        own = self.provider.auth_headers(key) if key else {}
        keyed = frozenset() if request is None else request.rules.headers
        for more in (self.provider.extra_headers(), own, self._words().get("HEADERS", {}), self._headers):
            less = frozenset() if more is own else keyed
            headers |= {name.lower(): str(value) for name, value in more.items() if name.lower() not in less}
        return headers if request is None else headers | one_each(request.headers)


@cache
def async_transport() -> Any:
    """Return the module that sends from an event loop: over ``httpx2`` where it is installed, else in threads."""
    try:
        from django_llmcache.transports import over_httpx
    except ImportError:
        from django_llmcache.transports import over_threads

        return over_threads
    return over_httpx


def _checked(answer: WireAnswer, failure: Failure) -> LLMResponse:
    """Return an answer that is one; raise what is wrong with it otherwise."""
    if not 200 <= answer.status < 300:
        raise failure.of(answer)
    response = LLMResponse(answer.body, status=answer.status, headers=kept(answer.headers))
    if (wrong := _problem_of(response, answer, failure)) is not None:
        raise wrong
    return response.marked("bypass", reason="secret") if failure.is_echoed_in(response) else response


def _problem_of(response: LLMResponse, answer: WireAnswer, failure: Failure) -> ProviderError | None:
    """Return the error of a success that is none.

    Nothing is raised here, where the body is known as it came, with the credential that it may echo.
    """
    try:
        data = response.data
    except InvalidAnswerError:
        return failure.not_json(answer)
    if error_of(data) is not None:
        return failure.of(answer)
    is_answer = bool(data) and (isinstance(data, dict) or (isinstance(data, list) and isinstance(data[0], dict)))
    return None if is_answer else failure.no_answer(answer)
