"""The retries of ``requests``' adapters: each try is an exchange of its own, and a replay waits for none of them."""

from __future__ import annotations

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from django_llmcache.recorder.faults import Fault
from tests.transports.loopback import LONG, Loopback, whole

BUSY = whole(b'{"error": {}}', status="429 Too Many Requests", headers=("retry-after: 3",))
FINE = whole(b'{"id": "x-1"}')


class Patient(Retry):
    """Notes how long it would have waited."""

    waited: list[float] = []

    def sleep(self, response=None) -> None:
        self.waited.append(self.get_retry_after(response) or self.get_backoff_time())


def patient(**options) -> Patient:
    return Patient(status_forcelist=(429,), allowed_methods=None, **options)


@pytest.fixture
def waited(monkeypatch):
    """Return the seconds that would have been waited for between two tries."""
    monkeypatch.setattr(Patient, "waited", [])
    return Patient.waited


def answers(*steps):
    return pytest.mark.parametrize("server", [steps], indirect=True, ids=[""])


def retrying(retries: Retry) -> requests.Session:
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=retries))
    return session


def post(session: requests.Session, server: Loopback) -> requests.Response:
    return session.post(f"{server.url}/v1/chat/completions", json={"model": "m"}, timeout=LONG)


@answers(BUSY, BUSY, FINE)
def test_each_try_of_an_adapter_is_recorded_and_replayed_without_waiting(lab, server, waited):
    with lab.recording() as first, retrying(patient(total=3)) as session:
        recorded = post(session, server)
    waited_live = waited.copy()
    waited.clear()

    with lab.replaying() as second, retrying(patient(total=3)) as session:
        replayed = post(session, server)

    assert recorded.status_code == replayed.status_code == 200
    assert len(server.requests) == first.counts["recorded"] == second.counts["replayed"] == 3
    assert (waited_live, waited) == ([3, 3], [])


@answers(BUSY)
@pytest.mark.parametrize("recorded", [True, False])
def test_an_adapter_tries_as_often_as_it_says_and_gives_up(lab, server, waited, recorded):
    with lab.recording() if recorded else lab.live(), retrying(patient(total=2, raise_on_status=False)) as session:
        answer = post(session, server)

    assert answer.status_code == 429
    assert len(server.requests) == 3


@answers(BUSY)
def test_an_adapter_that_gives_up_leaves_its_connection_free(lab, server, waited):
    with lab.recording(), retrying(patient(total=2)) as session:
        for _ in range(2):
            with pytest.raises(requests.exceptions.RetryError):
                post(session, server)

    assert server.connections == 1


@answers(FINE)
def test_a_fault_that_an_adapter_gets_over_is_got_over(lab, server, waited):
    with lab.recording(), requests.Session() as session:
        post(session, server)

    for fault in ("refusedx2", "timeoutx2", "429x2"):
        with lab.replaying(fault=Fault.parse(fault)), retrying(patient(total=2)) as session:
            assert post(session, server).json() == {"id": "x-1"}
    assert len(server.requests) == 1


@answers(FINE)
def test_a_fault_that_lasts_longer_than_an_adapter_tries_is_its_own_error(lab, server, waited):
    timed_out = pytest.raises(requests.ConnectionError, match="timed out")
    with lab.replaying(fault=Fault.parse("timeout")), retrying(patient(total=2)) as session, timed_out:
        post(session, server)
