"""One test under the recorder: what is set up around it, and what becomes of it afterwards."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import SkipTest

from django_llmcache import conf, providers
from django_llmcache.recorder import session as recorder
from django_llmcache.recorder.files import folders_in
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import NO_OPTIONS, Mode, Options

from . import blocks, interceptors, summary
from .modes import decide
from .setups import PLACEHOLDER, refuse_outside_tests, setup_for

STRATEGY = "django_llmcache.strategies.TestStrategy"
OTHER_VARIABLES = {
    "azure": "AZURE_OPENAI_API_KEY",
    "cerebras": "CEREBRAS_API_KEY",
    "cohere": "CO_API_KEY",
    "fireworks": "FIREWORKS_API_KEY",
    "jina": "JINA_API_KEY",
    "perplexity": "PERPLEXITYAI_API_KEY",
    "voyage": "VOYAGE_API_KEY",
}
"""Variables of providers that ``chat()`` has no name for; set where something of theirs is recorded."""

ALIASES = {"GEMINI_API_KEY": "GOOGLE_API_KEY", "CO_API_KEY": "COHERE_API_KEY"}
"""Other names of the same key: where the user has one, a made-up other could go before it."""

AWS_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""Both, in a replay of Bedrock alone, and only where nothing else tells who one is to AWS: they go before a role."""

AWS_SOURCES = (
    *AWS_VARIABLES, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_PROFILE",
    "AWS_ROLE_ARN", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
)  # fmt: skip


class LiveCallWarning(UserWarning):
    """A provider was asked past the recorder."""


@contextmanager
def recorded(
    test: str, options: Options = NO_OPTIONS, *, sample: int = 0, label: str | None = None
) -> Iterator[Session]:
    """Answer for the providers while a test runs; keep what was recorded if it passed.

    Args:
        test: its id, as the test runner is given it.
        options: what it asks for.
        sample: which of several runs of the test this is.
        label: what a test runner runs it by, where that is not its id; ``""`` for all tests.

    Raises:
        SkipTest: the test cache is off.
        FixtureMiss: at the end, where one was raised inside and somebody caught it.
        ImproperlyConfigured: outside a test run.
    """
    refuse_outside_tests()
    decision = decide(options.mode)
    if decision.skip:
        summary.add_skipped(test, decision.skip)
        raise SkipTest(decision.skip)
    session = Session(test, setup_for(decision.mode), options, sample=sample)
    session.label = test if label is None else label
    passed = False
    with ExitStack() as stack:
        stack.enter_context(conf.forced(STRATEGY=STRATEGY))
        stack.enter_context(conf.placed(placeholders(session)))
        stack.enter_context(interceptors.armed())
        stack.enter_context(recorder.in_force(session))
        try:
            yield session
            passed = not (session.misses or session.failed)
        except Exception as error:
            if session.misses:  # somebody made another error of it, which the test may expect
                raise session.misses[0] from error
            raise
        finally:
            _finish(session, passed=passed)
    if session.misses:
        raise session.misses[0]


def _finish(session: Session, *, passed: bool) -> None:
    written = session.end(passed=passed)
    if session.is_test:
        blocks.wrote(session, written)
    summary.add(session, written, passed=passed)
    for leak in session.leaks:
        warnings.warn(f"{session.filed()} asked a provider past the recorder: {leak}", LiveCallWarning, stacklevel=2)
    if session.gave_up and session.mode is not Mode.LIVE and session.counts["live"]:
        blocks.tell_giving_up(session)


def placeholders(session: Session) -> dict[str, str]:
    """Return keys for SDKs that refuse to start without one; the session sends none of them anywhere."""
    if session.mode not in (Mode.REPLAY, Mode.ONCE) and session.options.fault is None:
        return {}
    # No more of them than are of use: requests goes through the whole environment, four times for each call.
    recorded = {folder.name for folder in folders_in(session.setup.store.folder)}
    known = [provider.key_variable for provider in map(providers.get, providers.names()) if provider.needs_key]
    others = [variable for name, variable in OTHER_VARIABLES.items() if name in recorded]
    missing = [name for name in (*known, *others) if name and conf.environment(name) is None]
    names = [name for name in missing if conf.environment(ALIASES.get(name, name)) is None]
    if session.mode is Mode.REPLAY and "bedrock" in recorded and not _known_to_aws():
        names += AWS_VARIABLES
    return dict.fromkeys(names, PLACEHOLDER)


def _known_to_aws() -> bool:
    return any(conf.environment(name) for name in AWS_SOURCES) or Path("~/.aws").expanduser().exists()
