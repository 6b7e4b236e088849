"""What ``python -m benchmarks hit`` compares: each answers a chat request's body with the answer's text.

Each asks the same provider on loopback, as its own documentation says, and keeps what it answered.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from contextlib import contextmanager, nullcontext

import orjson
import requests

TTL = 900.0
KEY = "made-up"


def live(url):
    """Return a function that asks the provider without any cache."""
    session = requests.Session()

    def ask(body):
        return session.post(f"{url}/v1/chat/completions", json=body, timeout=60).content

    return ask


class Contender:
    """Makes itself with the provider's address; called with what ``given`` made of a body, returns the text."""

    name: str
    package: str | None = None

    def given(self, body):
        """Return what a caller has in hand: the arguments of the call that is timed."""
        return (body,)

    def timed(self):
        """Return a context manager that is entered while it is timed."""
        return nullcontext()


def _hear(sender, **details):
    pass


class Floor(Contender):
    """The least that a right cache can do: a canonical digest, a locked look-up that checks expiry, the parsing."""

    name = "floor"

    def __init__(self, url):
        self._ask, self._lock, self._kept = live(url), threading.Lock(), {}

    def __call__(self, body):
        key = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest()
        with self._lock:
            held = self._kept.get(key)
            if held is not None and held[0] <= time.monotonic():
                held = None
        if held is None:
            held = (time.monotonic() + TTL, self._ask(body))
            with self._lock:
                self._kept[key] = held
        return orjson.loads(held[1])["choices"][0]["message"]["content"]


class Chat(Contender):
    """Ours as most users call it: ``chat()`` with the default middleware."""

    name = "chat()"

    def __init__(self, url):
        from django_llmcache import chat

        self._chat = chat

    def given(self, body):
        return body.pop("messages"), body.pop("model"), body

    def __call__(self, messages, model, options):
        return self._chat("openai", messages, model=model, **options).text


class ChatAsked(Chat):
    """The same where the call asks for the cache."""

    name = "chat(cache=True)"

    def __call__(self, messages, model, options):
        return self._chat("openai", messages, model=model, cache=True, **options).text


class ChatWishes(Chat):
    """The same with other wishes of the cache."""

    name = "chat(ttl, scope, tags)"

    def __call__(self, messages, model, options):
        return self._chat("openai", messages, model=model, ttl=600, scope="user:42", tags=["faq"], **options).text


class ChatHeard(Chat):
    """The same while a receiver listens to its hits."""

    name = "chat(), one receiver"

    @contextmanager
    def timed(self):
        from django_llmcache.signals import cache_hit

        cache_hit.connect(_hear)
        try:
            yield
        finally:
            cache_hit.disconnect(_hear)


class WithCache(Contender):
    """Ours for a client of one's own: ``cache.with_cache``."""

    name = "cache.with_cache()"

    def __init__(self, url):
        from django_llmcache import LLMRequest, cache

        ask = live(url)
        self._request, self._with_cache = LLMRequest, cache.with_cache
        self._call = lambda request: ask(dict(request.payload))

    def __call__(self, body):
        return self._with_cache(self._request("openai", payload=body), self._call).text


class LocMem(Contender):
    """The idiom of Django projects: ``get_or_set`` on the default cache, under sorted JSON."""

    name = "LocMem get_or_set"

    def __init__(self, url):
        from django.core.cache.backends.locmem import LocMemCache

        self._cache, self._ask = LocMemCache("benchmark", {"timeout": TTL}), live(url)

    def __call__(self, body):
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        answer = self._cache.get_or_set(key, lambda: json.loads(self._ask(body)))
        return answer["choices"][0]["message"]["content"]


class LangChain(Contender):
    """LangChain's own client with its in-memory cache."""

    name = "LangChain InMemoryCache"
    package = "langchain_openai"

    def __init__(self, url):
        from langchain_core.caches import InMemoryCache
        from langchain_openai import ChatOpenAI

        self._cache, self._client, self._url = InMemoryCache(), ChatOpenAI, url

    def __call__(self, body):
        if not hasattr(self, "_model"):
            self._model = self._client(
                model=body["model"], temperature=0, base_url=f"{self._url}/v1", api_key=KEY, cache=self._cache
            )
        model = self._model.bind_tools(body["tools"]) if "tools" in body else self._model
        return model.invoke(body["messages"]).content


class LiteLLM(Contender):
    """LiteLLM with its in-memory cache."""

    name = "LiteLLM in-memory cache"
    package = "litellm"

    def __init__(self, url):
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the network at import
        import litellm
        from litellm.caching.caching import Cache

        litellm.cache = Cache()
        self._completion, self._url = litellm.completion, url

    def __call__(self, body):
        body["model"] = f"openai/{body['model']}"
        answer = self._completion(**body, api_base=f"{self._url}/v1", api_key=KEY, caching=True)
        return answer.choices[0].message.content


CONTENDERS = (Floor, WithCache, Chat, ChatAsked, ChatWishes, ChatHeard, LocMem, LangChain, LiteLLM)
