"""``INSTRUMENT``: the response cache under the ordinary clients of ``requests``, ``httpx2`` and ``httpx``.

For known provider hosts alone. Each library is followed to its import, so that none is imported for this, and one that
is imported later is covered too.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import partial, wraps
from types import ModuleType
from typing import Any, Final, NamedTuple

import wrapt

from django_llmcache import conf

LIBRARIES: Final = ("requests", "httpx2", "httpx")

Send = Callable[..., Any]


class _Patch(NamedTuple):
    """A class whose ``send`` is wrapped.

    Attributes:
        library: what it is of.
        original: the ``send`` that it had before, with which somebody else may have wrapped the library's own.
        ours: the one that it has from us.
    """

    library: str
    owner: Any
    original: Any
    ours: Send

    @property
    def is_on_top(self) -> bool:
        return vars(self.owner).get("send") is self.ours

    @property
    def is_there(self) -> bool:
        """Return whether a call comes to ours: others wrap it, and some put back what they have found before it."""
        called: Any = vars(self.owner).get("send")
        return inspect.unwrap(called, stop=lambda found: found is self.ours) is self.ours

    @property
    def is_undone(self) -> bool:
        """Return whether the same is there as before, wrapped or not; what else is there, such as a mock, is theirs."""
        called: Any = vars(self.owner).get("send")
        return not self.is_there and inspect.unwrap(called) is inspect.unwrap(self.original)


_installed = False
_followed: set[str] = set()
_patches: list[_Patch] = []
_put_over_ours: dict[Any, Any] = {}
"""By class: the ``send`` that came in the place of ours while that was installed, such as a mock."""


def follow(settings: conf.Settings) -> None:
    """Install or uninstall, as ``INSTRUMENT`` says."""
    if settings.instrument:
        install()
    else:
        uninstall()


def install() -> None:
    """Put the pipeline under each library that is imported, and under the others when they are.

    Once, and again where somebody has taken it away meanwhile.
    """
    global _installed
    anew, _installed = not _installed, True
    for name in LIBRARIES:
        if name not in _followed:
            _followed.add(name)
            wrapt.register_post_import_hook(_patch, name)
        elif name in sys.modules:
            _patch(sys.modules[name], anew=anew)


def uninstall() -> None:
    """Put everything back. Where somebody has wrapped ours meanwhile, it stays below and passes everything on."""
    global _installed
    _installed = False
    for patch in reversed(list(_patches)):
        if patch.is_on_top:
            patch.owner.send = patch.original
        if patch.is_undone:
            _patches.remove(patch)
        elif not patch.is_there:
            _put_over_ours[patch.owner] = vars(patch.owner).get("send")


def installed() -> list[str]:
    """Return the libraries that the pipeline is under."""
    if not _installed:
        return []
    owners = {patch.owner: patch.library for patch in _patches}
    lost = {library for owner, library in owners.items() if not _is_ours(owner)}
    return sorted(set(owners.values()) - lost)


def _is_ours(owner: Any) -> bool:
    return any(patch.is_there for patch in _patches if patch.owner is owner)


def _patch(library: ModuleType, *, anew: bool = False) -> None:
    """Wrap what is there, unless ours is: what came in its place since it was installed, such as a mock, is theirs."""
    if not _installed:
        return
    for name, made in _makers(library).items():
        if (owner := _owner(library, name)) is None:
            continue
        before = [patch for patch in _patches if patch.owner is owner]
        original = vars(owner)["send"]
        if anew and original is _put_over_ours.pop(owner, None):
            continue
        if not _is_ours(owner) and (anew or not before or any(patch.is_undone for patch in before)):
            # What others have left on theirs, to know it by, is not on ours (``updated``): they would take ours away.
            ours = wraps(original, updated=())(made(original))
            owner.send = ours
            _patches.append(_Patch(library.__name__, owner, original, ours))


def _owner(library: ModuleType, name: str) -> Any:
    """Return the library's own class of a name, ``None`` for none: in its place may be a subclass of it, or a mock."""
    for kind in getattr(getattr(library, name, None), "__mro__", ()):
        if "send" in vars(kind) and kind.__module__.partition(".")[0] == library.__name__:
            return kind
    return None


def _makers(library: ModuleType) -> dict[str, Callable[[Any], Send]]:
    """Return what makes our ``send`` for each class of a library, of the one that it has."""
    if library.__name__ == "requests":
        from . import cached_requests

        return {"Session": partial(_sending, cached_requests.send)}
    from . import cached_httpx

    send, asend = partial(cached_httpx.send, library), partial(cached_httpx.asend, library)
    return {"Client": partial(_sending, send), "AsyncClient": partial(_asending, asend)}


def _sending(through: Send, original: Any) -> Send:
    def send(self: Any, *args: Any, **options: Any) -> Any:
        request, options = _split(args, options)
        theirs = _bound(original, self)
        return through(theirs, self, request, options, by_chance=False) if _installed else theirs(request, **options)

    return send


def _asending(through: Send, original: Any) -> Send:
    async def send(self: Any, *args: Any, **options: Any) -> Any:
        request, options = _split(args, options)
        theirs = _bound(original, self)
        asked = through(theirs, self, request, options, by_chance=False) if _installed else theirs(request, **options)
        return await asked

    return send


def _bound(send: Any, client: Any) -> Any:
    """Return a class' ``send`` as the client has it: one that is no function, such as a mock, has nothing to bind."""
    bind = getattr(type(send), "__get__", None)
    return bind(send, client, type(client)) if bind else send


def _split(args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the request, and the other arguments, in whichever way ``send`` was called."""
    if args:
        return args[0], options
    others = dict(options)
    return others.pop("request"), others
