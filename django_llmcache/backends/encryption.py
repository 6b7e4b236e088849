"""Seal entries with AES-256-GCM (NIST SP 800-38D), each for its own key of the cache.

Keys are derived from the project's secrets by HKDF (RFC 5869). What is sealed begins with the id of its key, so that
secrets can be rotated: the first seals, all of them open.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from django_llmcache.exceptions import ConfigurationError, EntryFormatError

_ID: Final = 8
_NONCE: Final = 12
"""Bytes; 96 bits, as SP 800-38D recommends for random ones."""


class Sealer:
    """Seals and opens bytes.

    Args:
        secrets: the first seals, all of them open.

    Raises:
        ConfigurationError: there is none.
    """

    def __init__(self, secrets: tuple[bytes, ...]) -> None:
        if not secrets:
            raise ConfigurationError("ENCRYPT is True and there is no secret: set SECRET_KEY, or ENCRYPTION_KEYS.")
        derived = [_derived(secret) for secret in secrets]
        self._id = derived[0][:_ID]
        self._ciphers = {key[:_ID]: AESGCM(key[_ID:]) for key in reversed(derived)}

    def seal(self, plain: bytes, key: str) -> bytes:
        """Return the bytes sealed for this key of the cache: in the place of another they don't open."""
        nonce = os.urandom(_NONCE)
        return self._id + nonce + self._ciphers[self._id].encrypt(nonce, plain, key.encode())

    def open(self, sealed: bytes, key: str) -> bytes:
        """Return what was sealed for this key of the cache.

        Raises:
            EntryFormatError: it was changed, sealed for another, or by a secret that is not known any more.
        """
        cipher = self._ciphers.get(sealed[:_ID])
        if cipher is None:
            raise EntryFormatError("The stored entry is sealed by a secret that is not known here.")
        start = _ID + _NONCE
        try:
            return cipher.decrypt(sealed[_ID:start], sealed[start:], key.encode())
        except (InvalidTag, ValueError) as error:
            raise EntryFormatError("The stored entry was changed, or sealed for another key.") from error


def _derived(secret: bytes) -> bytes:
    """Return the id and the 256 bits of the key that a secret stands for."""
    return HKDF(algorithm=SHA256(), length=_ID + 32, salt=None, info=b"django-llmcache entries").derive(secret)
