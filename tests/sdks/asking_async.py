"""How the async client of each SDK asks a question and streams an answer."""

from __future__ import annotations

from .asking import HI, without_head, without_times


async def openai(url):
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=f"{url}/v1", max_retries=0) as client:
        answer = await client.chat.completions.create(model="gpt-4o-mini", messages=HI)
        stream = await client.chat.completions.create(model="gpt-4o-mini", messages=HI, stream=True)
        return [answer.model_dump(), *[chunk.model_dump() async for chunk in stream]]


async def anthropic(url):
    from anthropic import AsyncAnthropic

    async with AsyncAnthropic(base_url=url, max_retries=0) as client:
        answer = await client.messages.create(model="claude-3-opus", max_tokens=100, messages=HI)
        async with client.messages.stream(model="claude-3-opus", max_tokens=100, messages=HI) as stream:
            return [answer.model_dump(), *[event.model_dump() async for event in stream]]


async def gemini(url):
    from google import genai

    models = (client := genai.Client(http_options={"base_url": url})).aio.models
    answer = await models.generate_content(model="gemini-2.0-flash", contents="Hi")
    stream = await models.generate_content_stream(model="gemini-2.0-flash", contents="Hi")
    found = [without_head(answer), *[without_head(chunk) async for chunk in stream]]
    await client.aio.aclose()
    return found


async def mistral(url):
    from .asking import mistral_client

    async with mistral_client(url) as client:
        answer = await client.chat.complete_async(model="mistral-tiny", messages=HI)
        stream = await client.chat.stream_async(model="mistral-tiny", messages=HI)
        return [answer.model_dump(), *[event.model_dump() async for event in stream]]


async def groq(url):
    from groq import AsyncGroq

    async with AsyncGroq(base_url=url, max_retries=0) as client:
        answer = await client.chat.completions.create(model="llama3-8b-8192", messages=HI)
        stream = await client.chat.completions.create(model="llama3-8b-8192", messages=HI, stream=True)
        return [answer.model_dump(), *[chunk.model_dump() async for chunk in stream]]


async def litellm(url):
    from litellm import acompletion

    words = {"model": "openai/gpt-4o-mini", "messages": HI, "api_base": f"{url}/v1", "num_retries": 0}
    answer = await acompletion(**words)
    stream = await acompletion(**words, stream=True)
    return [without_times(answer.model_dump()), *[without_times(chunk.model_dump()) async for chunk in stream]]


ASYNC = {
    "openai": openai, "anthropic": anthropic, "google.genai": gemini, "mistralai": mistral, "groq": groq,
    "litellm": litellm,
}  # fmt: skip
"""By the module that each needs."""
