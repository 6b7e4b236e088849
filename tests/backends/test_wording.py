"""What a log may say of a store's error: what is the matter, and no part of a password."""

from __future__ import annotations

import pytest

from django_llmcache.backends.wording import words_of
from django_llmcache.telemetry import told

SECRET = "s3cretpw"
SAID = {
    "Redis, of a command that it doesn't know": f"unknown command AUTH, with args beginning with: '{SECRET}' ",
    "redis-py, of a pool of Sentinel's": (
        "No master found: <redis.Redis(<redis.ConnectionPool(<redis.Connection(db=0,username=None,"
        f"password={SECRET},socket_timeout=None)>)>)> - ConnectionError('Error 111')"
    ),
    "an address with an @ in the password": f"no route to redis://:a@{SECRET}@host:1/0",
    "an address with a slash in it": f"no route to redis://:a/{SECRET}@host:1/0",
    "psycopg, of what it connects with": f"can't use host=h user=u password={SECRET} port=1",
}


class LibraryError(Exception):
    """What the library of a store raises."""


@pytest.mark.parametrize("text", SAID.values(), ids=SAID)
@pytest.mark.parametrize("tell", [words_of, told])
def test_no_part_of_a_password_is_told_but_what_is_the_matter(tell, text):
    shown = tell(LibraryError(text))

    assert SECRET not in shown
    assert text[:12] in shown


def test_what_is_said_of_passwords_is_left():
    said = "Access denied for user 'u'@'h' (using password: YES)"

    assert words_of(LibraryError(said)) == f"LibraryError: {said}"


def test_of_pythons_own_errors_the_class_is_all_that_is_told():
    assert words_of(ValueError(f"invalid literal: '{SECRET}'")) == "ValueError"
