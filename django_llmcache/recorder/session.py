"""What one test does with the providers it asks: replay what is recorded, record what is not, or neither."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from django_llmcache.exceptions import LLMCacheError
from django_llmcache.locks import ObjectLock

from .calls import Calls
from .exchange import Outgoing
from .fixture import Fixture, FixtureError
from .leaks import masked
from .matcher import Matcher, endpoint_of
from .missed import Missed
from .misses import NO_KEY, FixtureDamaged, FixtureMiss, explain_damage, explain_miss, explain_unreadable, line_for
from .names import filed_name, take_name
from .queues import Asked, Queues, RefusedError
from .redaction import REQUEST_HEADERS, Redactor
from .replay import Replay
from .setup import NO_OPTIONS, Hosts, Mode, Options, Setup
from .tapes import Tapes
from .taping import Spoil, Taping
from .telemetry import aside, is_telemetry
from .unnamed import Unnamed
from .writing import note_test, note_use, write_take


class Session:
    """One test, or the set-up of one class or module.

    Args:
        test: its id, as a test runner is given it.
        setup: what holds for the run.
        options: what the test asks for.
        sample: which of several runs of the same test this is.

    Attributes:
        label: what a test runner runs it by; ``""`` where it would have to run all tests.
        functions: names of the test's function, where a test runner sees to its samples.
        is_test: whether it is a test, and no set-up that several share.
        counts: how many calls were ``replayed``, ``recorded`` (as of the end: written to a file), ``live`` (asked for
            real, and not kept), ``unkept`` (of these, the answers that a pass would have kept) and ``missed``.
        leaks: what went to a provider past the recorder.
        failed: whether the test failed, where the runner knows it and no exception says so.
        gave_up: whether that is no failure to the runner: it skipped half way.
        filed: returns the test's id as it stands in files and messages.
        calls: those that go to providers for real.
        unnamed: those that go to hosts which no setting names as a provider's.
    """

    def __init__(self, test: str, setup: Setup, options: Options = NO_OPTIONS, *, sample: int = 0) -> None:
        self.test = self.label = test
        self.functions: frozenset[str] = frozenset()
        self.is_test = True
        self.setup = setup
        self.options = options
        self.sample = sample
        self.mode = options.mode or setup.mode
        self.counts: Counter[str] = Counter()
        self._missed = Missed(self.counts)
        self.leaks: list[str] = []
        self.failed = self.gave_up = False
        self.replayed: list[Fixture] = []
        self._hosts = setup.hosts
        self._used: set[str | None] = set()
        self._matcher = Matcher((*setup.ignore, *options.ignore), setup.headers)
        self._redactor = Redactor(request_headers=REQUEST_HEADERS.union(setup.headers))
        self._lock = ObjectLock()
        # No method of its own: a session that is over must go without waiting for the collector of cycles.
        self.filed = partial(filed_name, test, self._redactor.text)
        self.unnamed = Unnamed(self._missed, self._redactor, self.filed)
        self._queues = Queues(self.filed, setup, options)
        self.calls = Calls()
        self._tapes = Tapes(
            self._redactor, record_errors=options.record_errors, during=self.calls.under_way, now=setup.now,
            late=partial(_tell_late, setup.warn, self.filed),
        )  # fmt: skip
        self._faults_left = options.faults

    def begin(self, outgoing: Outgoing, *, timeout: float | None = None) -> Replay | Taping | None:
        """Return how a request is answered; ``None`` when the recorder has no part in it.

        Args:
            outgoing: the request as it is about to leave.
            timeout: seconds that the client would wait for the first byte, where it is known.

        Raises:
            FixtureMiss: nothing is recorded, in ``replay``, or an LLM call goes to a host that no setting names as a
                provider's; or nobody knows whom the settings let be asked.
        """
        if self.setup.unreadable and not is_telemetry(outgoing):
            raise self.refuse(outgoing)
        providers = self.setup.providers_of(outgoing)
        if not providers:
            self.unnamed.meet(outgoing, self.setup, self.mode)
            return None
        if is_telemetry(outgoing):
            return aside(outgoing, self.mode, self.setup, during=self.calls.under_way)
        with self._lock:
            if self.mode is Mode.LIVE and not self._faults_left:
                self.counts["live"] += 1
                self.calls.goes_live(outgoing.host)
                return None
            redacted = self._redactor.request(outgoing)
            key = self._matcher.key_of(redacted)
            asked = Asked(providers[0], endpoint_of(redacted), key, redacted, providers[1:])
            return self._faulty(asked, outgoing, timeout) or self._replay(asked) or self._tape(asked, outgoing)

    @property
    def misses(self) -> list[FixtureMiss]:
        """Return what was asked for in vain, as far as it still has to be told."""
        return self._missed.untold()

    @property
    def unanswered(self) -> list[tuple[str, Outgoing]]:
        """Return all that was asked for in vain: the provider and the request, as people may see it."""
        return self._missed.unanswered

    def take_hosts(self, hosts: Hosts) -> None:
        """Answer for these hosts from here on, besides those of the beginning: in a replay none of them is asked."""
        self.setup = self.setup._replace(hosts=tuple(dict.fromkeys((*hosts, *self._hosts))))

    @property
    def expired(self) -> list[str]:
        """Return the fixtures that were replayed though they have expired."""
        return self._queues.expired

    @contextmanager
    def run(self, sample: int) -> Iterator[Session]:
        """Let one run of the test have the recordings of one sample, and what goes wrong go wrong in each."""
        before, self.sample = self.sample, sample
        if sample > 0:  # what was set up for the first may have asked already
            self._faults_left = self.options.faults
        try:
            yield self
        finally:
            self.sample = before

    def end(self, *, passed: bool) -> list[Path]:
        """Write what was recorded if the test passed; return the new files.

        Raises:
            SecretError: a recording still looks as if it held a credential; none of it was written.
            FixtureError: one is larger than what may be written.
            OSError: a file can't be written.
        """
        written: list[Path] = []
        try:
            written = self._written() if passed and self._tapes else []
        except (LLMCacheError, OSError) as error:
            self._tell_error(error)
            raise
        finally:
            self._missed.end()
            if self._tapes:
                self.counts += self._tapes.counts(kept=len(written))
            note_use(self.setup, filter(None, self._used), written)
        return written

    def _written(self) -> list[Path]:
        self._tapes.finish()
        for lost in self._tapes.lost():  # before anything is written: where warnings are errors, the test fails by one
            self.setup.warn(f"{self.filed()} asks a provider anew in every run, as nothing can be recorded of {lost}")
        take, test = take_name(self.setup.now()), self.filed()
        fixtures = self._tapes.fixtures(take=take, test=test, version=self.setup.version, ignore=self.options.ignore)
        written = write_take(self.setup.store, fixtures)
        if written:
            note_test(self.setup.store, (one.path for one in self.replayed if one.path is not None), test)
        for fixture, path in written:
            self._tell("save", fixture, str(path))
        return [path for _, path in written]

    def _tell_error(self, error: Exception, key: str | None = None) -> None:
        self.setup.tell("error", {"key": key, "test": self.test, "error": str(error)})

    def _tell(self, event: str, fixture: Fixture, file: str | None) -> None:
        details = {"key": fixture.key, "provider": fixture.provider, "model": fixture.model, "path": file}
        self.setup.tell(event, {**details, "test": self.test})

    def miss(self, asked: Outgoing, provider: str, why: str, *, key: str | None = None) -> FixtureMiss:
        """Note that a request has no recording, and return the error to raise.

        Args:
            asked: the request, redacted.
            provider: whom it asks.
            why: a key of ``misses.WHYS``, with ``NO_KEY`` behind it or not.
            key: what it would be filed under.
        """
        text = explain_miss(
            asked, self.setup.recorded_at(asked), test=self.filed(), folder=self.setup.store.folder, why=why,
            command=self._command(why, provider), matcher=self._matcher, ignore=self.options.ignore,
        )  # fmt: skip
        self.setup.tell("miss", {"key": key, "provider": provider, "test": self.test, "why": why})
        return self._missed.note(FixtureMiss(text), provider, masked(asked))

    def refuse(self, asked: Outgoing) -> FixtureMiss:
        """Note a request that goes nowhere while the settings can't be read, and return the error to raise."""
        text = explain_unreadable(self.setup.unreadable, self._redactor.request(asked), test=self.filed())
        return self._missed.note(FixtureMiss(text))

    def _damaged(self, damage: FixtureError, key: str) -> FixtureMiss:
        text = explain_damage(damage, test=self.filed(), command=self._command("damaged"))
        self._tell_error(damage, key)
        return self._missed.note(FixtureDamaged(text))

    def _command(self, why: str, provider: str = "") -> str:
        label = self.label
        if self._redactor.text(label) != label:  # a credential is a parameter's value: then with all of its values
            label = label.partition("[")[0]
        command = "" if self._missed.in_a_child() else self.setup.command  # there nothing is recorded
        variable = self.setup.key_variable(provider) if why.endswith(NO_KEY) else ""
        return line_for(
            command, why, label=self.setup.typed(label), mode=self.options.mode, variable=variable,
            replays_expired=self.options.replays_expired(self.setup),
        )  # fmt: skip

    def _replay(self, asked: Asked) -> Replay | None:
        fixture = self._next(asked)
        if fixture is None:
            return None
        self.counts["replayed"] += 1
        self.replayed.append(fixture)
        self._tell("hit", fixture, fixture.file)
        self._used.add(fixture.file)
        if fixture.file is not None and self._missed.in_a_child():  # of whose end nobody hears
            note_use(self.setup, [fixture.file], [])
        run_out = partial(self.miss, asked.request, asked.provider, "unread", key=asked.key)
        pace, answer = self.options.pace, fixture.response
        return Replay(answer, pace=pace, run_out=run_out, retried_at_once=not (pace or answer.ok))

    def _tape(self, asked: Asked, outgoing: Outgoing, fault: Spoil | None = None) -> Taping:
        unusable = self._queues.unusable(asked, sample=self.sample)
        is_forked = self._missed.in_a_child()
        if is_forked or self.mode in (Mode.REPLAY, Mode.LIVE):
            why = unusable or ("process" if is_forked else "fault" if fault else "none")
            raise self.miss(asked.request, asked.provider, why, key=asked.key)
        if self.setup.stands_in(outgoing):
            why = f"{unusable}_{NO_KEY}" if unusable else NO_KEY
            raise self.miss(asked.request, asked.provider, why, key=asked.key)
        return self._tapes.add(asked, sample=self.sample, fault=fault)

    def _next(self, asked: Asked) -> Fixture | None:
        mode = Mode.REPLAY if self._missed.in_a_child() else self.mode  # where nothing can be recorded anew
        if mode is Mode.REFRESH:
            return None
        try:
            return self._queues.next(asked, mode, sample=self.sample)
        except RefusedError as refused:
            raise self.miss(asked.request, asked.provider, refused.why, key=asked.key) from None
        except FixtureError as error:
            raise self._damaged(error, asked.key) from error
        except OSError as error:  # such as one that belongs to another user
            damage = FixtureError(error.filename, "", f"it can't be read ({error.strerror})")
            raise self._damaged(damage, asked.key) from error

    def _faulty(self, asked: Asked, outgoing: Outgoing, timeout: float | None) -> Replay | Taping | None:
        fault = self.options.fault
        if fault is None or self._faults_left == 0:
            return None
        spoil = partial(fault.replay, asked.provider, timeout=timeout)
        recorded = self._next(asked) if fault.needs_recording else None
        if fault.needs_recording and recorded is None:
            return self._tape(asked, outgoing, spoil)
        self._used.add(recorded.file if recorded else None)
        self._faults_left -= 1
        self.counts["replayed"] += 1
        return spoil(recorded.response if recorded else None)


def _tell_late(warn: Callable[[str], None], filed: Callable[[], str], asked: Outgoing) -> None:
    asked = masked(asked)
    warn(
        f"{filed()} opened a stream that is read on when its recording is over: nothing more is kept of {asked.method} "
        f"{asked.url}, and a replay ends there; read it inside the test, block or function that opens it"
    )
