"""Keys that stand in for those that nobody has given, so that SDKs start while answers are replayed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Final

from django_llmcache import conf, providers
from django_llmcache.locks import fork_safe_lock
from django_llmcache.recorder.files import folder_names_in
from django_llmcache.recorder.names import folder_name
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import Mode

from .hosts import name_of
from .setups import PLACEHOLDER

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

ALIASES = {
    "ANTHROPIC_API_KEY": ("ANTHROPIC_AUTH_TOKEN",),
    "CO_API_KEY": ("COHERE_API_KEY",),
    "GEMINI_API_KEY": ("GOOGLE_API_KEY",),
    "TOGETHER_API_KEY": ("TOGETHERAI_API_KEY", "TOGETHER_AI_API_KEY"),
}
"""Other names of the same key: where the user has one, a made-up other could go before it."""

AWS_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""Both, in a replay of Bedrock alone, and only where nothing else tells who one is to AWS: they go before a role, and
sign what is asked of the rest of AWS too."""

AWS_SOURCES = (
    *AWS_VARIABLES, "AWS_CONFIG_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)  # fmt: skip

OPENAI: Final = "OPENAI_API_KEY"
"""What OpenAI's SDK asks for, which is used for gateways and local servers too."""


_changing: Final = fork_safe_lock()

_standing_in: Final[list[Session]] = []
"""The sessions for which keys stand in, in any order."""

_made_up: Final[set[str]] = set()
"""Variables that have had a made-up key in this process."""


@contextmanager
def standing_in(session: Session) -> Iterator[None]:
    """Let made-up keys be there inside the block, as far as the session has use for them, and take them back.

    Args:
        session: what answers for the providers meanwhile.
    """
    keys = placeholders(session)
    with _changing:
        _made_up.update(keys)
        _standing_in.append(session)
    try:
        with conf.placed(keys):
            yield
    finally:
        with _changing:
            _standing_in.remove(session)


def take_back() -> None:
    """Take back made-up keys that are there though they stand in for nobody.

    What a test sets in the place of one inside a block, by ``monkeypatch`` as by ``patch.dict``, it undoes after it,
    and so puts back what it found.
    """
    with _changing:
        if not _standing_in:
            for name in _made_up:
                if conf.environment(name) == PLACEHOLDER:
                    conf.restore(name, None)


def placeholders(session: Session) -> dict[str, str]:
    """Return keys for SDKs that refuse to start without one; the session sends none of them anywhere."""
    if session.mode not in (Mode.REPLAY, Mode.ONCE) and session.options.fault is None:
        return {}
    recorded = folder_names_in(session.setup.store.folder)
    # While a test may record, and the user has a key of somebody: an application may take the first that it has one of.
    everyone = session.mode is not Mode.ONCE or not _has_a_key()
    own_hosts = {folder_name(name_of(pattern)) for pattern in conf.current().test_cache.hosts}
    if everyone and not own_hosts.isdisjoint(recorded):  # through a gateway any SDK may have asked
        recorded |= OTHER_VARIABLES.keys()
    missing = [name for name in _variables(recorded, everyone=everyone) if not _is_given(name)]
    names = [name for name in missing if not any(map(_is_given, ALIASES.get(name, ())))]
    if session.mode is Mode.REPLAY and "bedrock" in recorded and not _known_to_aws():
        names += AWS_VARIABLES
    return dict.fromkeys(names, PLACEHOLDER)


def variable_of(name: str) -> str:
    """Return the variable that has a provider's API key for any SDK, ``""`` where that depends on the SDK."""
    known = next((one for one in _everyone(conf.current()) if one.name == name), None)
    if known is None:
        return OTHER_VARIABLES.get(name, "")
    return known.key_variable or "" if name in providers.BUILT_IN and known.needs_key else ""


def _variables(recorded: Collection[str], *, everyone: bool) -> list[str]:
    """Return the variables of those whom a test may ask, by whatever SDK.

    Args:
        recorded: folders of the providers of whom something is recorded.
        everyone: whether it may be any provider that is known, and not those of the recordings alone.
    """
    there = [one for one in _everyone(conf.current()) if everyone or folder_name(one.name) in recorded]
    names = [one.key_variable for one in there if one.needs_key and one.key_variable]
    if not everyone and any(one.name not in providers.BUILT_IN or not one.needs_key for one in there):
        names.append(OPENAI)
    # No more of them than are of use: requests goes through the whole environment, four times for each call.
    return names + [variable for name, variable in OTHER_VARIABLES.items() if name in recorded]


@lru_cache(maxsize=4)
def _everyone(_settings: conf.Settings) -> tuple[providers.Provider, ...]:
    """Return every provider that the settings in force know, made once: a run's tests ask in turn."""
    return tuple(map(providers.get, providers.names()))


def _has_a_key() -> bool:
    """Return whether the user has a key of any provider that is known."""
    known = _variables((), everyone=True)
    return any(map(_is_given, (*known, *OTHER_VARIABLES.values(), *chain(*ALIASES.values()), *AWS_SOURCES)))


def _is_given(name: str) -> bool:
    """Return whether the user has set a variable: what another block has made up is no word of theirs."""
    return conf.environment(name) not in (None, PLACEHOLDER)


def _known_to_aws() -> bool:
    return any(map(_is_given, AWS_SOURCES)) or Path("~/.aws").expanduser().exists()
