"""The three requests of ``python -m benchmarks hit``, and the answer to all of them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

MODEL = "gpt-4o-mini"
ANSWER = json.dumps(
    {
        "id": "chatcmpl-benchmark",
        "object": "chat.completion",
        "created": 1763942400,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "A cache keeps an answer for a while. " * 30},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 31, "completion_tokens": 210, "total_tokens": 241},
    }
).encode()  # 1.5 KB


class Question(NamedTuple):
    """One request: its name in the table, and its body as JSON."""

    name: str
    body: bytes

    def fresh(self) -> dict[str, Any]:
        """Return the body as new objects, as a server gets them: it never sees the same object twice."""
        body: dict[str, Any] = json.loads(self.body)
        return body


def _tool(number: int) -> dict[str, Any]:
    properties = {
        f"field_{index}": {"type": "string", "description": f"What the field number {index} of this tool means."}
        for index in range(8)
    }
    return {
        "type": "function",
        "function": {
            "name": f"tool_{number}",
            "description": "Looks something up that the model cannot know.",
            "parameters": {"type": "object", "properties": properties, "required": sorted(properties)},
        },
    }


def _question(name: str, messages: list[dict[str, str]], **options: Any) -> Question:
    body = {"model": MODEL, "messages": messages, "temperature": 0, **options}
    return Question(name, json.dumps(body).encode())


QUESTIONS = (
    _question("small", [{"role": "user", "content": "What does a cache keep, and for how long? " * 2}]),
    _question(
        "medium",
        [
            {"role": "assistant" if index % 2 else "user", "content": f"Turn {index}: " + "and what then? " * 20}
            for index in range(10)
        ],
        tools=[_tool(number) for number in range(5)],
    ),
    _question("large", [{"role": "user", "content": "A long document to be summed up. " * 6_200}]),
)
