"""Which recording a request that has none is compared with. For a message only: it never serves."""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Any

from .exchange import Outgoing
from .fixture import Fixture
from .matcher import Matcher


def nearest_to(asked: Outgoing, candidates: Iterable[Fixture], matcher: Matcher) -> Fixture | None:
    """Return the recording most like a request, of the same host and model.

    Args:
        asked: the request, redacted.
        candidates: what is recorded of the same provider.
        matcher: says what of a request counts.
    """
    best: tuple[float, Fixture] | None = None
    body = matcher.body_of(asked)
    model, text = _model(asked, body), _text(body)
    for fixture in candidates:
        if fixture.request.host != asked.host:
            continue
        other = matcher.body_of(fixture.request)
        if _model(fixture.request, other) != model:
            continue
        same_path = fixture.request.parts.path == asked.parts.path
        likeness = same_path + SequenceMatcher(None, text, _text(other), autojunk=False).quick_ratio()
        if best is None or likeness > best[0]:
            best = (likeness, fixture)
    return best[1] if best else None


def model_of(asked: Outgoing, matcher: Matcher) -> str:
    """Return which model a request asks: of the body, else of the address, ``""`` where neither names one."""
    return _model(asked, matcher.body_of(asked))


def _model(asked: Outgoing, body: Any) -> str:
    named = body.get("model") if isinstance(body, dict) else None
    if isinstance(named, str):
        return named
    _, found, rest = asked.parts.path.partition("/models/")
    return rest.partition(":")[0] if found else ""


def _text(body: Any) -> str:
    return json.dumps(body, sort_keys=True, ensure_ascii=False)[:20_000]
