"""``@cached``: keep what a function of one's own answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from enum import Enum
from functools import wraps
from types import CodeType
from typing import Any, Final, TypeVar, Unpack, overload
from uuid import uuid4

import orjson
from asgiref.sync import iscoroutinefunction
from django.utils.safestring import SafeString, mark_safe

from . import strategies
from .functionrequest import CachedFunction, FunctionRequest
from .messages import LLMRequest, LLMResponse
from .parsing import written
from .policies import CachePolicy, Wishes, checked_policy

Function = TypeVar("Function", bound=Callable[..., Any])

_TEXT: Final = (("content-type", "application/x-llmcache-text+json"),)
_NO_JSON: Final = (("content-type", "application/x-llmcache-text"),)
_SAFE: Final = (("content-type", "application/x-llmcache-safe+json"),)
_MAPPING: Final = (("content-type", "application/x-llmcache-mapping+json"),)


@overload
def cached(function: Function, /) -> Function: ...
@overload
def cached(**wishes: Unpack[Wishes]) -> Callable[[Function], Function]: ...
def cached(function: Callable[..., Any] | None = None, /, **wishes: Any) -> Any:
    """Cache a plain or async function from messages to an answer.

    The function's full name and all its arguments make the key, so they must be what JSON can say, or dates, times
    (in zones of ``datetime`` and ``zoneinfo``), ``timedelta`` and ``Decimal``. A call with another one, such as a
    model's object, goes through uncached, and one ``cache_error`` names the function and the argument. That goes for a
    method's ``self`` too, whose state counts: decorate a static method or a plain function. What its name does not tell
    from others has entries of its own each time it is decorated: a lambda, a ``partial``, a method of one object, a
    function or another decorator below this one that uses variables of the function it is defined in. Of several
    functions of one name in a module, such as ``_``, all but the first have the number of their line in theirs.

    The answer may be a text, one of Django's safe texts, a JSON mapping or an LLMResponse, and comes back as the same
    type. An empty one is not stored.

    Args:
        function: what is decorated, where ``@cached`` stands bare.
        wishes: of ``CachePolicy``: ``ttl``, ``scope``, ``tags``, ``refresh``, …

    Raises:
        ConfigurationError: a wish that cannot work, when the function is defined.
        TypeError: a word that there is not, or no function; or the function answered with another type.
    """
    policy = checked_policy("cached", wishes)
    if function is not None and not callable(function):
        raise TypeError(f"cached() takes its words by name, and got {function!r}: write @cached(ttl=60).")
    return _wrapped(function, policy) if function is not None else lambda function: _wrapped(function, policy)


def _wrapped(function: Callable[..., Any], policy: CachePolicy) -> Callable[..., Any]:
    of_function = CachedFunction(function, _path(function), policy)

    if iscoroutinefunction(function):

        @wraps(function)
        async def answer_async(*args: Any, **kwargs: Any) -> Any:
            request = of_function.request(args, kwargs)

            async def call(_: LLMRequest) -> LLMResponse:
                return _pack(await function(*args, **kwargs), request)

            return _unpack(await strategies.current().awith_cache(request, call))

        return answer_async

    @wraps(function)
    def answer(*args: Any, **kwargs: Any) -> Any:
        request = of_function.request(args, kwargs)

        def call(_: LLMRequest) -> LLMResponse:
            return _pack(function(*args, **kwargs), request)

        return _unpack(strategies.current().with_cache(request, call))

    return answer


def _path(function: Callable[..., Any]) -> str:
    """Return what tells the function from others: its full name and its decorators', and more where that is not all.

    A method of one object, a ``partial``, a closure and a decorator with options share their name with others.
    """
    layers = [function]
    while (inner := getattr(layers[-1], "__wrapped__", None)) is not None:
        layers.append(inner)
    path = " of ".join(map(_name, layers))
    alike = all(map(_is_one_of_a_kind, layers, [*layers[1:], None])) and "<lambda>" not in path
    return path if alike else f"{path}#{uuid4().hex}"


def _name(function: Any) -> str:
    """Return the name that the code bears: a decorator's ``inner`` has taken on that of what it decorates."""
    if not inspect.isfunction(function):
        return f"{type(function).__module__}.{type(function).__qualname__}"
    code, module = function.__code__, function.__globals__.get("__name__")
    if module == "__main__":  # of which every program has one
        module = f"{module}({code.co_filename})"
    name = f"{module}.{code.co_qualname}"
    with_line = f"{name}:{code.co_firstlineno}"
    if "<locals>" in code.co_qualname:
        return with_line
    # A registry's ``def _`` and its like: another function under a name is told by its line, or by nothing that lasts.
    names = (each for each in (name, with_line) if _code_of.setdefault(each, code) == code)
    return next(names, None) or f"{name}#{uuid4().hex}"


_code_of: Final[dict[str, CodeType]] = {}
"""Which code has which name; what is loaded once more is equal to what it was."""


def _is_one_of_a_kind(function: Any, inner: Any) -> bool:
    """Return whether its name and its arguments say all: what it holds besides is the function it decorates, if any."""
    if not inspect.isfunction(function):
        return False
    if inner is not None and (function.__defaults__ or function.__kwdefaults__):
        return False  # arguments of a decorator's own
    return all(_content(cell) is inner for cell in function.__closure__ or ())


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing yet: the function uses itself, or what comes after it
        return cell


def _pack(answer: Any, request: FunctionRequest) -> LLMResponse:
    """Return an answer as a response, which is not stored where the arguments have changed meanwhile."""
    response = _response(answer, request.path)
    return response.marked("bypass", reason="changed") if request.has_changed else response


def _response(answer: Any, path: str) -> LLMResponse:
    """Return an answer of any supported type as a response that tells the type by its headers."""
    if isinstance(answer, LLMResponse):
        return answer
    if isinstance(answer, str):
        try:
            headers = _SAFE if isinstance(answer, SafeString) else _TEXT
            return LLMResponse(orjson.dumps({"text": str.__str__(answer)}), headers=headers)
        except TypeError:  # half of an emoji that was cut in two: handed back and, as no JSON, not stored
            return LLMResponse(answer.encode("utf-8", "surrogatepass"), headers=_NO_JSON)
    if isinstance(answer, Mapping):
        try:
            stranger = _not_json(answer)
        except RecursionError:  # deeper than JSON goes, or a circle: who writes it says so
            stranger = None
        if stranger is not None:
            raise TypeError(
                f"{path}() returned a mapping with a {stranger.__name__} in it, which JSON gives back as something "
                f"else; @cached keeps a text, a JSON mapping or an LLMResponse."
            )
        return LLMResponse(written(dict(answer)), headers=_MAPPING)
    raise TypeError(
        f"{path}() returned a {type(answer).__name__}; @cached keeps a text, a JSON mapping or an LLMResponse."
    )


def _not_json(value: Any) -> type | None:
    """Return the type of what is no JSON in a value, at any depth. A tuple is a list; a text of any class is one."""
    if value is None or (isinstance(value, str | int | float) and not isinstance(value, Enum)):
        return None
    if isinstance(value, Mapping):
        return next(filter(None, map(_not_json, value.values())), None)
    if isinstance(value, list | tuple):
        return next(filter(None, map(_not_json, value)), None)
    return type(value)


def _unpack(response: LLMResponse) -> Any:
    if response._headers == _SAFE:
        return mark_safe(response.data["text"])  # noqa: S308 - it was, when it was kept
    if response._headers == _TEXT:
        return response.data["text"]
    if response._headers == _NO_JSON:
        return response.body.decode("utf-8", "surrogatepass")
    return response.data if response._headers == _MAPPING else response
