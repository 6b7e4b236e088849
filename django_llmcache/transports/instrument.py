"""``INSTRUMENT``: the response cache under the ordinary clients of ``requests``, ``httpx2`` and ``httpx``.

For known provider hosts alone. Each library is followed to its import, so that none is imported for this, and one that
is imported later is covered too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, NamedTuple

import wrapt

from django_llmcache import conf

LIBRARIES: Final = ("requests", "httpx2", "httpx")

Original = Callable[..., Any]
Wrapper = Callable[[Original, Any, tuple[Any, ...], dict[str, Any]], Any]


class _Patch(NamedTuple):
    """A class whose ``send`` is wrapped."""

    owner: Any
    original: Any
    ours: Any

    @property
    def is_on_top(self) -> bool:
        return vars(self.owner).get("send") is self.ours


_installed = False
_followed: set[str] = set()
_patches: dict[str, list[_Patch]] = {}


def follow(settings: conf.Settings) -> None:
    """Install or uninstall, as ``INSTRUMENT`` says."""
    if settings.instrument:
        install()
    else:
        uninstall()


def install() -> None:
    """Put the pipeline under each library that is imported, and under the others when they are; once."""
    global _installed
    _installed = True
    for name in LIBRARIES:
        if name not in _followed:
            _followed.add(name)
            wrapt.register_post_import_hook(_patch, name)
        elif name in sys.modules:
            _patch(sys.modules[name])


def uninstall() -> None:
    """Put everything back. Where somebody has wrapped ours meanwhile, it stays below and passes everything on."""
    global _installed
    _installed = False
    for name, patches in list(_patches.items()):
        if all(patch.is_on_top for patch in patches):
            for patch in patches:
                patch.owner.send = patch.original
            del _patches[name]


def installed() -> list[str]:
    """Return the libraries that the pipeline is under."""
    return sorted(_patches) if _installed else []


def _patch(library: ModuleType) -> None:
    if not _installed or library.__name__ in _patches:
        return
    through = {"Session": _through_requests} if library.__name__ == "requests" else _through(library)
    patches = _patches[library.__name__] = []
    for name, wrapper in through.items():
        owner = getattr(library, name)
        original = vars(owner)["send"]
        ours = wrapt.FunctionWrapper(original, wrapper)
        owner.send = ours
        patches.append(_Patch(owner, original, ours))


def _through_requests(original: Original, session: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    from . import cached_requests

    request, options = _split(args, options)
    if not _installed:
        return original(request, **options)
    return cached_requests.send(original, session, request, options, by_chance=False)


def _through(library: ModuleType) -> dict[str, Wrapper]:
    from . import cached_httpx

    def send(original: Original, client: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        request, options = _split(args, options)
        if not _installed:
            return original(request, **options)
        return cached_httpx.send(library, original, client, request, options, by_chance=False)

    async def asend(original: Original, client: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        request, options = _split(args, options)
        if not _installed:
            return await original(request, **options)
        return await cached_httpx.asend(library, original, client, request, options, by_chance=False)

    return {"Client": send, "AsyncClient": asend}


def _split(args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the request, and the other arguments, in whichever way ``send`` was called."""
    if args:
        return args[0], options
    others = dict(options)
    return others.pop("request"), others
