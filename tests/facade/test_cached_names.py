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


TOOLS = {}


def tool(name):
    def register(function):
        TOOLS[name] = function
        return function

    return register


@tool("sum")
@cached
def _(text):
    return f"sum of {text}"


@tool("title")
@cached
def _(text):
    return f"title of {text}"


def test_functions_of_one_name_in_a_module_have_answers_of_their_own():
    assert [TOOLS[name]("a") for name in ("sum", "title", "sum")] == ["sum of a", "title of a", "sum of a"]


@pytest.mark.parametrize("line", [1, 7], ids=["same-line", "another-line"])
def test_a_function_that_is_defined_anew_has_answers_of_its_own(line):
    """As at a shell's prompt."""
    answers = []
    for number, word in enumerate(("one", "two", "three")):
        names = {"cached": cached, "__name__": "shell"}
        code = "\n" * (line - 1) * number + f"@cached\ndef told(number):\n    return {word!r}"
        exec(compile(code, "<stdin>", "exec"), names)
        answers.append(names["told"](1))

    assert answers == ["one", "two", "three"]


def test_a_module_that_is_loaded_once_more_finds_its_answers():
    asked = []
    for _ in range(2):
        names = {"cached": cached, "__name__": "module", "asked": asked}
        exec(compile("@cached\ndef told(number):\n    asked.append(number)\n    return 'one'", "m.py", "exec"), names)
        names["told"](1)

    assert asked == [1]


def test_programs_have_answers_of_their_own():
    answers = []
    for name in ("first.py", "second.py"):
        names = {"cached": cached, "__name__": "__main__", "name": name}
        exec(compile("@cached\ndef told(number):\n    return name", name, "exec"), names)
        answers.append(names["told"](1))

    assert answers == ["first.py", "second.py"]


def test_a_function_that_uses_itself_is_cached():
    asked = []

    @cached
    def count(number):
        asked.append(number)
        return "." if number == 0 else "." + count(number - 1)

    assert [count(2), count(2), asked] == ["...", "...", [2, 1, 0]]
