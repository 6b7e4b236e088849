"""The names of credentials, asked here by the response cache and the test cache alike."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

ENDINGS: Final = (
    "accesskey", "accesskeyid", "accesstoken", "accountkey", "apikey", "apikeys", "apikeystring", "apisecret",
    "apitoken", "appsecret", "authkey", "authorization", "authorizationtoken", "authtoken", "bearertoken",
    "clientsecret", "connectionstring", "consumersecret", "encryptionkey", "idtoken", "masterkey", "passphrase",
    "passwd", "password", "passwords", "privatekey", "refreshtoken", "secretaccesskey", "secretkey", "securitytoken",
    "servicekey", "sessiontoken", "sharedaccesskey", "sharedsecret", "signingkey", "signingsecret", "subscriptionkey",
    "webhooksecret",
)  # fmt: skip
"""How the names of credentials end, less case and punctuation."""

SECRETS: Final = frozenset({"pwd", "secret", "secrets"})
"""Words that name nothing else: the value need not look random."""

TELLING: Final = frozenset({
    "apikey", "auth", "authorization", "bearer", "cookie", "credential", "credentials", "jwt", "passwd", "password",
    "pwd", "secret", "secrets", "token",
})  # fmt: skip
"""Words in a name that tell of a credential."""

GATEWAYS: Final = frozenset({"heliconeauth", "xgatewaytoken", "xllmkey"})
"""Headers of gateways that are credentials, as ``plain`` has them."""

KEYS: Final = frozenset({"admin", "license", "virtual"})
"""Words before ``key`` that make a credential of it, besides those that names end with."""

_WORD: Final = re.compile("[a-z]+")


@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """Return a name less case and punctuation."""
    return "".join(filter(str.isalnum, name)).lower()


@lru_cache(maxsize=4096)
def is_named(name: str) -> bool:
    """Return whether a field of this name is a credential, whatever its value."""
    return plain(name).endswith(ENDINGS)


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case, one empty one where it has none."""
    return _WORD.findall(name) or [""]


def names_credential(header: str) -> bool:
    """Return whether a header of this name, in lower case, is a credential whatever its value."""
    if is_named(header) or plain(header) in GATEWAYS:
        return True
    *before, last = words_of(header)
    return last in SECRETS or (last == "key" and not KEYS.isdisjoint(before[-1:]))
