"""What a hook of a client's own raises: told to those who ask with its credential through its hooks, by one call."""

from __future__ import annotations

import httpx2
import pytest

from django_llmcache.transports import cached_client
from tests.test_errorcopy import PickyError

from .loopback import LONG
from .test_shared_calls import BODY, FAILURES, Turns, asking, asking_on_a_loop


class PolicyError(Exception):
    """What a project's own hook raises."""

    def __init__(self, *, response):
        super().__init__("against our policy")
        self.response = response
        self.request = response.request


def refuses(response, *args, **options):
    response.close()  # requests would leave it open
    raise PolicyError(response=response)


def breaks(response, *args, **options):
    response.close()
    raise ValueError("no such field")


async def arefuses(response):
    raise PolicyError(response=response)


@pytest.mark.parametrize("hook", [refuses, breaks])
@pytest.mark.parametrize("library", FAILURES)
def test_all_who_share_the_call_are_told_and_nobody_asks_again(library, hook):
    turns = Turns("200 OK", others=4)
    ask = asking("sk-one", library, hook)

    errors = turns.of(ask, ask)

    assert {(type(error), str(error)) for error in errors} == {(type(errors[0]), str(errors[0]))}
    assert isinstance(errors[0], PolicyError | ValueError)
    assert len({id(error) for error in errors}) == 5
    assert turns.calls == 1


def test_on_an_event_loop_too():
    turns = Turns("200 OK", others=4)
    ask = asking_on_a_loop("sk-one", arefuses)

    assert [type(error) for error in turns.of(ask, ask)] == [PolicyError] * 5
    assert turns.calls == 1


def test_the_request_in_it_is_that_of_its_own_caller():
    def asks(trace):
        def ask(base_url):
            headers = {"authorization": "Bearer sk-one", "x-trace": trace}
            with cached_client(event_hooks={"response": [refuses]}) as made:
                return made.post(f"{base_url}/chat/completions", content=BODY, headers=headers, timeout=LONG)

        return ask

    errors = Turns("200 OK").of(asks("one"), asks("two"))

    assert [error.request.headers["x-trace"] for error in errors] == ["one", "two"]
    assert [error.response.request.headers["x-trace"] for error in errors] == ["one", "two"]


def test_nobody_with_another_credential_is_told():
    error, status = Turns("200 OK").of(asking("sk-one", hook=refuses), asking("sk-two"))

    assert isinstance(error, PolicyError)
    assert status == 200


def test_of_what_there_is_no_second_one_nobody_else_is_told():
    only = PickyError("the one")

    def raises_it(response):
        raise only

    turns = Turns("200 OK")
    ask = asking("sk-one", hook=raises_it)

    assert turns.of(ask, ask) == [only, only]
    assert turns.calls == 2


def test_an_interrupt_is_its_own_callers_alone():
    raised = []

    def interrupts_once(response: httpx2.Response):
        if not raised:
            raised.append(response)
            raise KeyboardInterrupt

    turns = Turns("200 OK")
    ask = asking("sk-one", hook=interrupts_once)

    interrupted, status = turns.of(ask, ask)

    assert isinstance(interrupted, KeyboardInterrupt)
    assert status == 200
