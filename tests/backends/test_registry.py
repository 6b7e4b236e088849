"""``backends.current()``: one backend for as long as the settings that made it hold."""

from __future__ import annotations

import logging
import math
import threading

import pytest
from django.test import override_settings

from django_llmcache import backends, cache
from django_llmcache.backends.base import BaseBackend
from django_llmcache.backends.dummy import DummyBackend
from django_llmcache.backends.memory import MemoryBackend
from django_llmcache.backends.unavailable import RETRY_AFTER, UnavailableBackend
from django_llmcache.entry import Selector
from django_llmcache.exceptions import ConfigurationError, LLMCacheError
from django_llmcache.signals import cache_error

from .contract import Clock, entry_of

MEMORY = "django_llmcache.backends.memory.MemoryBackend"
DUMMY = "django_llmcache.backends.dummy.DummyBackend"
HERE = f"{__name__}."


class Flaky(DummyBackend):
    """Can't be made while ``down``."""

    down = True

    def __init__(self, *args, **kwargs):
        if self.down:
            raise OSError("connection refused")
        super().__init__(*args, **kwargs)


class Talkative(DummyBackend):
    """Can't be made, and quotes what it was given."""

    def __init__(self, *args, **kwargs):
        password = "s3cret"
        raise ValueError(f"{password} is no port")


class Plain(DummyBackend):
    def __init__(self, *args, **kwargs):
        raise LLMCacheError("no such place")


class NoBackend:
    pass


def has_entry():
    return backends.current().get(entry_of().key) is not None


@pytest.fixture
def told(monkeypatch):
    monkeypatch.setattr(backends, "_listeners", [])
    heard = []
    backends.listen(lambda entry, reason: heard.append(reason))
    return heard


def test_the_default_is_in_memory_and_the_same_each_time():
    assert type(backends.current()) is MemoryBackend
    assert backends.current() is backends.current()


def test_the_settings_name_the_backend_its_options_and_its_interval():
    with override_settings(LLMCACHE={"BACKEND": MEMORY, "OPTIONS": {"MAX_ENTRIES": 7}, "CLEANUP_INTERVAL": 9}):
        backend = backends.current()

    assert (backend.max_entries, backend.cleanup_interval) == (7, 9)


def test_a_change_of_other_settings_keeps_the_entries():
    backends.current().put(entry_of())

    with override_settings(LLMCACHE={"DEFAULT_TTL": 5, "KEY_VERSION": 2}):
        assert has_entry()
    assert has_entry()


def test_another_backend_for_a_while_loses_nothing():
    backends.current().put(entry_of())

    with override_settings(LLMCACHE={"BACKEND": DUMMY}):
        assert type(backends.current()) is DummyBackend
        assert not has_entry()
    assert has_entry()


@pytest.mark.parametrize("change", [{"OPTIONS": {"MAX_ENTRIES": 7}}, {"CLEANUP_INTERVAL": 9}], ids=str)
def test_other_options_make_a_new_and_empty_one(change):
    backends.current().put(entry_of())
    before = backends.current()

    with override_settings(LLMCACHE=change):
        assert backends.current() is not before
        assert not has_entry()


def test_equal_options_are_no_change():
    with override_settings(LLMCACHE={"OPTIONS": {"MAX_ENTRIES": 7}}):
        first = backends.current()
    with override_settings(LLMCACHE={"OPTIONS": {"MAX_ENTRIES": 7}, "DEFAULT_TTL": 1}):
        assert backends.current() is first


def test_the_one_that_is_replaced_lets_go_of_its_thread():
    backends.current().put(entry_of())
    before = backends.current()
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "llmcache-sweeper"][-1:]

    with override_settings(LLMCACHE={"OPTIONS": {"MAX_ENTRIES": 7}}):
        backends.current()
    assert not thread.is_alive()
    assert before.get(entry_of().key) is not None


def test_emptying_forgets_entries_and_counters_and_tells_nobody(told):
    backends.current().put(entry_of())
    backends.empty()

    assert not has_entry()
    assert backends.current().stats().puts == 0
    assert told == []


def test_whoever_listens_is_told_of_every_eviction_once(told):
    heard_too = []
    listener = heard_too.append
    backends.listen(lambda entry, reason: listener((entry.key, reason)))
    backends.current().put(entry_of())
    backends.current().clear(Selector())

    assert told == ["cleared"]
    assert heard_too == [(entry_of().key, "cleared")]


def test_the_same_listener_twice_is_one_listener(monkeypatch):
    monkeypatch.setattr(backends, "_listeners", [])
    heard = []

    def listener(entry, reason):
        heard.append(reason)

    backends.listen(listener)
    backends.listen(listener)
    backends.current().put(entry_of())
    backends.current().delete(entry_of().key)

    assert heard == ["deleted"]


def test_threads_that_ask_together_get_the_same_one():
    ready, found = threading.Barrier(8), []

    def ask():
        ready.wait()
        found.append(backends.current())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(map(id, found))) == 1


@pytest.mark.parametrize("path", ["shop.no_such_module.Backend", f"{HERE}NoSuchName", "nodots", "", "..", "a..b"])
def test_a_path_that_does_not_import_is_told(path):
    with override_settings(LLMCACHE={"BACKEND": path}), pytest.raises(ConfigurationError) as raised:
        backends.current()

    assert "LLMCACHE['BACKEND']" in str(raised.value)
    assert repr(path) in str(raised.value)


@pytest.mark.parametrize("name", ["NoBackend", "entry_of"])
def test_a_path_to_something_else_is_told(name):
    with (
        override_settings(LLMCACHE={"BACKEND": HERE + name}),
        pytest.raises(ConfigurationError, match=r"no subclass of django_llmcache\.backends\.base\.BaseBackend"),
    ):
        backends.current()


def test_options_that_cannot_work_are_told_and_not_stood_in_for():
    with (
        override_settings(LLMCACHE={"OPTIONS": {"MAX_ENTRIES": -1}}),
        pytest.raises(ConfigurationError, match="MAX_ENTRIES"),
    ):
        backends.current()


def test_one_that_cannot_be_made_is_stood_in_for_and_logged(caplog):
    with override_settings(LLMCACHE={"BACKEND": f"{HERE}Flaky"}), caplog.at_level(logging.ERROR):
        backend = backends.current()

        assert type(backend) is UnavailableBackend
        assert backends.current() is backend
    assert "connection refused" in caplog.text
    assert len(caplog.records) == 1


def test_the_log_says_where_one_could_not_be_made_and_not_what_the_error_said(caplog):
    with override_settings(LLMCACHE={"BACKEND": f"{HERE}Talkative"}), caplog.at_level(logging.ERROR):
        backends.current()

    assert "could not be made: ValueError." in caplog.text
    assert f'{__file__}", line' in caplog.text
    assert "s3cret" not in caplog.text


def test_one_that_can_never_be_made_is_logged_once_however_often_it_is_asked_and_tried(caplog):
    heard = []

    def hear(sender, **details):
        heard.append(details["operation"])

    cache_error.connect(hear)
    with override_settings(LLMCACHE={"BACKEND": f"{HERE}Flaky"}), caplog.at_level(logging.INFO):
        for _ in range(3):
            backends.current().clock = lambda: math.inf
            cache.get(entry_of().key)
    cache_error.disconnect(hear)

    assert len(caplog.records) == 1
    assert heard == ["get"] * 3


def test_one_that_could_be_made_meanwhile_is_logged_again(caplog, monkeypatch):
    with override_settings(LLMCACHE={"BACKEND": f"{HERE}Flaky"}), caplog.at_level(logging.ERROR):
        for down in (True, False, True):
            monkeypatch.setattr(Flaky, "down", down)
            backends.current()
            backends._forget_unavailable()
            backends._kept.clear()

    assert len(caplog.records) == 2


def test_of_an_error_of_ours_the_log_has_no_traceback(caplog):
    with override_settings(LLMCACHE={"BACKEND": f"{HERE}Plain"}), caplog.at_level(logging.ERROR):
        backends.current()

    [line] = caplog.messages
    assert line.endswith("could not be made: LLMCacheError: no such place. Calls go on without the cache.")


def test_one_that_could_not_be_made_is_tried_again_after_a_while(monkeypatch):
    with override_settings(LLMCACHE={"BACKEND": f"{HERE}Flaky"}):
        standin = backends.current()
        standin.clock = clock = Clock()
        standin._until = clock() + RETRY_AFTER
        monkeypatch.setattr(Flaky, "down", False)
        with pytest.raises(LLMCacheError):
            standin.get("k")
        assert backends.current() is standin

        clock.advance(RETRY_AFTER)
        with pytest.raises(LLMCacheError):
            standin.get("k")
        assert type(backends.current()) is Flaky


def test_a_new_try_leaves_the_other_backends_alone(monkeypatch):
    backends.current().put(entry_of())
    with override_settings(LLMCACHE={"BACKEND": f"{HERE}Flaky"}):
        standin = backends.current()
        standin.clock = lambda: standin._until
        with pytest.raises(LLMCacheError):
            standin.get("k")

    assert has_entry()


def test_every_backend_here_has_the_contracts_methods():
    methods = {"get", "put", "delete", "clear", "entries", "stats", "mark", "close"}

    assert methods <= {name for name in dir(BaseBackend) if not name.startswith("_")}
