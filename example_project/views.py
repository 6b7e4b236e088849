"""One chat page as a sync and as an async view; they differ in the line that asks."""

from __future__ import annotations

import time

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from django_llmcache import cache
from django_llmcache.exceptions import LLMCacheError

from .chatting import Answer, Failure, client, has_key
from .forms import QuestionForm

EXAMPLES = (
    ("groq", "Tell me a joke about opentelemetry"),
    ("xai", "Hello there!"),
    ("gemini", "What is the temperature of the capital of France?"),
    ("openai", "Generate a random number between 1 and 10"),
)
"""Questions that the stand-in has a recorded answer to. The last one was cut short, so it is not stored."""


@require_http_methods(["GET", "HEAD", "POST"])
def chat(request: HttpRequest) -> HttpResponse:
    """Show the page, and answer what was posted to it."""
    form = _form(request)
    if not form.is_valid():
        return _page(request, form)
    provider, question, refresh = form.asked()
    try:
        llm = client(provider)
        began = time.perf_counter()
        response = llm.chat(question, refresh=refresh)
        seconds = time.perf_counter() - began
    except LLMCacheError as error:
        return _page(request, form, failure=Failure.of(error))
    return _page(request, form, answer=Answer.of(provider, response, seconds=seconds))


@require_http_methods(["GET", "HEAD", "POST"])
async def achat(request: HttpRequest) -> HttpResponse:
    """Do what ``chat`` does; under ASGI a stored answer never leaves the event loop."""
    form = _form(request)
    if not form.is_valid():
        return _page(request, form)
    provider, question, refresh = form.asked()
    try:
        llm = client(provider)
        began = time.perf_counter()
        response = await llm.achat(question, refresh=refresh)
        seconds = time.perf_counter() - began
    except LLMCacheError as error:
        return _page(request, form, failure=Failure.of(error))
    return _page(request, form, answer=Answer.of(provider, response, seconds=seconds))


def _form(request: HttpRequest) -> QuestionForm:
    """Return what was posted; a GET only fills the form in, so that no link or crawler makes a call."""
    if request.method == "POST":
        return QuestionForm(request.POST, label_suffix="")
    filled = {name: request.GET[name] for name in ("question", "provider") if name in request.GET}
    return QuestionForm(initial=filled, label_suffix="")


def _page(
    request: HttpRequest, form: QuestionForm, *, answer: Answer | None = None, failure: Failure | None = None
) -> HttpResponse:
    context = {
        "form": form,
        "answer": answer,
        "failure": failure,
        "stats": cache.stats(),
        "examples": [example for example in EXAMPLES if not has_key(example[0])],
        "latency": settings.STANDIN_LATENCY,
    }
    return render(request, "example_project/chat.html", context, status=502 if failure else 200)
