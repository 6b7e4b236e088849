"""A digest is that of the very bytes, from memory or not, and the memory has an end."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from django_llmcache.digests import RecentDigests

HEAD, TAIL = b"h" * 500, b"t" * 500


def sha256(body):
    return hashlib.sha256(body).digest()


def test_the_same_bytes_have_the_same_digest_each_time():
    digests = RecentDigests()
    body = HEAD + b"middle" + TAIL

    assert [digests.of(bytes(bytearray(body))) for _ in range(3)] == [sha256(body)] * 3


def test_bodies_that_differ_in_the_middle_alone_are_told_apart():
    digests = RecentDigests()
    bodies = [HEAD + middle + TAIL for middle in (b"one", b"two", b"one", b"two")]

    assert [*map(digests.of, bodies)] == [*map(sha256, bodies)]


@pytest.mark.parametrize("body", [b"", b"x", HEAD])
def test_short_ones_have_theirs(body):
    assert RecentDigests().of(body) == sha256(body)


def test_what_is_held_stays_within_its_room():
    digests = RecentDigests(room=3_000)
    for number in range(50):
        digests.of(HEAD + bytes([number]) * 400)
        assert sum(len(body) for body, _ in digests._held.values()) == digests._size <= 3_000


def test_a_body_that_fills_the_room_is_not_held():
    digests = RecentDigests(room=100)

    assert digests.of(HEAD) == sha256(HEAD)
    assert digests._size == 0


def test_threads_get_the_digest_of_their_own_bytes():
    digests = RecentDigests(room=3_000)
    bodies = [HEAD + bytes([number % 7]) * 300 for number in range(400)]
    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(digests.of, bodies)] == [*map(sha256, bodies)]
    assert digests._size == sum(len(body) for body, _ in digests._held.values())
