"""A site of four views that ask an LLM, for the servers that run it: ``chat()`` and an SDK's client, sync and async."""

from __future__ import annotations

import os

import django
import httpx2
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

from django_llmcache import achat, chat
from django_llmcache.transports import cached_async_client, cached_client

PROVIDER = os.environ["STANDIN_URL"]

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["django_llmcache"],
        LLMCACHE={
            "PROVIDERS": {"openai": {"BASE_URL": f"{PROVIDER}/v1", "API_KEY": "made-up", "MODEL": "gpt-4o-mini"}},
            "RUN_DIR": os.environ["RUN_DIR"],
        },
        MIDDLEWARE=["django_llmcache.middleware.scope.RequestScopeMiddleware"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="made up",
    )
    django.setup()

URL = f"{PROVIDER}/v1/chat/completions"


def _messages(request):
    return [{"role": "user", "content": request.GET["question"]}]


def _told(answer):
    return JsonResponse({"text": answer.text, "status": answer.cache.status, "worker": os.getpid()})


def _told_by_http(answer: httpx2.Response):
    status = answer.headers.get("x-llmcache", "miss")
    return JsonResponse({"text": answer.json()["choices"][0]["message"]["content"], "status": status})


def by_chat(request):
    return _told(chat("openai", _messages(request)))


async def by_achat(request):
    return _told(await achat("openai", _messages(request)))


def by_client(request):
    with cached_client() as client:
        return _told_by_http(client.post(URL, json={"model": "gpt-4o-mini", "messages": _messages(request)}))


async def by_aclient(request):
    async with cached_async_client() as client:
        return _told_by_http(await client.post(URL, json={"model": "gpt-4o-mini", "messages": _messages(request)}))


urlpatterns = [path("chat", by_chat), path("achat", by_achat), path("client", by_client), path("aclient", by_aclient)]
wsgi = get_wsgi_application()
asgi = get_asgi_application()
