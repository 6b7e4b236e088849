"""What a visitor does and sees."""

from __future__ import annotations

import html
import json
import re

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client

from django_llmcache.contrib.demo.standin import Reply

KEY = "sk-example-0123456789abcdef"
SYNC, ASYNC = "/", "/async/"
both_views = pytest.mark.parametrize("url", [SYNC, ASYNC], ids=["sync", "async"])


def get(url, data=None):
    return async_to_sync(AsyncClient().get)(url, data) if url == ASYNC else Client().get(url, data)


def ask(url, question, provider="openai", **more):
    data = {"question": question, "provider": provider, **more}
    return async_to_sync(AsyncClient().post)(url, data) if url == ASYNC else Client().post(url, data)


def text(response):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def badge(response):
    return re.search(r'class="badge">([^<]*)<', response.content.decode())[1]


def completion(content, **usage):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    return Reply(body=json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode())
