"""The ``OPTIONS`` of a backend that processes share, checked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, TypeVar

from django_llmcache import conf
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.spelling import did_you_mean

from .packing import Cipher
from .stores import Deadlines

Value = TypeVar("Value")

READ_TIMEOUT: Final = 0.05
WRITE_TIMEOUT: Final = 0.2
COMPRESS_OVER: Final = 32 * 1024
SHARED: Final = (
    "ALIAS", "READ_TIMEOUT", "WRITE_TIMEOUT", "COMPRESS_OVER", "MAX_VALUE_BYTES", "ENCRYPT", "ENCRYPTION_KEYS",
)  # fmt: skip


class SharedOptions:
    """What ``LLMCACHE["OPTIONS"]`` says of a shared store. Times are in seconds, sizes in bytes.

    Args:
        options: as they were given.
        owner: the backend's name, for errors.

    Raises:
        ConfigurationError: an option that is missing, unknown or cannot work; the message names it.
    """

    def __init__(self, options: Mapping[str, Any], owner: str = "DjangoCacheBackend") -> None:
        refuse_unknown(options, SHARED, owner)
        alias = options.get("ALIAS")
        if not isinstance(alias, str) or not alias:
            raise _wrong("ALIAS", alias, "give the alias of CACHES to keep entries in, such as 'default'")
        self.alias = alias
        self.deadlines = Deadlines(
            _seconds(options, "READ_TIMEOUT", READ_TIMEOUT), _seconds(options, "WRITE_TIMEOUT", WRITE_TIMEOUT)
        )
        self.compress_over = _bytes(options, "COMPRESS_OVER", COMPRESS_OVER)
        self.max_value_bytes = _bytes(options, "MAX_VALUE_BYTES", None)
        self.encrypt = options.get("ENCRYPT", False)
        if not isinstance(self.encrypt, bool):
            raise _wrong("ENCRYPT", self.encrypt, "give True or False")
        self._keys = _keys(options.get("ENCRYPTION_KEYS"))

    def cipher(self) -> Cipher | None:
        """Return what seals entries, ``None`` where they are not to be sealed.

        Raises:
            ConfigurationError: ``cryptography`` is missing, or there is no key.
        """
        if not self.encrypt:
            return None
        try:
            from .encryption import Sealer
        except ImportError as error:
            raise ConfigurationError(
                "settings.LLMCACHE['OPTIONS']['ENCRYPT'] is True, and needs cryptography, which is missing: "
                "pip install 'django-llmcache[encryption]'."
            ) from error
        return Sealer(self._keys or conf.secrets())


def refuse_unknown(options: Mapping[str, Any], known: tuple[str, ...], owner: str) -> None:
    """Refuse options that a backend doesn't know.

    Raises:
        ConfigurationError: there is one; the message has the close match.
    """
    for name in options:
        if name not in known:
            hint = did_you_mean(name, known, otherwise=f"{owner} knows {', '.join(known)}.")
            raise ConfigurationError(f"settings.LLMCACHE['OPTIONS'] has the unknown key {name!r}; {hint}")


def _seconds(options: Mapping[str, Any], name: str, default: float) -> float:
    given = options.get(name, default)
    value = given.total_seconds() if isinstance(given, timedelta) else given
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 3600:
        raise _wrong(name, given, "give seconds above 0 and below 3600, or a timedelta")
    return float(value)


def _bytes(options: Mapping[str, Any], name: str, default: Value) -> int | Value:
    value = options.get(name, default)
    if value is default:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _wrong(name, value, "give a whole number of bytes from 1")
    return value


def _keys(value: Any) -> tuple[bytes, ...]:
    if value is None:
        return ()
    if isinstance(value, list | tuple) and value and all(isinstance(key, str) and key for key in value):
        return tuple(key.encode() for key in value)
    raise ConfigurationError(
        "settings.LLMCACHE['OPTIONS']['ENCRYPTION_KEYS'] is to be a list of texts, the one that seals first."
    )


def _wrong(name: str, value: Any, cure: str) -> ConfigurationError:
    return ConfigurationError(f"settings.LLMCACHE['OPTIONS'][{name!r}] is {value!r:.80}; {cure}.")
