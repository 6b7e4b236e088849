"""Serializers that leave bytes as they are, for the aliases of ``CACHES`` whose stock ones pickle even bytes.

A cache server that others can write to must not be able to run code in the workers, and ``pickle.loads`` runs what it
reads (docs.python.org, "pickle").
"""

from __future__ import annotations

from typing import Any, Final

_BYTES: Final = 1
"""The flag that pymemcache is to keep beside a value."""


class RawSerializer:
    """Keep bytes as bytes, on Redis.

    For Django's own backend ``"OPTIONS": {"serializer": "django_llmcache.backends.serializers.RawSerializer"}``; for
    django-redis the same under ``"SERIALIZER"``.
    """

    def __init__(self, options: Any = None) -> None:
        """Take what django-redis gives, which is the alias' ``OPTIONS``."""

    def dumps(self, value: Any) -> bytes:
        """Return the bytes.

        Raises:
            TypeError: other than bytes or a text.
        """
        return _raw(value)

    def loads(self, value: bytes) -> bytes:
        """Return the bytes."""
        return value


class RawSerde:
    """Keep bytes as bytes, on Memcached: ``"OPTIONS": {"serde": RawSerde()}``."""

    def serialize(self, key: str, value: Any) -> tuple[bytes, int]:
        """Return the bytes and the flag that stands for them; raises as ``RawSerializer.dumps``."""
        return _raw(value), _BYTES

    def deserialize(self, key: str, value: bytes, flags: int) -> bytes:
        """Return the bytes, whatever wrote them."""
        return value


def _raw(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise TypeError(f"The raw serializer keeps bytes and texts, not a {type(value).__name__}.")
