"""What goes wrong on purpose, in each client's own words."""

from __future__ import annotations

import pytest

from django_llmcache.recorder.faults import Fault
from tests.transports.loopback import Loopback, whole

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


def test_a_time_out_shorter_than_a_slow_answer_is_noticed_without_waiting(lab, ask):
    with Loopback(whole(b"{}")) as server:
        lab.knows(server.url)
        wish = Wish(f"{server.url}/v1/chat/completions")
        with lab.recording():
            ask(wish)

    with lab.replaying(fault=Fault.parse("slow(ttft=3)")):
        hasty, patient = ask(wish._replace(timeout=2)), ask(wish._replace(timeout=4))

    assert (hasty.error, patient.error) == ("timeout", "")
