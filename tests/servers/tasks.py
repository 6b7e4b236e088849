"""A Celery app with one task that asks an LLM, with a broker in memory."""

from __future__ import annotations

from celery import Celery

from django_llmcache import chat

app = Celery("tests", broker="memory://", backend="cache+memory://")


@app.task
def ask(question: str) -> tuple[str, str]:
    answer = chat("openai", [{"role": "user", "content": question}])
    return answer.text, answer.cache.status
