"""The pytest plugin: the marker ``live_api``, Django's tag of that name, ``--llmcache-mode`` and ``--llmcache-doctor``.

Loaded by pytest in every project that has the package installed: at the top it imports pytest alone.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

NAME = "live_api"
SAMPLE = "llmcache_sample"
"""The parameter that says which sample a test runs on."""

MODES = ("replay", "once", "refresh", "live")

configured: list[pytest.Config] = []
"""The runs of pytest that are under way in this process, one inside another."""

under_way = pytest.StashKey[tuple[str, str] | None]()
"""Of a run, the id of its test that is under way, and in which phase it is; a test may clear where pytest says it."""

_session = pytest.StashKey[Any]()
_manager = pytest.StashKey[AbstractContextManager[Any]]()
_failed = pytest.StashKey[bool]()
_called = pytest.StashKey[bool]()
_gave_up = pytest.StashKey[bool]()
_found = pytest.StashKey[list[pytest.Item]]()
_there = pytest.StashKey[list[pytest.Item]]()
_within = pytest.StashKey[dict[pytest.Collector, list[pytest.Item | pytest.Collector]]]()
_run = pytest.StashKey[None]()
_until_end = pytest.StashKey[ExitStack]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--llmcache-mode`` and ``--llmcache-doctor``."""
    group = parser.getgroup("llmcache")
    group.addoption(
        "--llmcache-mode", choices=MODES, help="How live_api tests are answered: over the environment and the settings."
    )
    group.addoption(
        "--llmcache-doctor",
        action="store_true",
        help="Record these tests, replay them at once, and name what in their requests is another each time.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and take the mode."""
    configured.append(config)
    config.stash[_until_end] = ExitStack()
    config.addinivalue_line(
        "markers", f"{NAME}(**options): record what providers answer once, and replay it in later runs."
    )
    mode = config.getoption("--llmcache-mode")
    if mode is not None:
        from .modes import chosen_on_command_line

        config.stash[_until_end].enter_context(chosen_on_command_line(mode))


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Let the doctor run the tests, where it is asked for."""
    if not config.getoption("--llmcache-doctor"):
        return None
    from .pytest_runs import examined

    return examined(config)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Know what the environment says, and gather what xdist's workers do, from before they start."""
    from django_llmcache import variables

    session.config.stash[_until_end].enter_context(variables.of_a_run())
    if getattr(session.config.option, "numprocesses", None) and not hasattr(session.config, "workerinput"):
        _gather(session.config)


@pytest.hookimpl(trylast=True)  # whoever has a word of their own comes first
def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Look for no tests among the fixtures, where each question has a folder of its own."""
    from .pytest_collecting import has_fixtures_alone

    return has_fixtures_alone(str(collection_path), config, _loaded("conf")) or None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each sample that a live_api function asks for."""
    if metafunc.definition.get_closest_marker(NAME) is None:
        return
    from .pytest_items import samples_of

    samples = samples_of(metafunc.definition)
    if samples > 1:
        metafunc.fixturenames.append(SAMPLE)
        metafunc.parametrize(SAMPLE, range(samples), ids=[f"sample{sample}" for sample in range(samples)])


def pytest_itemcollected(item: pytest.Item) -> None:
    """Know of every test there is, before any is deselected; Django's tag of that name is the marker too."""
    from .pytest_collecting import mark

    mark(item)
    item.config.stash.setdefault(_found, []).append(item)


@pytest.hookimpl(wrapper=True, trylast=True)  # before --lf leaves any out
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """Know of the tests beside one that is picked by its node id: they may share what is set up for it."""
    report = yield
    if isinstance(collector, pytest.Module | pytest.Class):
        collector.config.stash.setdefault(_within, {})[collector] = [*report.result]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin to gather where there are live_api tests."""
    from .pytest_collecting import beside

    found = dict.fromkeys([*config.stash.get(_found, ()), *items])
    config.stash[_there] = there = [*found, *beside(found, config.stash.setdefault(_within, {}))]
    live = [item for item in there if item.get_closest_marker(NAME)]
    if live:
        _gather(config)
        from .summary import add_found

        add_found(item.nodeid for item in live if item in found)


def _gather(config: pytest.Config) -> None:
    if _run not in config.stash:
        from .pytest_runs import run_of

        config.stash[_run] = config.stash[_until_end].enter_context(run_of(config))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin each test with an empty in-process store and counts of zero, and a live_api test with a session."""
    _empty_store()
    item.config.stash[under_way] = (item.nodeid, "setup")
    item.stash[_failed] = item.stash[_called] = item.stash[_gave_up] = False
    blocks = _loaded("testing.blocks")
    if blocks is not None:
        blocks.begin()
    if item.get_closest_marker(NAME) is None:
        return
    from .pytest_items import session_for

    manager = session_for(item)
    item.stash[_session] = manager.__enter__()
    item.stash[_manager] = manager


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Generator[None, Any, Any]:
    """Answer for the providers while a class or a module is set up that has live_api tests."""
    if fixturedef.scope == "function" or _run not in request.config.stash:
        return (yield)
    from .pytest_levels import setting_up

    return (yield from setting_up(fixturedef, request, request.config.stash[_there]))


def _empty_store() -> None:
    backends, telemetry = _loaded("backends"), _loaded("telemetry")
    if backends is not None:
        backends.empty()
    if telemetry is not None:
        telemetry.counters.reset()


def _loaded(name: str) -> Any:
    """Return a module of ours if somebody has imported it: who doesn't use it is to wait for nothing."""
    return sys.modules.get(f"django_llmcache.{name}")


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let a test fail by a miss that somebody below it caught; one of unittest's runs once on each sample."""
    item.config.stash[under_way] = (item.nodeid, "call")
    session = item.stash.get(_session, None)
    if session is None and _loaded("testing.unheard") is None:
        return (yield)
    from .pytest_items import watched

    item.stash[_called] = True
    with watched(item, session):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Note whether any phase of a test failed; a miss fails it, also where it skips or was expected to fail."""
    report = yield
    misses = _untold(item)
    if report.skipped and misses:
        from .pytest_items import fail_by

        fail_by(misses[0], item, call, report)
    expected = hasattr(report, "wasxfail")
    if report.failed or (report.skipped and call.excinfo is not None and (misses or not expected)):
        item.stash[_failed] = True
        item.stash[_gave_up] = report.skipped and not expected
        _forget_misses(item)  # told by this
    return report


def _untold(item: pytest.Item) -> list[Any]:
    """Return the misses that a test still has to fail by: its own, and those of its blocks that it did not hear of."""
    own = item.stash[_session].misses if _session in item.stash else ()
    unheard = _loaded("testing.unheard")
    return [*own, *(unheard.misses() if unheard is not None else ())]


def _forget_misses(item: pytest.Item) -> None:
    if _session in item.stash:
        item.stash[_session].misses.clear()
    unheard = _loaded("testing.unheard")
    if unheard is not None:
        unheard.forget()


@pytest.hookimpl(specname="pytest_runtest_makereport")  # no wrapper: a test of unittest's gets its error within those
def pytest_show_miss(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Let the traceback of a miss end where the project asked, and know of a test that another's miss has stopped."""
    if call.excinfo is not None and _loaded("recorder.misses") is not None:
        from .pytest_items import end_where_asked, note_stopped

        end_where_asked(call.excinfo.value, item.config.rootpath)
        if call.when == "setup" and _session in item.stash:
            note_stopped(item, call.excinfo.value)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """End the session when everything else is torn down; a miss until then fails the test."""
    item.config.stash[under_way] = (item.nodeid, "teardown")
    try:
        result = yield
    except BaseException:
        item.stash[_failed] = True
        _forget_misses(item)
        _end(item)
        raise
    _end(item)
    return result


def _end(item: pytest.Item) -> None:
    """End the session of a test, where it has one, and its blocks; what these asked in vain since fails it."""
    item.config.stash[under_way] = None
    passed, late = False, []
    try:
        if _session in item.stash:
            item.stash[_session].failed = item.stash[_failed] or not item.stash[_called]
            item.stash[_session].gave_up = item.stash[_gave_up]
            item.stash[_manager].__exit__(None, None, None)
        late = _untold(item)
        passed = not (item.stash.get(_failed, True) or late)
    finally:
        if _session in item.stash:  # pytest keeps every item until the run's end
            del item.stash[_session], item.stash[_manager]
        blocks = _loaded("testing.blocks")
        if blocks is not None:
            blocks.end(passed=passed, gave_up=item.stash.get(_gave_up, False))
    for miss in late:
        _forget_misses(item)
        raise miss


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Say what the recorder did."""
    summary = _loaded("testing.summary")
    if _run in config.stash:
        from .pytest_runs import lines_of

        shown = lines_of(config, passed=exitstatus == 0, skipped=terminalreporter.stats.get("skipped", ()))
    else:  # where there are blocks alone
        shown = [] if summary is None else summary.lines()
    if shown:
        terminalreporter.section("live_api")
        for line in shown:
            terminalreporter.line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Forget the run."""
    if config in configured:  # else another plugin's configuration has failed before
        configured.remove(config)
        config.stash[_until_end].close()
