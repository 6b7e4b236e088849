"""Which recording a request that has none is compared with. For a message only: it never serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Final

from .exchange import Outgoing
from .fixture import Fixture
from .matcher import Matcher
from .reading import question_in
from .takes import by_test

_COMPARED: Final = 20_000
"""Characters of one value that are compared."""

_Leaves = frozenset[tuple[str, Any]]
"""The values in a body that hold no other, each with the names that lead to it."""


def nearest_to(asked: Outgoing, candidates: Iterable[Fixture], matcher: Matcher, *, test: str) -> Fixture | None:
    """Return the recording most like a request, of the same host and model: of the test's own where there are some.

    Args:
        asked: the request, redacted.
        candidates: what is recorded of the same provider.
        matcher: says what of a request counts.
        test: the id of the test that asked.
    """
    sought = _Sought(asked, matcher)
    for group in by_test(list(candidates), test):
        nearest = max(filter(None, map(sought.compared, group)), default=None)
        if nearest is not None:
            return nearest.fixture
    return None


def moved_from(asked: Outgoing, candidates: Iterable[Fixture], matcher: Matcher) -> Fixture | None:
    """Return a recording of the very request by another host, where the provider may have been asked before.

    It would be found, were the new address its own. The path may be longer or shorter in front, as a gateway's is.

    Args:
        asked: the request, redacted.
        candidates: what is recorded of the same provider.
        matcher: says what of a request counts.
    """
    key, path = matcher.key_of(asked), asked.parts.path
    for fixture in candidates:
        there = fixture.request
        alike = path.endswith(there.parts.path) or there.parts.path.endswith(path)
        same = there.parts.query == asked.parts.query and matcher.key_of(there._replace(url=asked.url)) == key
        if there.host != asked.host and alike and same:
            return fixture
    return None


def model_of(asked: Outgoing, matcher: Matcher) -> str:
    """Return which model a request asks: of the body, else of the address, ``""`` where neither names one."""
    return _model(asked, matcher.body_of(asked))


class _Near:
    """A recording of the same host and model; the one of two that is more like the request is the greater.

    Args:
        fixture: the recording.
        same: what is the same, the more telling first.
        old: what it alone has.
        new: what the request alone has.
    """

    def __init__(self, fixture: Fixture, same: tuple[bool, bool], old: _Leaves, new: _Leaves) -> None:
        self.fixture = fixture
        self._old = old
        self._new = new
        self._standing = (*same, -len(old) - len(new))

    def __gt__(self, other: _Near) -> bool:
        if self._standing != other._standing:
            return self._standing > other._standing
        return self._likeness > other._likeness

    @cached_property
    def _likeness(self) -> float:
        """How much of what is not the same is alike, letter by letter: needed of few, and slow."""
        old, new = _trigrams(self._old), _trigrams(self._new)
        return len(old & new) / max(len(old | new), 1)


class _Sought:
    """The request that recordings are compared with."""

    def __init__(self, asked: Outgoing, matcher: Matcher) -> None:
        body = matcher.body_of(asked)
        self._asked = asked
        self._matcher = matcher
        self._model = _model(asked, body)
        self._question = _question(body)
        self._leaves = frozenset(_leaves(body))

    def compared(self, fixture: Fixture) -> _Near | None:
        """Return how near a recording is, ``None`` for one of another host or model."""
        request = fixture.request
        if request.host != self._asked.host:
            return None
        body = self._matcher.body_of(request)
        if _model(request, body) != self._model:
            return None
        leaves = frozenset(_leaves(body))
        same_question = self._question != "" and _question(body) == self._question
        same = (request.parts.path == self._asked.parts.path, same_question)
        return _Near(fixture, same, leaves - self._leaves, self._leaves - leaves)


def _model(asked: Outgoing, body: Any) -> str:
    named = body.get("model") if isinstance(body, dict) else None
    if isinstance(named, str):
        return named
    _, found, rest = asked.parts.path.partition("/models/")
    return rest.partition(":")[0] if found else ""


def _question(body: Any) -> str:
    """Return what the user said last, where it is told apart from what the model and its tools did."""
    if not isinstance(body, dict):
        return ""
    return question_in({name: _of_user(value) for name, value in body.items()})


def _of_user(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [item for item in value if isinstance(item, dict) and item.get("role") == "user"] or value


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value that holds no other, with the names that lead to it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, path)
    else:
        yield path, value


def _trigrams(leaves: _Leaves) -> set[str]:
    texts = [str(value)[:_COMPARED] for _, value in leaves]
    return {text[at : at + 3] for text in texts for at in range(max(len(text) - 2, 1))}
