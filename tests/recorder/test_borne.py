"""A credential in a request's own headers is known as the server reads it, however the client sends it."""

from __future__ import annotations

import base64
import json
from http.cookies import SimpleCookie

import pytest

from django_llmcache.recorder.exchange import Chunk, Incoming, Outgoing
from django_llmcache.recorder.redaction import REDACTED, Redactor

URL = "https://api.openai.com/v1/chat/completions"
JSON = ("content-type", "application/json")
PASSPHRASE = "correct-horse-battery"


def echoed(name, value, text):
    """Return what is kept of a text that an answer has, to a request with one header."""
    redactor = Redactor()
    redactor.request(Outgoing("POST", URL, (JSON, (name, value)), b"{}"))
    body = json.dumps({"note": f"you are {text}."}).encode()
    return json.loads(redactor.response(Incoming(200, "OK", (JSON,), (Chunk(0.0, body),))).body)["note"]


def login(text, charset="utf-8", encode=base64.b64encode):
    return encode(text.encode(charset)).decode()


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
def test_the_password_of_a_login_is_known_in_whichever_charset_it_was_sent(charset):
    value = f"Basic {login('some-user:pässwort lang genug', charset)}"

    assert echoed("authorization", value, "pässwort lang genug") == f"you are {REDACTED}."


@pytest.mark.parametrize(
    "value",
    [f"Basic  {login('me:correct horse?>?>~~~')}",
     f"Basic {login('me:correct horse?>?>~~~', encode=base64.urlsafe_b64encode)}",
     f"basic {login('me:correct horse?>?>~~~').rstrip('=')} "],
    ids=["spaces", "urlsafe", "unpadded"],
)  # fmt: skip
def test_the_password_of_a_login_is_known_in_whichever_way_it_was_encoded(value):
    assert echoed("authorization", value, "correct horse?>?>~~~") == f"you are {REDACTED}."


@pytest.mark.parametrize("read", ["pässwort-lang-genug", "pässwort-lang-genug".encode().decode("latin-1")])
@pytest.mark.parametrize(("name", "scheme"), [("x-api-key", ""), ("authorization", "Bearer ")])
def test_bytes_in_a_header_are_known_as_either_charset_reads_them(name, scheme, read):
    """Clients hand them over in Latin-1, and many a server reads UTF-8."""
    value = (scheme + "pässwort-lang-genug").encode().decode("latin-1")

    assert echoed(name, value, read) == f"you are {REDACTED}."


@pytest.mark.parametrize(
    "cookies",
    ['session="{}"', 'a=b; session="{}"; c=d', "a=b; session=%22{}%22; c=d", "a=b ; session = {} ;c=d"],
)
def test_a_cookie_is_known_without_its_quotes(cookies):
    assert echoed("cookie", cookies.format("c2Vzc2lvbi1vZi1ib2I="), "c2Vzc2lvbi1vZi1ib2I=") == f"you are {REDACTED}."


def test_a_cookie_is_known_without_its_escapes():
    value = SimpleCookie({"session": 'of my; "own", make'}).output(header="", sep="").strip()

    assert echoed("cookie", value, 'of my; "own", make') == f"you are {REDACTED}."


@pytest.mark.parametrize("name", ["x-api-key", "authorization"])
@pytest.mark.parametrize(
    "value", ["{} ", " {}\t", "Bearer {} ", "Bearer  {}", '"{}"', "'{}'", 'Bearer "{}"', "Token {}, key=other"]
)
def test_a_key_is_known_without_what_is_around_it(name, value):
    assert echoed(name, value.format(PASSPHRASE), PASSPHRASE) == f"you are {REDACTED}."


@pytest.mark.parametrize(
    "value",
    ["SharedAccessSignature sr=abc&sig={}&se=1", 'Custom token = "{}", v="1"', "Custom token='{}', v='1'",
     "Custom v=1; token={}; a=b", "token={}", "Custom v=1 {}"],
)  # fmt: skip
def test_a_key_among_named_values_is_known(value):
    assert echoed("authorization", value.format(PASSPHRASE), PASSPHRASE) == f"you are {REDACTED}."


@pytest.mark.parametrize("key", [r'correct"horse\battery', "correct&horse&battery", "correct;horse;battery"])
def test_a_key_with_signs_among_named_values_is_known(key):
    value = f"Custom token={json.dumps(key)}, v=1"

    assert echoed("authorization", value, key) == f"you are {REDACTED}."


@pytest.mark.parametrize("key", [PASSPHRASE, "donkey-wins-race"])
def test_each_of_several_keys_is_known(key):
    assert echoed("x-api-key", f"{PASSPHRASE}, donkey-wins-race", key) == f"you are {REDACTED}."


def test_a_passphrase_behind_a_scheme_that_nobody_knows_is_known_whole():
    phrase = "correct horse battery staple"

    assert echoed("authorization", f"Custom {phrase}", phrase) == f"you are {REDACTED}."


@pytest.mark.parametrize(
    "value",
    ["12|aB3dE9fGh1JkLmN0pQrStUv7WxYz", "aB3$dE9fGh1Jk!LmN0pQrS#tUv7WxYz", "Zq7%Wm2^Xv9&Lk4*Tb@Nc8?Rd",
     '"Zq7Wm2Xv9Lk4TbNc8RdKp3"'],
)  # fmt: skip
@pytest.mark.parametrize("name", ["x-proxy-token", "x-tenant-key", "x-auth"])
def test_a_token_with_signs_in_it_looks_like_one_too(name, value):
    assert echoed(name, value, value.strip('"')).strip('"') == f"you are {REDACTED}."


@pytest.mark.parametrize(
    "value",
    ["customer|support|2024-07-18", "eu-west-1|gpt-4o-mini-2024-07-18", "Gro%C3%9Fhandel%20Berlin%202024",
     "region=eu-west-1&tenant=customer-support", "svc-3f2a1b@tenant4.example.com", "2024-07-18T10:00:00+02:00",
     "$TENANT_KEY_2024", "team#customer-support-4", "support, sales and 2 others", "'customer-support'"],
)  # fmt: skip
def test_words_with_signs_between_them_are_no_credential(value):
    assert echoed("x-tenant-key", value, value) == f"you are {value}."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('Digest username = "me", realm = "some-realm-of-ours", uri = "/v1/chat/completions"', "/v1/chat/completions"),
        ('Digest username="me", realm="of ours, and of others too"', "and of others too"),
        ("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host;content-type;x-amz-date, Signature=c", "content-type"),
        ("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host;content-type;x-amz-date, Signature=c",
         "AWS4-HMAC-SHA256"),
        ("SharedAccessSignature sr=some-place-of-ours&sig=abc&se=1", "SharedAccessSignature for some-place-of-ours"),
    ],
)  # fmt: skip
def test_what_stands_beside_a_signature_is_no_credential(value, text):
    assert echoed("authorization", value, text) == f"you are {text}."
