"""The site that ``python -m benchmarks soak`` loads: it asks, clears, and tells its statistics."""

from __future__ import annotations

import json
import os

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

from django_llmcache import cache, chat

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="made up", **json.loads(os.environ["SOAK"])
    )
    django.setup()


def ask(request):
    number = request.GET["number"]
    answer = chat("openai", [{"role": "user", "content": f"Question {number}"}], model="m", tags=[f"n:{number}"])
    return JsonResponse({"text": answer.text, "status": answer.cache.status})


def clear(request):
    try:
        cache.clear(tag=f"n:{request.GET['number']}")
    except Exception as error:  # the store is away, and who clears must hear of it
        return JsonResponse({"failed": type(error).__name__})
    return JsonResponse({})


def stats(request):
    return JsonResponse(cache.stats().as_dict())


urlpatterns = [path("ask", ask), path("clear", clear), path("stats", stats)]
application = get_wsgi_application()
