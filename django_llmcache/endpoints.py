"""Where a request goes, apart from what it says."""

from __future__ import annotations

from typing import Any

from .rules import DEFAULT_RULES, RequestRules


class Endpoint:
    """Where a request goes, apart from what it says. Made once and shared by every request to one place."""

    __slots__ = ("base_url", "headers", "key_cache", "operation", "path", "provider", "query", "rules")

    def __init__(
        self,
        provider: str,
        *,
        operation: str = "chat",
        base_url: str = "",
        path: str = "",
        query: tuple[tuple[str, str], ...] = (),
        headers: tuple[tuple[str, str], ...] = (),
        rules: RequestRules = DEFAULT_RULES,
    ) -> None:
        self.provider = provider
        self.operation = operation
        self.base_url = base_url.rstrip("/")
        self.path = path
        self.query = query
        self.headers = headers
        self.rules = rules
        self.key_cache: dict[tuple[object, ...], Any] = {}
