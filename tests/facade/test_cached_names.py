"""@cached: two functions that may answer otherwise share no answer, whatever they are called."""

from __future__ import annotations

from functools import partial, update_wrapper, wraps

import pytest

from django_llmcache import cached, policy


def plain(number):
    return "one"


def loud(function):
    @wraps(function)
    def inner(number):
        return function(number).upper()

    return inner


def with_suffix(suffix):
    def decorate(function):
        @wraps(function)
        def inner(number):
            return function(number) + suffix

        return inner

    return decorate


def with_default(suffix):
    def decorate(function):
        @wraps(function)
        def inner(number, suffix=suffix):
            return function(number) + suffix

        return inner

    return decorate


def with_keyword(suffix):
    return update_wrapper(partial(with_tone, tone=suffix), with_tone)


def with_tone(number, tone=""):
    return f"one{tone}"


class Teller:
    def __init__(self, suffix):
        self.suffix = suffix

    def tell(self, number):
        return f"one{self.suffix}"


@pytest.mark.parametrize(
    "make",
    [
        lambda suffix: with_suffix(suffix)(plain),
        lambda suffix: with_default(suffix)(plain),
        lambda suffix: policy(tags=[suffix])(with_suffix(suffix)(plain)),
        lambda suffix: Teller(suffix).tell,
        with_keyword,
    ],
    ids=["closure", "default", "two-decorators", "bound-method", "partial"],
)
def test_what_a_function_holds_besides_its_arguments_tells_it_from_others(make):
    answers = [cached(make(suffix))(1) for suffix in ("?", "!")]

    assert answers == ["one?", "one!"]


def test_a_decorator_tells_a_function_from_the_bare_one():
    assert [cached(plain)(1), cached(loud(plain))(1)] == ["one", "ONE"]


def test_functions_of_one_name_in_one_function_have_answers_of_their_own():
    def make(polite):
        if polite:

            @cached
            def greet(number):
                return "Good morning"

        else:

            @cached
            def greet(number):
                return "Hi"

        return greet

    assert [make(True)(1), make(False)(1)] == ["Good morning", "Hi"]


def test_a_function_that_uses_itself_is_cached():
    asked = []

    @cached
    def count(number):
        asked.append(number)
        return "." if number == 0 else "." + count(number - 1)

    assert [count(2), count(2), asked] == ["...", "...", [2, 1, 0]]
