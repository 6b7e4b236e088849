"""Lets a transport of httpx that is made in a replay have its pool of connections when somebody looks at it.

Each new client of an SDK makes one, with a TLS context in it: 0.2 ms, and for the first a library is imported. A client
whose answers are replayed never connects. Each pool and context is its owner's alone, and verifies as it ever did.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Final

from .answering import is_replaying
from .certificates import is_usual
from .mocks import is_mocked, package_of

_POOLS: Final = {"HTTPTransport": "ConnectionPool", "AsyncHTTPTransport": "AsyncConnectionPool"}
_OF_A_CLIENT: Final = frozenset({"verify", "cert", "trust_env", "http1", "http2", "limits"})
"""What a client says of the transport that it makes itself; who says more hears at once of what is wrong with it."""

_lock = threading.RLock()


class Pools:
    """How one of the libraries makes its pools.

    Args:
        library: ``httpx2`` or ``httpx``.
        core: the name of the library that they are of.
    """

    def __init__(self, library: Any, core: str) -> None:
        self._library = library
        self._core = core
        self._make_context: Callable[..., Any] = library.create_ssl_context
        self._late = {kind: _late(kind) for kind in (library.HTTPTransport, library.AsyncHTTPTransport)}

    def late(self, original: Callable[..., None]) -> Callable[..., None]:
        """Return the ``__init__`` of a transport, which lets one wait that a client makes in a replay."""

        @wraps(original)
        def make(transport: Any, *args: Any, **options: Any) -> None:
            late = self._late.get(type(transport))
            if late and not args and is_replaying() and self._may_wait(original, options):
                vars(transport)["_make_pool"] = partial(self._make, original, options)  # no cycle with the transport
                transport.__class__ = late
            else:
                original(transport, *args, **options)

        return make

    def kind_of(self, transport: Any) -> Any:
        """Return the class of a transport's pool, without making it; ``None`` where it isn't imported."""
        pool = vars(transport).get("_pool")
        if pool is None and type(transport) in self._late.values():
            return self._of_core(_POOLS[type(transport).__name__])
        return type(pool)

    def _may_wait(self, original: Callable[..., None], options: dict[str, Any]) -> bool:
        plain = options.get("verify", True) is True and not options.get("cert") and options.keys() <= _OF_A_CLIENT
        sound = isinstance(options.get("limits"), self._library.Limits)
        return plain and sound and is_usual() and self._is_made_as_ever(original)

    def _is_made_as_ever(self, original: Callable[..., None]) -> bool:
        """Return whether each part is made by the library, and no test has put something in the way."""
        home = sys.modules.get(f"{self._library.__name__}._transports.default")
        if getattr(home, "create_ssl_context", None) is not self._make_context:
            return False
        kinds = [kind for kind in map(self._of_core, _POOLS.values()) if kind is not None]
        own = all(package_of(kind) == self._core and not is_mocked(kind, "__init__") for kind in kinds)
        return own and package_of(original) == self._library.__name__

    def _make(self, original: Callable[..., None], options: dict[str, Any], transport: Any) -> None:
        # No variable named certificates when the client was made, and none is to do so now.
        original(transport, **options | {"verify": self._make_context(trust_env=False)})

    def _of_core(self, name: str) -> Any:
        return getattr(sys.modules.get(self._core), name, None)


def _late(kind: type) -> type:
    """Return the class of a transport that has no pool yet; when it has, it is an ordinary one."""

    def made(transport: Any, name: str) -> Any:
        if name != "_pool":
            raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}")
        with _lock:
            own = vars(transport)
            if name not in own:
                own["_make_pool"](transport)
                del own["_make_pool"]
                transport.__class__ = kind
        return own[name]

    def entered(transport: Any) -> Any:
        return transport

    def closed(transport: Any, *exception: Any) -> None:
        """There is nothing to close."""

    async def entered_on_a_loop(transport: Any) -> Any:
        return transport

    async def closed_on_a_loop(transport: Any, *exception: Any) -> None:
        """There is nothing to close."""

    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__getattr__": made}
    sync = {"__enter__": entered, "__exit__": closed, "close": closed}
    asynchronous = {"__aenter__": entered_on_a_loop, "__aexit__": closed_on_a_loop, "aclose": closed_on_a_loop}
    return type(kind.__name__, (kind,), names | (sync if hasattr(kind, "close") else asynchronous))
