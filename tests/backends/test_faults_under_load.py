"""A store that fails while threads and tasks ask fails none of them, and is hit again as soon as it is back."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from contextlib import ExitStack

import pytest
from django.core.cache import caches
from django.test import override_settings

from django_llmcache import LLMRequest, backends, cache
from django_llmcache.exceptions import BackendUnavailableError
from tests import stores

from .test_faults import BACKENDS, CLOCK, PATIENCE, SLACK, clock  # noqa: F401 - one is a fixture

TIMEOUTS = {  # a machine that has other work as well is no store that is away
    "redis": {"READ_TIMEOUT": 0.25, "WRITE_TIMEOUT": 0.5},
    "django-redis": {"READ_TIMEOUT": 0.25, "WRITE_TIMEOUT": 0.5},
    "memcached": {"READ_TIMEOUT": 0.25, "WRITE_TIMEOUT": 0.5},
    "postgres": {"READ_TIMEOUT": 1.0, "WRITE_TIMEOUT": 1.0},  # each operation connects anew
}
SERVERS = {"redis": stores.redis, "django-redis": stores.redis, "memcached": stores.memcached}
ASKING = {"postgres": 2}  # for each operation the server makes a process; of the others, six threads and six tasks
QUESTIONS = 12
PAUSE = 0.01
"""Seconds between two questions of one who asks, so that the machine is not what is measured."""
SOON = 30.0
"""Seconds within which all is as it was, on a busy machine."""
ENOUGH = 60
"""Answers that come during each part of a test."""


class Load:
    """Threads, and tasks of one loop, which ask for as long as it lasts; the provider answers with the question.

    Args:
        number: of each of them.
    """

    def __init__(self, number):
        self.answers = []
        self.failed = []
        self._number = number
        self._over = threading.Event()
        self._asking = [
            *(threading.Thread(target=self._work, args=(first,)) for first in range(number)),
            threading.Thread(target=lambda: asyncio.run(self._loop())),
        ]

    def __enter__(self):
        for thread in self._asking:
            thread.start()
        return self

    def __exit__(self, *error):
        self._over.set()
        for thread in self._asking:
            thread.join(PATIENCE)

    def goes_on(self):
        """Wait until more answers have come, or fail."""
        before = len(self.answers)
        self._until(lambda: len(self.answers) >= before + ENOUGH)

    def hits(self):
        """Wait until everybody is answered from the store, or fail."""
        self._until(lambda: len(self.answers) > ENOUGH and all(hit for _, hit in self.answers[-ENOUGH:]))

    def _until(self, condition):
        deadline = time.monotonic() + SOON
        while not condition():
            assert time.monotonic() < deadline, (len(self.answers), self.failed[:3])
            self._over.wait(PAUSE)

    def _work(self, number):
        while not self._over.wait(PAUSE):
            number += 1
            started = CLOCK.now()
            try:
                answer = cache.with_cache(question(number), echo)
            except Exception as error:
                self.failed.append(error)
            else:
                self._note(number, answer, started)

    async def _loop(self):
        await asyncio.gather(*(self._task(number) for number in range(self._number)))

    async def _task(self, number):
        while not self._over.is_set():
            number += 1
            started = CLOCK.now()
            try:
                answer = await cache.awith_cache(question(number), aecho)
            except Exception as error:
                self.failed.append(error)
            else:
                self._note(number, answer, started)
            await asyncio.sleep(PAUSE)

    def _note(self, number, answer, started):
        if answer.text != text_of(number):
            self.failed.append(AssertionError(f"{answer.text} for {text_of(number)}"))
        self.answers.append((CLOCK.now() - started, answer.from_cache))


def text_of(number):
    return f"Question {number % QUESTIONS}"


def question(number):
    return LLMRequest("openai", payload={"model": "m", "messages": [{"role": "user", "content": text_of(number)}]})


def echo(request):
    return {"choices": [{"message": {"content": request.payload["messages"][0]["content"]}, "finish_reason": "stop"}]}


async def aecho(request):
    return echo(request)


@pytest.fixture(params=[*SERVERS, "postgres"])
def kind(request):
    return request.param


@pytest.fixture
def server(kind, tmp_path, django_db_blocker):
    """Return a server of this test's own, in which all that is asked is kept."""
    own = SERVERS.get(kind, stores.postgres)().start()
    chosen = {"BACKEND": BACKENDS["plain"], "OPTIONS": {"ALIAS": "llm", **TIMEOUTS[kind]}}
    with ExitStack() as stack:
        stack.callback(own.stop)
        if kind == "postgres":
            stack.enter_context(django_db_blocker.unblock())
            stack.enter_context(stores.table_in(stores.database_for(kind, tmp_path, server=own), tmp_path))
            stack.enter_context(override_settings(LLMCACHE=chosen))
        else:
            known = {"default": caches.settings["default"], "llm": stores.alias_for(kind, tmp_path, server=own)}
            stack.enter_context(override_settings(CACHES=known, LLMCACHE=chosen))
        yield own
        backends.current().close()
        for thread in threading.enumerate():
            if thread.name.startswith("llmcache-store"):
                thread.join(PATIENCE)
        with warnings.catch_warnings():  # redis-py leaves open what it was about to connect when its time was over
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.mark.parametrize(("away", "back"), [("kill", "start"), ("freeze", "thaw")])
def test_no_call_fails_or_waits_beyond_the_deadlines_and_hits_come_back(kind, server, away, back):
    if (kind, away) == ("postgres", "kill"):
        away = "crash"
    with Load(ASKING.get(kind, 6)) as load:
        load.hits()
        getattr(server, away)()
        load.goes_on()
        getattr(server, back)()
        load.hits()

    assert load.failed == []
    assert max(seconds for seconds, _ in load.answers) < sum(TIMEOUTS[kind].values()) + SLACK * 2


class TestTwoServersOfMemcached:
    """Each has its keys, and without one of them no answer can be told from one that was cleared."""

    @pytest.fixture
    def servers(self, tmp_path):
        both = [stores.memcached().start() for _ in range(2)]
        alias = stores.alias_for("memcached", tmp_path, server=both[0])
        alias["LOCATION"] = [f"127.0.0.1:{one.port}" for one in both]
        chosen = {"BACKEND": BACKENDS["plain"], "OPTIONS": {"ALIAS": "llm", **TIMEOUTS["memcached"]}}
        with override_settings(CACHES={"default": caches.settings["default"], "llm": alias}, LLMCACHE=chosen):
            yield both
            backends.current().close()
        for one in both:
            one.stop()

    @pytest.mark.parametrize("number", [0, 1])
    def test_without_one_of_them_no_call_fails_and_hits_come_back_with_it(self, servers, number):
        with Load(6) as load:
            load.hits()
            servers[number].kill()
            load.goes_on()
            servers[number].start()
            load.hits()

        assert load.failed == []

    @pytest.mark.parametrize("number", [0, 1])
    def test_a_clear_while_one_is_away_holds_when_it_is_back_or_fails(self, servers, number):
        for each in range(QUESTIONS):
            cache.with_cache(question(each), echo)
        servers[number].freeze()
        failed = None
        try:
            cache.clear()
        except BackendUnavailableError as error:
            failed = error
        servers[number].thaw()
        backends.current().breaker.succeed()

        hits = [cache.with_cache(question(each), echo).from_cache for each in range(QUESTIONS)]
        assert failed or not any(hits)
