"""The two messages of an exchange with a provider: the request that goes out and the answer that comes back."""

from __future__ import annotations

from .request import LLMRequest
from .response import LLMResponse

__all__ = ["LLMRequest", "LLMResponse"]
