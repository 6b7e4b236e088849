from __future__ import annotations

import json

import pytest

from django_llmcache.contrib.demo.standin import HangUp, Reply

from .browser import KEY, SYNC, ask, badge, both_views, get, text


@both_views
@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Reply(401, b'{"error": {"message": "bad key"}}'), "The provider refused the API key."),
        (Reply(404, b'{"error": {"message": "no such model"}}'), "The provider refused the request."),
        (Reply(429, b'{"error": {"message": "slow down"}}'), "The provider asks for patience."),
        (Reply(503, b"oops"), "The provider has trouble of its own."),
        (Reply(200, b"<html>"), "The provider answered with something that is no chat answer."),
        (HangUp(), "The connection to the provider failed or broke."),
    ],
    ids=["401", "404", "429", "503", "html", "hang-up"],
)
def test_a_failure_of_the_provider_is_shown_and_not_stored(with_key, provider, url, step, message):
    provider.script(step)

    failed = ask(url, "Test")

    assert (failed.status_code, badge(failed)) == (502, "not stored")
    assert message in text(failed)
    assert badge(ask(url, "Test")).startswith("live")


@pytest.mark.parametrize(("debug", "shown"), [(True, True), (False, False)])
def test_the_providers_own_words_are_for_developers(with_key, provider, debug, shown):
    with_key.DEBUG = debug
    provider.script(Reply(404, b'{"error": {"message": "The model m does not exist"}}'))

    assert ("The model m does not exist" in text(ask(SYNC, "Test"))) is shown


def test_the_key_is_in_no_page(with_key, provider):
    with_key.DEBUG = True
    echo = Reply(401, json.dumps({"error": {"message": f"Incorrect API key: {KEY}"}}).encode())
    answered = ask(SYNC, "Test")
    provider.script(echo)

    pages = [get(SYNC), answered, ask(SYNC, "Test"), ask(SYNC, "Who am I?")]

    assert provider.requests[0]["headers"]["authorization"] == f"Bearer {KEY}"
    assert not [page for page in pages if KEY in page.content.decode()]
