"""How each SDK is given a cached client and asked: sync and async, plain, with a tool, by a schema, as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

from pydantic import BaseModel

from django_llmcache.transports import cached_async_client, cached_client

from .asking import HI, without_head, without_times

TOOL = {
    "type": "function",
    "function": {"name": "lookup", "description": "Looks it up.", "parameters": {"type": "object", "properties": {}}},
}


class City(BaseModel):
    """What is asked for as JSON."""

    name: str


class Cached(NamedTuple):
    """One SDK on cached clients.

    Attributes:
        module: to import.
        client, aclient: make a client for a provider's address, and close it.
        ask, aask: return the answer as a dict; ``kind`` is ``plain``, ``tool`` or ``schema``.
        stream: returns the parts of a streamed answer.
    """

    module: str
    client: Callable[[str], Any]
    aclient: Callable[[str], Any]
    ask: Callable[[Any, str], Any]
    aask: Callable[[Any, str], Awaitable[Any]]
    stream: Callable[[Any], list[Any]] | None = None


@contextmanager
def openai_client(url: str) -> Iterator[Any]:
    import openai

    with openai.OpenAI(base_url=f"{url}/v1", max_retries=0, http_client=cached_client()) as client:
        yield client


@asynccontextmanager
async def openai_aclient(url: str) -> AsyncIterator[Any]:
    import openai

    async with openai.AsyncOpenAI(base_url=f"{url}/v1", max_retries=0, http_client=cached_async_client()) as client:
        yield client


def openai_words(kind: str) -> dict[str, Any]:
    words: dict[str, Any] = {"model": "gpt-4o-mini", "messages": HI}
    if kind == "tool":
        words["tools"] = [TOOL]
    if kind == "schema":
        words["response_format"] = City
    return words


def openai_ask(client, kind):
    chat = client.chat.completions
    return (chat.parse if kind == "schema" else chat.create)(**openai_words(kind))


async def openai_aask(client, kind):
    return await openai_ask(client, kind)


def openai_stream(client):
    return list(client.chat.completions.create(stream=True, **openai_words("plain")))


@contextmanager
def groq_client(url: str) -> Iterator[Any]:
    import groq

    with groq.Groq(base_url=url, max_retries=0, http_client=cached_client(library="httpx")) as client:
        yield client


@asynccontextmanager
async def groq_aclient(url: str) -> AsyncIterator[Any]:
    import groq

    async with groq.AsyncGroq(base_url=url, max_retries=0, http_client=cached_async_client(library="httpx")) as client:
        yield client


def groq_ask(client, kind):
    words = {**openai_words(kind), "model": "llama3-8b-8192"}
    if kind == "schema":
        words["response_format"] = {"type": "json_schema", "json_schema": _schema()}
    return client.chat.completions.create(**words)


async def groq_aask(client, kind):
    return await groq_ask(client, kind)


def groq_stream(client):
    return list(client.chat.completions.create(model="llama3-8b-8192", messages=HI, stream=True))


@contextmanager
def anthropic_client(url: str) -> Iterator[Any]:
    import anthropic

    with anthropic.Anthropic(base_url=url, max_retries=0, http_client=cached_client()) as client:
        yield client


@asynccontextmanager
async def anthropic_aclient(url: str) -> AsyncIterator[Any]:
    import anthropic

    async with anthropic.AsyncAnthropic(base_url=url, max_retries=0, http_client=cached_async_client()) as client:
        yield client


def anthropic_words(kind: str) -> dict[str, Any]:
    words: dict[str, Any] = {"model": "claude-3-opus", "max_tokens": 100, "messages": HI}
    if kind == "tool":
        words["tools"] = [{"name": "lookup", "input_schema": {"type": "object", "properties": {}}}]
    if kind == "schema":  # a tool that it must call is how one asks for JSON there
        words["tools"] = [{"name": "city", "input_schema": City.model_json_schema()}]
        words["tool_choice"] = {"type": "tool", "name": "city"}
    return words


def anthropic_ask(client, kind):
    return client.messages.create(**anthropic_words(kind))


async def anthropic_aask(client, kind):
    return await anthropic_ask(client, kind)


def anthropic_stream(client):
    with client.messages.stream(**anthropic_words("plain")) as stream:
        return list(stream)


def _gemini(url: str) -> Any:
    from google import genai
    from google.genai import types

    options = types.HttpOptions(base_url=url, httpx_client=cached_client(), httpx_async_client=cached_async_client())
    return genai.Client(http_options=options)


@contextmanager
def gemini_client(url: str) -> Iterator[Any]:
    client = _gemini(url)
    yield client
    client.close()


@asynccontextmanager
async def gemini_aclient(url: str) -> AsyncIterator[Any]:
    client = _gemini(url)
    yield client
    await client.aio.aclose()


def gemini_words(kind: str) -> dict[str, Any]:
    from google.genai import types

    words: dict[str, Any] = {"model": "gemini-2.0-flash", "contents": "Hi"}
    if kind == "tool":
        tool = types.Tool(function_declarations=[types.FunctionDeclaration(name="lookup", description="Looks it up.")])
        words["config"] = types.GenerateContentConfig(tools=[tool])
    if kind == "schema":
        words["config"] = types.GenerateContentConfig(response_mime_type="application/json", response_schema=City)
    return words


def gemini_ask(client, kind):
    return without_head(client.models.generate_content(**gemini_words(kind)))


async def gemini_aask(client, kind):
    return without_head(await client.aio.models.generate_content(**gemini_words(kind)))


def gemini_stream(client):
    return [without_head(part) for part in client.models.generate_content_stream(**gemini_words("plain"))]


@contextmanager
def mistral_client(url: str) -> Iterator[Any]:
    from mistralai.client import Mistral

    with cached_client() as http:  # it closes none that it is given
        yield Mistral(api_key="made-up", server_url=url, client=http)


@asynccontextmanager
async def mistral_aclient(url: str) -> AsyncIterator[Any]:
    from mistralai.client import Mistral

    async with cached_async_client() as http:
        yield Mistral(api_key="made-up", server_url=url, async_client=http)


def mistral_words(kind: str) -> dict[str, Any]:
    words: dict[str, Any] = {"model": "mistral-tiny", "messages": HI}
    if kind == "tool":
        words["tools"] = [TOOL]
    if kind == "schema":
        words["response_format"] = {"type": "json_schema", "json_schema": _schema()}
    return words


def mistral_ask(client, kind):
    return client.chat.complete(**mistral_words(kind))


async def mistral_aask(client, kind):
    return await client.chat.complete_async(**mistral_words(kind))


def mistral_stream(client):
    return list(client.chat.stream(**mistral_words("plain")))


@contextmanager
def litellm_client(url: str) -> Iterator[Any]:
    import litellm

    with cached_client(library="httpx") as session:
        litellm.client_session = session
        litellm.in_memory_llm_clients_cache.flush_cache()
        yield f"{url}/v1"
        litellm.client_session = None


@asynccontextmanager
async def litellm_aclient(url: str) -> AsyncIterator[Any]:
    import litellm

    async with cached_async_client(library="httpx") as session:
        litellm.aclient_session = session
        litellm.in_memory_llm_clients_cache.flush_cache()
        yield f"{url}/v1"
        litellm.aclient_session = None


def litellm_words(base: str, kind: str) -> dict[str, Any]:
    words = {"model": "openai/gpt-4o-mini", "messages": HI, "api_base": base, "num_retries": 0}
    if kind == "tool":
        words["tools"] = [TOOL]
    if kind == "schema":
        words["response_format"] = City
    return words


def litellm_ask(base, kind):
    import litellm

    return without_times(litellm.completion(**litellm_words(base, kind)).model_dump())


async def litellm_aask(base, kind):
    import litellm

    return without_times((await litellm.acompletion(**litellm_words(base, kind))).model_dump())


def litellm_stream(base):
    import litellm

    return [
        without_times(part.model_dump()) for part in litellm.completion(stream=True, **litellm_words(base, "plain"))
    ]


@contextmanager
def langchain_client(url: str) -> Iterator[Any]:
    from langchain_openai import ChatOpenAI

    with cached_client() as http:  # it has no way to close one
        yield ChatOpenAI(model="gpt-4o-mini", base_url=f"{url}/v1", max_retries=0, http_client=http)


@asynccontextmanager
async def langchain_aclient(url: str) -> AsyncIterator[Any]:
    from langchain_openai import ChatOpenAI

    async with cached_async_client() as http:
        yield ChatOpenAI(model="gpt-4o-mini", base_url=f"{url}/v1", max_retries=0, http_async_client=http)


def _langchain_way(model: Any, kind: str) -> Any:
    if kind == "tool":
        return model.bind_tools([TOOL])
    return model.with_structured_output(City) if kind == "schema" else model


def langchain_ask(model, kind):
    return _of_the_answer(_langchain_way(model, kind).invoke("Hi"))


async def langchain_aask(model, kind):
    return _of_the_answer(await _langchain_way(model, kind).ainvoke("Hi"))


def langchain_stream(model):
    return [_of_the_answer(part) for part in model.stream("Hi")]


def _of_the_answer(message: Any) -> Any:
    """Leave out the id that LangChain makes up for each run."""
    said = message.model_dump()
    return {name: value for name, value in said.items() if name != "id"}


@asynccontextmanager
async def pydantic_ai_aclient(url: str) -> AsyncIterator[Any]:
    import openai
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    client = openai.AsyncOpenAI(base_url=f"{url}/v1", max_retries=0, http_client=cached_async_client())
    async with client:
        yield OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(openai_client=client))


@contextmanager
def pydantic_ai_client(url: str) -> Iterator[Any]:
    """``run_sync`` takes the thread's event loop; where there is none it makes one, which nobody would close."""
    with asyncio.Runner() as runner:
        asyncio.set_event_loop(runner.get_loop())
        try:
            yield f"{url}/v1"
        finally:
            asyncio.set_event_loop(None)


def _agent(model: Any, kind: str) -> Any:
    from pydantic_ai import Agent, NativeOutput

    return Agent(model, output_type=NativeOutput(City)) if kind == "schema" else Agent(model)


def pydantic_ai_ask(base, kind):
    """Ask with a model of its own each time."""
    import openai
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    client = openai.AsyncOpenAI(base_url=base, max_retries=0, http_client=cached_async_client())
    model = OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(openai_client=client))
    try:
        return _agent(model, kind).run_sync("Hi").output
    finally:
        asyncio.get_event_loop().run_until_complete(client.close())


async def pydantic_ai_aask(model, kind):
    return (await _agent(model, kind).run("Hi")).output


def _schema() -> dict[str, Any]:
    return {"name": "City", "schema": City.model_json_schema()}


CACHED = {
    "openai": Cached("openai", openai_client, openai_aclient, openai_ask, openai_aask, openai_stream),
    "anthropic": Cached(
        "anthropic", anthropic_client, anthropic_aclient, anthropic_ask, anthropic_aask, anthropic_stream
    ),
    "google-genai": Cached("google.genai", gemini_client, gemini_aclient, gemini_ask, gemini_aask, gemini_stream),
    "mistralai": Cached("mistralai", mistral_client, mistral_aclient, mistral_ask, mistral_aask, mistral_stream),
    "groq": Cached("groq", groq_client, groq_aclient, groq_ask, groq_aask, groq_stream),
    "litellm": Cached("litellm", litellm_client, litellm_aclient, litellm_ask, litellm_aask, litellm_stream),
    "langchain-openai": Cached(
        "langchain_openai", langchain_client, langchain_aclient, langchain_ask, langchain_aask, langchain_stream
    ),
    "pydantic-ai": Cached("pydantic_ai", pydantic_ai_client, pydantic_ai_aclient, pydantic_ai_ask, pydantic_ai_aask),
}
