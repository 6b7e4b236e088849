"""What a credential looks like: the names that one stands behind, and the shapes of those that tell whose they are."""

from __future__ import annotations

import math
import re
from base64 import b64decode
from collections import Counter
from functools import lru_cache
from typing import Final, NamedTuple

from django_llmcache.naming import ENDINGS, SECRETS, TELLING, is_named, plain

REDACTED: Final = "REDACTED"
"""What stands where a credential was."""

OPAQUE: Final = frozenset({
    "encrypted_content", "encrypted_index", "encrypted_reasoning", "encrypted_stdout", "encryptedcontent",
    "encryptedreasoning", "redacted_content", "redactedcontent", "signature", "thought_signature",
    "thoughtsignature",
})  # fmt: skip
"""Names, in lower case, of what means something to its provider alone, who needs it back as it was."""

POSSIBLE: Final = frozenset({
    "auth", "bearer", "cookie", "cookies", "credential", "credentials", "jwt", "pwd", "secret", "secrets", "sessionkey",
    "setcookie", "token", "xauth",
})  # fmt: skip
"""Names of credentials and of other things too: the value has to look like one."""

AROUND: Final = frozenset({"authentication"})
"""Names of objects in which a ``key``, a ``token`` and the like is a credential, besides those of credentials."""

PARAMETERS: Final = frozenset({
    "auth", "awsaccesskeyid", "credential", "googleaccessid", "jwt", "key", "keypairid", "pwd", "secret", "sig",
    "signature", "token", "uploadid",
})  # fmt: skip
"""Query parameters that are credentials, besides those that end as ``ENDINGS``."""

SIGNED: Final = ("xamz", "xgoog")
"""How the parameters of a signed address begin."""

SIGNATURES: Final = ("credential", "signature", "token")
"""How those of them end that nobody may see."""

SIGNING: Final = frozenset({
    "xamzalgorithm", "xamzdate", "xamzexpires", "xamzsignedheaders",
    "xgoogalgorithm", "xgoogdate", "xgoogexpires", "xgoogsignedheaders",
})  # fmt: skip
"""The others of them: what a signature was made with. Not ``x-amz-acl`` and the like, which say what is asked."""

HEADERS: Final = frozenset({
    "anthropic-organization-id", "api-key", "authorization", "cookie", "ocp-apim-subscription-key",
    "openai-organization", "openai-project", "proxy-authorization", "set-cookie", "x-amz-security-token", "x-api-key",
    "x-auth-token", "x-goog-api-key", "x-goog-user-project", "xi-api-key",
})  # fmt: skip
"""Headers that are credentials, or name an account."""

KINDS_OF_KEY: Final = frozenset({
    "access", "account", "admin", "api", "auth", "client", "encryption", "license", "master", "private", "secret",
    "service", "session", "signing", "ssh", "subscription", "webhook",
})  # fmt: skip
"""Words that make one of a name with ``key`` in it."""

HARMLESS: Final = frozenset({
    "cache", "continuation", "count", "cursor", "end", "id", "ids", "limit", "next", "page", "start", "sync", "type",
})  # fmt: skip
"""Words that make a place in a list, a number or an identifier of a ``token``."""

_LETTERS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./+=~!#$%*?@^|&()")
_RUNS: Final = bytes(ord("a") if code in _LETTERS else ord(" ") for code in range(256))

LONG: Final = b"a" * 16
"""The shortest token that shows by its shape, as ``runs_of`` tells it."""

NEAR: Final = 64
"""Characters before a sign in which the name is that tells of the value behind it."""

_TOKEN: Final = re.compile(
    r"""
    (?<![A-Za-z0-9_-])(?:
      (?:sk|nvapi)-[A-Za-z0-9_-]{13,}                                    # OpenAI, Anthropic, OpenRouter, DeepSeek, …
    | (?:xai|pplx|csk|tvly|tvly-dev)-[A-Za-z0-9]{16,} | pk-lf-[A-Za-z0-9-]{16,}
    | (?:gsk|hf|r8|fw|ek|jina|npm|dop_v1|whsec|shpat)_[A-Za-z0-9]{16,} | (?:pcsk|tgp_v1)_[A-Za-z0-9_-]{16,}
    | [sr]k_(?:live|test)_[A-Za-z0-9]{10,} | sk_(?=[a-z]*\d)[a-z0-9]{24,}
    | gh[pousr]_[A-Za-z0-9]{16,} | github_pat_[A-Za-z0-9_]{16,} | glpat-[A-Za-z0-9_-]{16,}
    | xox[a-z]-[A-Za-z0-9-]{11,} | xapp-\d-[A-Za-z0-9-]{10,}
    | AIza[A-Za-z0-9_-]{20,} | ya29\.[A-Za-z0-9_.-]{11,} | AQ\.[A-Za-z0-9_-]{30,} | 1//0[A-Za-z0-9_-]{20,}
    | A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}(?![A-Za-z0-9]) | ABSK[A-Za-z0-9+/]{40,}={0,2}
    | lsv2_[a-z]{2}_[A-Za-z0-9_]{16,} | dapi[0-9a-f]{32} | SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}
    | pypi-AgE[A-Za-z0-9_-]{16,} | pa-(?=[a-z0-9_-]*[A-Z])(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{40,}   # PyPI, Voyage
    | SK[0-9a-f]{32}(?![A-Za-z0-9]) | (?:bot)?\d{8,10}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])   # Twilio, Telegram
    | [MNO](?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}   # Discord
    | eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,3}   # JSON Web Token
    )
    """,
    re.VERBOSE,
)
_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----"
    r"(?:(?:(?!-----BEGIN ).){0,20000}?-----END [A-Z0-9 ]*PRIVATE KEY-----|(?:\\[nr]|[\sA-Za-z0-9+/=:,-])*)",
    re.DOTALL,
)
_LOGIN: Final = re.compile(
    r"""
    (?<=://)(?:
      # Before the first @ that a host comes after, also where the password has a / or @; no port with a path after it.
      [^\s/?#@:"'<>\\[]*:(?!(?:\d*|\$?\{[^{}]*\}|\$?(?i:port))[/?#])[^\s"'<>\\]{1,200}?
      (?=@(?:[\w.-]+(?::\d+)?[,;]?(?:[/?#\s"'<>()`\\]|\Z)|\[))
    | # Or before the last @ that no path comes before, whatever stands for the host.
      (?!REDACTED@)[^\s/?#:"'<>\\]*:[^\s/?#"'<>\\]+(?=@)
    )
    """,
    re.VERBOSE,
)
_BEARER: Final = re.compile(
    r"bearer\s+(?P<value>(?=[A-Za-z._~+/=-]*\d)[A-Za-z0-9._~+/=-]{16,}|[A-Za-z0-9._~+/=-]{24,})", re.IGNORECASE
)
_BASIC: Final = re.compile(r"basic\s+(?P<value>[A-Za-z0-9+/]{14,}={0,2})", re.IGNORECASE)
_PARAMETER: Final = re.compile(r"[?&;](?:amp;)?(?P<name>[A-Za-z0-9_.-]{3,40})=(?P<value>[^&;\s\"'<>`\\)\]}]+)")
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_RANDOM: Final = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9_.~+/=-]{16,}", re.DOTALL)
_LEAST_ENTROPY: Final = 3.0


class Span(NamedTuple):
    """A stretch of a text that is a credential."""

    start: int
    end: int
    replacement: str = REDACTED


@lru_cache(maxsize=4096)
def is_watched(name: str) -> bool:
    """Return whether a field of this name may be a credential, or have one in it."""
    return is_around(name) or plain(name) in POSSIBLE


@lru_cache(maxsize=4096)
def is_around(name: str) -> bool:
    """Return whether a ``key``, a ``token`` and the like is a credential where it is inside a field of this name."""
    return is_named(name) or plain(name) in AROUND


@lru_cache(maxsize=4096)
def is_parameter(name: str) -> bool:
    """Return whether a query parameter of this name is a credential."""
    word = plain(name)
    return word in PARAMETERS or word.endswith(ENDINGS) or (word.startswith(SIGNED) and word.endswith(SIGNATURES))


@lru_cache(maxsize=4096)
def is_signing(name: str) -> bool:
    """Return whether a query parameter of this name is a credential, or was made with one and differs each time."""
    return is_parameter(name) or plain(name) in SIGNING


@lru_cache(maxsize=4096)
def is_telling(name: str) -> bool:
    """Return whether a name speaks of a credential, though it is none that is known."""
    words = {word.lower() for word in _WORDS.findall(name)}
    if words & HARMLESS:
        return False
    return bool(words & TELLING or ("key" in words and words & KINDS_OF_KEY))


def is_opaque(name: str) -> bool:
    """Return whether a field of this name goes back to its provider as it is."""
    return name.lower() in OPAQUE


def is_credential(name: str, value: str) -> bool:
    """Return whether a text is a credential by the name before it."""
    if not value:
        return False
    word = plain(name)
    if word.endswith(ENDINGS):
        return word in ENDINGS or not any(map(str.isspace, value))
    if word not in POSSIBLE:
        return False
    if word in SECRETS:
        return len(value) >= 6 and not any(map(str.isspace, value))
    if word in ("cookie", "cookies", "setcookie"):
        return "=" in value and any(map(looks_random, re.split(r"[=;\s]+", value)))
    return looks_random(value)


def may_be_credential(name: str, value: str) -> bool:
    """Return whether a text looks like a credential by the name before it, though that may be none that is known."""
    return is_credential(name, value) or (is_telling(name) and looks_random(value))


def looks_random(value: str) -> bool:
    """Return whether a text is one long word as a generator makes them: letters with digits, few of them alike."""
    if not _RANDOM.fullmatch(value):
        return False
    length = len(value)
    entropy = -sum(count / length * math.log2(count / length) for count in Counter(value).values())
    return entropy >= _LEAST_ENTROPY


def runs_of(data: bytes) -> bytes:
    """Return data of the same length that has ``a`` for every byte that a token may have, and a space for others."""
    return data.translate(_RUNS)


def has_long_run(data: bytes) -> bool:
    """Return whether there is a word as long as the shortest token that shows by its shape."""
    return LONG in data.translate(_RUNS)


def shapes(text: str) -> list[Span]:
    """Return the credentials in a text that show by their shape alone: tokens, private keys, parts of addresses."""
    found: list[Span] = []
    if has_long_run(text.encode("utf-8", "replace")):
        found += [Span(*match.span()) for match in _TOKEN.finditer(text)]
        found += [Span(*match.span("value")) for match in _BEARER.finditer(text)]
        found += [Span(*match.span("value")) for match in _BASIC.finditer(text) if _is_login(match["value"])]
    if "@" in text:
        found += [Span(*match.span()) for match in _LOGIN.finditer(text)]
    if "-----BEGIN" in text:
        found += [Span(*match.span()) for match in _PRIVATE_KEY.finditer(text)]
    if "=" in text:
        found += [
            Span(*match.span("value"))
            for match in _PARAMETER.finditer(text)
            if match["value"] != REDACTED and is_parameter(match["name"])
        ]
    return merged(found)


def merged(spans: list[Span]) -> list[Span]:
    """Return spans in their order, those that overlap made one."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.start < found[-1].end:
            found[-1] = found[-1]._replace(end=max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


def _is_login(value: str) -> bool:
    try:
        return b":" in b64decode(value, validate=True)
    except ValueError:
        return False
