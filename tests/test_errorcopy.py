"""An error for each who is to be told the same one: like it in all that can be asked of it, and another object."""

from __future__ import annotations

import copy

import pytest

from django_llmcache.errorcopy import fresh


class StrictError(Exception):
    """An error that can't be made of its ``args``, as some SDKs have them."""

    def __init__(self, *, response):
        super().__init__("refused")
        self.response = response


class WordyError(OSError):
    """An error that makes its text of what it is given: made of that text, it would say it twice."""

    def __init__(self, code):
        super().__init__(f"code {code}")


class SlottedError(Exception):
    """An error whose fields are no variables of an instance."""

    __slots__ = ("__hidden", "code")

    def __init__(self, code):
        super().__init__("slotted")
        self.code = self.__hidden = code

    @property
    def hidden(self):
        return self.__hidden


class PickyError(Exception):
    """An error of which there is one alone."""

    def __new__(cls, token=None):
        if token is None:
            raise TypeError("give a token")
        made = super().__new__(cls)
        made.args = ()
        return made

    def __init__(self, token):
        self.token = token


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a", 1), OSError(2, "gone", "file"), UnicodeDecodeError("utf-8", b"x", 0, 1, "why"),
        ExceptionGroup("both", [ValueError("a")]), StrictError(response="body"), WordyError(5),
    ],
    ids=["plain", "os", "unicode", "group", "strict", "wordy"],
)  # fmt: skip
def test_an_error_is_one_like_it(error):
    error.add_note("a note")

    other = fresh(error)

    assert other is not error
    assert type(other) is type(error)
    assert (str(other), other.args, vars(other)) == (str(error), error.args, vars(error))


def test_what_it_keeps_in_slots_is_kept():
    other = fresh(SlottedError(7))

    assert (str(other), other.code, other.hidden) == ("slotted", 7, 7)


def test_its_cause_is_kept():
    cause = KeyError("k")
    error = ValueError("v")
    error.__cause__ = cause

    other = fresh(error)

    assert (type(other.__cause__), str(other.__cause__)) == (KeyError, str(cause))
    assert other.__cause__ is not cause
    assert other.__suppress_context__


def test_a_note_to_one_is_none_to_the_other():
    error = ValueError("v")
    error.add_note("to both")

    fresh(error).add_note("to one")

    assert error.__notes__ == ["to both"]


def test_it_has_no_traceback_of_the_others():
    with pytest.raises(ValueError, match="no") as caught:
        int("no")

    assert fresh(caught.value).__traceback__ is None


def test_one_that_can_not_be_made_twice_is_told_as_it_is():
    error = PickyError("t")
    with pytest.raises(TypeError):
        copy.copy(error)

    assert fresh(error) is error
