"""What pytest sets up for a class, a module or more: recorded and replayed where live_api tests share it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, suppress
from inspect import unwrap
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_llmcache import conf
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.recorder.misses import FixtureMiss
from django_llmcache.recorder.setup import Options

from .levels import Hold, Level
from .pytest_items import is_within, options_at

_below = pytest.StashKey[dict[Any, list[Options]]]()

WIDE = ("package", "session")
"""The scopes of fixtures that several modules share."""

UNITTEST = "_unittest_setUpClass_fixture"
"""How the fixture begins that pytest makes of ``setUpClass``."""


def setting_up(fixturedef: Any, request: Any, items: Sequence[pytest.Item]) -> Generator[None, Any, Any]:
    """Hold a session of its own around a fixture that several tests share, and around its end.

    Args:
        fixturedef: the fixture.
        request: who asks for it.
        items: all tests of the modules that were collected, selected or not.
    """
    level = level_of(fixturedef, request, items)
    if level is None:
        return (yield)
    leaving = ExitStack()
    fixturedef.addfinalizer(leaving.close)  # they run from the last to the first: this one after the fixture's own
    kind: Any = request.cls if fixturedef.argname.startswith(UNITTEST) else None
    name = "" if kind is not None or level.name else _named(request)
    try:
        with level.held("set-up", name) as hold, ExitStack() as stack:
            if hasattr(kind, "setUpTestData"):  # Django takes back what it began for an ordinary error alone
                stack.enter_context(patch.object(kind, "setUpTestData", hold.telling(kind.setUpTestData)))
            try:
                result = yield
            except FixtureMiss:  # unittest cleans up for an ordinary error, which this becomes outside
                _clean_up(kind, hold)
                raise
    except Exception as error:
        _keep(fixturedef, request, error)
        raise
    fixturedef.addfinalizer(lambda: _tear_down(leaving, level, kind, name))
    return result


def _named(request: Any) -> str:
    """Return the name of a fixture, with the parameter that it is set up for."""
    return f"{request.fixturename}{_parameter_of(request, ', {}')}"


def _parameter_of(request: Any, form: str) -> str:
    return form.format(getattr(request, "param_index", 0)) if hasattr(request, "param") else ""


def _clean_up(kind: Any, hold: Hold) -> None:
    if kind is not None:
        hold.tell_clean_ups(kind)
        kind.doClassCleanups()


def _tear_down(leaving: ExitStack, level: Level, kind: Any, name: str) -> None:
    """Begin to answer for the providers while a fixture ends."""
    hold = leaving.enter_context(level.held("tear-down", name))
    if kind is not None:
        hold.tell_clean_ups(kind)


def level_of(fixturedef: Any, request: Any, items: Sequence[pytest.Item]) -> Level | None:
    """Return what a fixture is set up under, ``None`` where no live_api test has to do with it.

    That of a class without such tests is answered for where the module's tests are; what a function in no class is
    given as a class would be is its test's own.
    """
    if request.scope in WIDE:
        return _level_of_all(fixturedef, request, items)
    if request.scope == "class" and request.cls is None:
        return None
    known = _options_below(request.config, items)
    of_class = request.scope == "class" and request.node in known
    node = request.node if of_class else _module_of(request)
    if node not in known:
        return None
    level = Level(node.nodeid, known[node], options_at(node), kind=request.cls if request.scope == "class" else None)
    return level if _is_held(level, own=of_class or request.scope == "module") else None


def _level_of_all(fixturedef: Any, request: Any, items: Sequence[pytest.Item]) -> Level | None:
    """Return what a fixture is set up under that tests of several modules share, whichever of them is the first.

    It is filed under where it is written: the same in each worker of a parallel run, and in any order of the tests.
    One that is installed is filed under who comes first: no worker is to wait for the database of another.
    """
    known = _options_below(request.config, items)
    live = [item for item in items if item in known and request.node in item.listchain()]
    needing = [item for item in live if _needs(item, fixturedef)]
    if not needing and _is_declared(fixturedef, request):  # by tests that aren't live_api alone
        live = [item for item in live if _module_of(request) in item.listchain()]
    tests = needing or live
    if not tests:
        return None
    file = _file_of(fixturedef.func, request.config.rootpath)
    level = Level(
        label=tests[0].nodeid.partition("::")[0],
        tests=[options for item in tests for options in known[item]],
        name=f"{file or _module_of(request).nodeid}::{fixturedef.argname}{_parameter_of(request, '[{}]')}",
    )
    with suppress(*conf.UNREADABLE):  # each live_api test tells of it; all else does without
        if level.off is None or (file and (needing or not _is_declared_by_any(items, fixturedef.argname))):
            return level
    return None


def _needs(item: Any, fixturedef: Any) -> bool:
    """Return whether a test needs a fixture, as far as is known before it runs."""
    return fixturedef in _known_to(item).get(fixturedef.argname, ())


def _known_to(item: Any) -> dict[str, Sequence[Any]]:
    """Return the fixtures of each name that a test needs, none for what another plugin has made a test of."""
    return item._fixtureinfo.name2fixturedefs if hasattr(item, "_fixtureinfo") else {}


def _is_declared(fixturedef: Any, request: Any) -> bool:
    """Return whether the test that is about to run says that it needs a fixture.

    Else it asks for it by name while it runs, and so may any other, as all do that use pytest-django's database.
    """
    return fixturedef.argname in request._pyfuncitem.fixturenames


def _is_declared_by_any(items: Sequence[Any], name: str) -> bool:
    """Return whether a test says that it needs a fixture, so that those that don't say it count as not needing it.

    Not so the database, and what that needs itself: pytest-django takes it by name for others.
    """
    return any(name in getattr(item, "fixturenames", ()) and name not in _of_database(item) for item in items)


def _of_database(item: Any) -> list[str]:
    """Return the names of what pytest-django sets a database up by, as far as a test needs it."""
    names = ["django_db_setup"]
    for name in names:
        for fixturedef in _known_to(item).get(name, ()):
            names += [needed for needed in fixturedef.argnames if needed not in names]
    return names


def _module_of(request: Any) -> Any:
    return request._pyfuncitem.getparent(pytest.Module)


def _file_of(function: Any, root: Path) -> str:
    """Return the project's own file that a fixture is written in, ``""`` for one that is installed."""
    code = getattr(unwrap(function), "__code__", None)
    if code is None or not is_within(root, code):
        return ""
    return Path(code.co_filename).relative_to(root).as_posix()


def _is_held(level: Level, *, own: bool) -> bool:
    """Return whether a fixture is set up under a level.

    Where there are no settings at all no live_api test runs, and each of them tells of it; all else does without.

    Args:
        level: the class or the module.
        own: whether the fixture is of that alone.
    """
    try:
        return level.off is None or own
    except ConfigurationError:  # told by what is the level's own: nobody is asked in vain
        return own
    except (ImproperlyConfigured, ImportError):
        return False


def _options_below(config: pytest.Config, items: Sequence[pytest.Item]) -> dict[Any, list[Options]]:
    """Return the options of the live_api tests in each class and module that has some."""
    known = config.stash.get(_below, None)
    if known is None:
        known = config.stash[_below] = {}
        for item in items:
            with suppress(ConfigurationError):  # the test itself tells of it
                options = options_at(item)
                if options is not None:
                    for node in item.listchain():
                        known.setdefault(node, []).append(options)
    return known


def _keep(fixturedef: Any, request: Any, error: Exception) -> None:
    """Let each test that needs the fixture fail as this one does; one that is set up all the same is torn down."""
    known = fixturedef.cached_result
    if known is not None and known[2] is None:
        fixturedef.finish(request)
    fixturedef.cached_result = (None, fixturedef.cache_key(request), (error, error.__traceback__))
