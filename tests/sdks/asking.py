"""How each SDK asks a question, streams an answer and calls a tool; each function makes its own client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

HI = [{"role": "user", "content": "Hi"}]
# Questions that were recorded with a tool call for an answer.
DRAGONS = [{"role": "user", "content": "Can the country of Crumpet have dragons? Answer with only YES or NO"}]
WEATHER = [{"role": "user", "content": "What's the weather in Paris?"}]
TEMPERATURE = "What is the temperature of the capital of France?"


def tool(name):
    parameters = {"type": "object", "properties": {"of": {"type": "string"}}}
    return {"type": "function", "function": {"name": name, "description": "Looks it up.", "parameters": parameters}}


class SDK(NamedTuple):
    """One SDK.

    Attributes:
        module: what is imported.
        ask, stream, tools: what it does with a provider's address.
        called: the tool that the model calls.
    """

    module: str
    ask: Callable[[str], Any]
    stream: Callable[[str], Any]
    tools: Callable[[str], Any]
    called: str


def openai_client(url):
    import openai

    return openai.OpenAI(base_url=f"{url}/v1", max_retries=0)


def openai_ask(url):
    answer = openai_client(url).chat.completions.create(model="gpt-4o-mini", messages=HI)
    return answer.model_dump()


def openai_stream(url):
    chunks = openai_client(url).chat.completions.create(model="gpt-4o-mini", messages=HI, stream=True)
    return [chunk.model_dump() for chunk in chunks]


def openai_tools(url):
    answer = openai_client(url).chat.completions.create(
        model="gpt-4o-mini", messages=DRAGONS, tools=[tool("lookup_population")]
    )
    return answer.model_dump()


def anthropic_client(url):
    import anthropic

    return anthropic.Anthropic(base_url=url, max_retries=0)


def anthropic_ask(url):
    return anthropic_client(url).messages.create(model="claude-3-opus", max_tokens=100, messages=HI).model_dump()


def anthropic_stream(url):
    with anthropic_client(url).messages.stream(model="claude-3-opus", max_tokens=100, messages=HI) as stream:
        return [event.model_dump() for event in stream]


def anthropic_tools(url):
    weather = {"name": "get_weather", "input": {"location": "San Francisco, CA"}}
    messages = [
        {"role": "user", "content": "What is the weather and current time in San Francisco?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", **weather}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "Sunny"}]},
    ]
    tools = [{"name": "get_time", "description": "Tells it.", "input_schema": {"type": "object", "properties": {}}}]
    answer = anthropic_client(url).messages.create(
        model="claude-3-5-haiku-20241022", max_tokens=1024, messages=messages, tools=tools
    )
    return answer.model_dump()


def gemini_client(url):
    from google import genai

    return genai.Client(http_options={"base_url": url})


def gemini_ask(url):
    client = gemini_client(url)  # held: it closes itself when nobody does
    return without_head(client.models.generate_content(model="gemini-2.0-flash", contents="Hi"))


def gemini_stream(url):
    client = gemini_client(url)
    return [
        without_head(chunk) for chunk in client.models.generate_content_stream(model="gemini-2.0-flash", contents="Hi")
    ]


def gemini_tools(url):
    client = gemini_client(url)
    config = {
        "tools": [{"function_declarations": [{"name": "get_capital", "description": "Gets it."}]}],
        "automatic_function_calling": {"disable": True},
    }
    answer = client.models.generate_content(model="gemini-2.0-flash", contents=TEMPERATURE, config=config)
    return without_head(answer)


def without_head(answer):
    """Leave out the headers: of those, a fixture keeps a few."""
    return answer.model_dump(exclude={"sdk_http_response"})


def mistral_client(url):
    import mistralai

    client = getattr(mistralai, "Mistral", None)
    if client is None:
        from mistralai.client import Mistral as client  # noqa: N813 - where version 2 has it
    return client(api_key="made-up", server_url=url)


def mistral_ask(url):
    return mistral_client(url).chat.complete(model="mistral-tiny", messages=HI).model_dump()


def mistral_stream(url):
    return [event.model_dump() for event in mistral_client(url).chat.stream(model="mistral-tiny", messages=HI)]


def mistral_tools(url):
    return (
        mistral_client(url)
        .chat.complete(model="mistral-tiny", messages=WEATHER, tools=[tool("get_weather")])
        .model_dump()
    )


def groq_client(url):
    import groq

    return groq.Groq(base_url=url, max_retries=0)


def groq_ask(url):
    return groq_client(url).chat.completions.create(model="llama3-8b-8192", messages=HI).model_dump()


def groq_stream(url):
    chunks = groq_client(url).chat.completions.create(model="llama3-8b-8192", messages=HI, stream=True)
    return [chunk.model_dump() for chunk in chunks]


def groq_tools(url):
    # No tool call of Groq's own was recorded: the model makes the stand-in answer with OpenAI's, of the same shape.
    tools = [tool("lookup_population")]
    answer = groq_client(url).chat.completions.create(model="gpt-4o-mini", messages=DRAGONS, tools=tools)
    return answer.model_dump()


def litellm_ask(url):
    import litellm

    answer = litellm.completion(model="openai/gpt-4o-mini", messages=HI, api_base=f"{url}/v1", num_retries=0)
    return without_times(answer.model_dump())


def litellm_stream(url):
    import litellm

    chunks = litellm.completion(
        model="openai/gpt-4o-mini", messages=HI, api_base=f"{url}/v1", num_retries=0, stream=True
    )
    return [without_times(chunk.model_dump()) for chunk in chunks]


def litellm_tools(url):
    import litellm

    answer = litellm.completion(
        model="openai/gpt-4o-mini",
        messages=DRAGONS,
        tools=[tool("lookup_population")],
        api_base=f"{url}/v1",
        num_retries=0,
    )
    return without_times(answer.model_dump())


def without_times(answer):
    """Leave out what LiteLLM makes up itself for each object."""
    return {name: value for name, value in answer.items() if name not in ("created", "id")}


SDKS = {
    "openai": SDK("openai", openai_ask, openai_stream, openai_tools, "lookup_population"),
    "anthropic": SDK("anthropic", anthropic_ask, anthropic_stream, anthropic_tools, "get_time"),
    "google-genai": SDK("google.genai", gemini_ask, gemini_stream, gemini_tools, "get_capital"),
    "mistralai": SDK("mistralai", mistral_ask, mistral_stream, mistral_tools, "get_weather"),
    "groq": SDK("groq", groq_ask, groq_stream, groq_tools, "lookup_population"),
    "litellm": SDK("litellm", litellm_ask, litellm_stream, litellm_tools, "lookup_population"),
}
