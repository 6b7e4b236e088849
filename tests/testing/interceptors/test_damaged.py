"""A recording that can't be read fails the test by the name of file and field, whoever catches the error."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from django_llmcache.recorder.misses import FixtureDamaged, FixtureMiss
from django_llmcache.signals import test_cache_error as cache_error
from django_llmcache.testing import live_api, override_llmcache
from tests.transports.loopback import LONG, Loopback, whole

from .clients import Wish


@pytest.fixture
def wish(lab) -> Wish:
    """Return a request that was recorded, and whose fixture somebody has edited into nonsense."""
    with Loopback(whole(b"{}")) as server:
        lab.knows(server.url)
        wish = Wish(f"{server.url}/v1/chat/completions")
        with lab.recording():
            requests.post(wish.url, data=wish.body, headers=wish.headers, timeout=LONG)
    damage(lab.folder)
    return wish


def damage(folder: Path) -> Path:
    (path,) = folder.rglob("*.json")
    path.write_text(path.read_text(encoding="utf-8").replace('"status": 200', '"status": "fine"'), encoding="utf-8")
    return path


@pytest.mark.parametrize("mode", ["replaying", "recording"])
def test_it_gets_through_every_client_and_names_file_and_field(lab, ask, wish, mode):
    (path,) = lab.folder.rglob("*.json")
    with pytest.raises(FixtureDamaged, match=r"response\.status") as caught, getattr(lab, mode)():
        ask(wish)

    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (lambda data: data["response"]["headers"].insert(0, ["content-encoding", "gzip"]), r"response\.headers\[0\]"),
        (lambda data: data.update(key_format=2), "key_format"),
    ],
    ids=["an encoding", "a newer key"],
)
def test_what_its_client_takes_or_blames_on_the_network_is_told_of_the_file(lab, wish, edit, field):
    path = damage(lab.folder)
    data = json.loads(path.read_text(encoding="utf-8"))
    data["response"]["status"] = 200
    edit(data)
    path.write_text(json.dumps(data), encoding="utf-8")

    with pytest.raises(FixtureDamaged, match=rf"{path.name}: {field}: "), lab.replaying():
        requests.post(wish.url, data=wish.body, headers=wish.headers, timeout=LONG)


def test_one_that_somebody_caught_is_noted_on_the_session(lab, wish):
    with lab.replaying() as session, pytest.raises(FixtureMiss):
        requests.post(wish.url, data=wish.body, headers=wish.headers, timeout=LONG)

    (noted,) = session.misses
    assert "response.status" in str(noted)
    assert session.counts == {"missed": 1}


def test_the_signal_is_sent_and_the_test_fails_at_its_end(tmp_path, provider):
    told = []

    def hear(sender, **details):
        told.append(details)

    def ask():
        return requests.post(f"{provider.url}/v1/chat/completions", json={"model": "m", "messages": []}, timeout=LONG)

    cache_error.connect(hear)
    host = provider.url.removeprefix("http://")
    with override_llmcache(TEST_CACHE={"ENABLED": True, "DIR": tmp_path, "HOSTS": [host]}):
        with live_api(mode="once"):
            ask()
        path = damage(tmp_path)
        with pytest.raises(FixtureDamaged, match=r"response\.status"), live_api(mode="replay"), suppress(BaseException):
            ask()
    cache_error.disconnect(hear)

    (details,) = told
    assert str(path) in details["error"]
    assert len(details["key"]) == 64
