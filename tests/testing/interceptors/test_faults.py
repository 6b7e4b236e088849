"""What goes wrong on purpose, in each client's own words."""

from __future__ import annotations

import pytest

from django_llmcache.recorder.faults import Fault
from tests.transports.loopback import Loopback, chunk, chunked_head, whole

from .clients import Wish


@pytest.mark.parametrize("failure", ["timeout", "refused"])
def test_a_fault_is_raised_as_the_clients_own_error(lab, ask, failure):
    lab.knows("http://127.0.0.1:9")
    with lab.replaying(fault=Fault.parse(failure)):
        seen = ask(Wish("http://127.0.0.1:9/v1/chat/completions"))

    assert seen.error == failure


def test_an_error_made_for_a_test_has_the_standard_words(lab, ask):
    lab.knows("http://127.0.0.1:9")
    with lab.replaying(fault=Fault.parse("429")):
        seen = ask(Wish("http://127.0.0.1:9/v1/chat/completions"))

    assert (seen.status, seen.reason) == (429, "Too Many Requests")


def test_a_status_that_no_standard_knows_has_no_words(lab, ask):
    lab.knows("http://127.0.0.1:9")
    with lab.replaying(fault=Fault.parse("499")):
        seen = ask(Wish("http://127.0.0.1:9/v1/chat/completions"))

    assert (seen.status, seen.reason) == (499, "")


EVENTS = tuple(b'data: {"n": %d}\n\n' % number for number in range(4))
STREAM = chunked_head("text/event-stream") + b"".join(map(chunk, EVENTS)) + b"0\r\n\r\n"


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("server", [[STREAM]], indirect=True, ids=[""])
def test_a_cut_that_is_not_recorded_yet_is_the_same_as_of_the_recording(lab, server, ask, streamed):
    wish, cut = Wish(f"{server.url}/v1/chat/completions", streamed=streamed), Fault.parse("cut@2")
    with lab.recording(fault=cut):
        recorded = ask(wish)
    with lab.replaying(fault=cut):
        replayed = ask(wish)

    assert recorded == replayed
    assert recorded.error == "dropped"
    assert (b"".join(EVENTS[:2]) if streamed else b"") == recorded.body


@pytest.mark.parametrize("server", [[STREAM]], indirect=True, ids=[""])
def test_what_it_is_cut_from_is_recorded_whole(lab, server, ask):
    wish = Wish(f"{server.url}/v1/chat/completions")
    with lab.recording(fault=Fault.parse("cut@2")):
        ask(wish)
    with lab.replaying():
        seen = ask(wish)

    assert (seen.body, seen.error) == (b"".join(EVENTS), "")


def test_the_first_slow_answer_is_a_time_out_too(lab, server, ask):
    with lab.recording(fault=Fault.parse("slow(ttft=30)")):
        seen = ask(Wish(f"{server.url}/v1/chat/completions"))

    assert seen.error == "timeout"


@pytest.mark.parametrize("server", [[whole(b"{}", status="401 Unauthorized")]], indirect=True, ids=[""])
def test_an_error_of_the_providers_own_is_given_as_it_is(lab, server, ask):
    with lab.recording(fault=Fault.parse("cut@1"), record_errors=False):
        seen = ask(Wish(f"{server.url}/v1/chat/completions"))

    assert (seen.status, seen.body, seen.error) == (401, b"{}", "")


def test_a_time_out_shorter_than_a_slow_answer_is_noticed_without_waiting(lab, ask):
    with Loopback(whole(b"{}")) as server:
        lab.knows(server.url)
        wish = Wish(f"{server.url}/v1/chat/completions")
        with lab.recording():
            ask(wish)

    with lab.replaying(fault=Fault.parse("slow(ttft=3)")):
        hasty, patient = ask(wish._replace(timeout=2)), ask(wish._replace(timeout=4))

    assert (hasty.error, patient.error) == ("timeout", "")
