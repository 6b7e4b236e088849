"""What every client meets in a replay that has no recording for its request."""

from __future__ import annotations

import json
from traceback import walk_tb

import pytest

import django_llmcache
from django_llmcache.recorder.misses import FixtureMiss
from tests.transports.loopback import whole

from .clients import Wish
from .test_clients import JSON, serving


def test_a_changed_prompt_is_a_miss_that_shows_the_words(lab, ask):
    def body(words: str) -> bytes:
        return json.dumps({"model": "m", "messages": [{"role": "user", "content": words}]}).encode()

    with serving(lab, whole(JSON)) as server:
        wish = Wish(f"{server.url}/v1/chat/completions", body=body("Capital of France, please"))
        with lab.recording():
            ask(wish)
        with pytest.raises(FixtureMiss) as caught, lab.replaying() as session:
            ask(wish._replace(body=body("Capital of Spain, please")))
        asked = len(server.requests)

    (path,) = lab.folder.rglob("*.json")
    assert "messages[0].content:\n      Capital of [-France,-] {+Spain,+} please" in str(caught.value)
    assert str(path) in str(caught.value)
    assert session.counts == {"missed": 1}
    assert asked == 1


def test_what_is_not_recorded_is_a_miss_and_nothing_is_asked(lab, ask):
    with serving(lab, whole(JSON)) as server, pytest.raises(FixtureMiss), lab.replaying():
        ask(Wish(f"{server.url}/v1/chat/completions"))

    assert server.connections == 0


def test_no_frame_of_ours_in_its_traceback_shows_a_secret(lab, ask):
    headers = {"authorization": "Bearer of-my-own-make", "content-type": "application/json"}
    with serving(lab, whole(JSON)) as server, pytest.raises(FixtureMiss) as caught, lab.replaying():
        ask(Wish(f"{server.url}/v1/chat/completions", body=b'{"api_key": "of-my-own-make"}', headers=headers))

    [package] = django_llmcache.__path__
    frames = [frame for frame, _ in walk_tb(caught.tb) if frame.f_code.co_filename.startswith(package)]
    values = {(frame.f_code.co_name, name): repr(value) for frame in frames for name, value in frame.f_locals.items()}
    assert len(frames) >= 3
    assert {place for place, shown in values.items() if "of-my-own-make" in shown} == set()
