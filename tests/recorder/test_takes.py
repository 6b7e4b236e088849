"""Which recording of a request is replayed, of which age, and when none is."""

from __future__ import annotations

import pytest

from django_llmcache.recorder.fixture import FixtureError
from django_llmcache.recorder.takes import choose, takes

from .made import NOON, answered, fixture

DAY = 86_400.0


def recorded(take: str, *, day: float = 0, status: int = 200, **fields):
    truncated = fields.pop("truncated", False)
    response = answered(b"{}", status=status, truncated=truncated, unread=fields.pop("unread", False))
    return fixture(take=take, recorded_at=NOON + day * DAY, response=response, **fields)


def chosen(*fixtures, fallback="latest_success", ttl=None, day=100.0, sample=0, test=""):
    choice = choose(fixtures, fallback=fallback, ttl=ttl, now=NOON + day * DAY, sample=sample, test=test)
    return choice.take.id if choice.take else None, choice.expired, choice.why


class TestTakes:
    def test_fixtures_of_one_session_are_one_take_in_the_order_of_the_calls(self):
        members = [recorded("a", sequence=number) for number in (2, 0, 1)]

        (take,) = takes(members)

        assert [one.sequence for one in take.fixtures] == [0, 1, 2]

    def test_calls_that_ran_at_once_keep_their_order_whichever_was_answered_first(self):
        members = [recorded("a", day=1, sequence=0), recorded("a", day=0, sequence=1)]

        (take,) = takes(members)

        assert take.fixtures == tuple(members)

    def test_two_of_one_place_are_in_the_order_of_their_recording_and_then_of_their_files(self):
        members = [recorded("a", day=1), recorded("a", file="2"), recorded("a", file="1")]

        (take,) = takes(members)

        assert take.fixtures == (members[2], members[1], members[0])

    def test_a_copy_of_a_file_counts_once(self):
        members = [recorded("a", file="1"), recorded("a", file="1 (copy)"), recorded("a", sequence=1, file="2")]

        choice = choose(members, fallback="latest_success", ttl=None, now=NOON)

        assert choice.take.fixtures == (members[0], members[2])

    def test_two_files_that_differ_and_are_the_same_answer_of_a_take_are_told(self):
        members = [recorded("a", file="one.json"), recorded("a", file="other.json", truncated=True)]

        with pytest.raises(FixtureError, match=r"other\.json: sequence: it is 0, as in one\.json; keep one of them"):
            choose(members, fallback="latest_success", ttl=None, now=NOON)

    def test_takes_are_sorted_by_age(self):
        found = takes([recorded("newest", day=3), recorded("oldest", day=1), recorded("between", day=2)])

        assert [take.id for take in found] == ["oldest", "between", "newest"]

    def test_takes_of_one_moment_are_sorted_by_name(self):
        assert [take.id for take in takes([recorded("b"), recorded("a")])] == ["a", "b"]

    def test_a_take_is_as_old_as_its_first_answer(self):
        (take,) = takes([recorded("a", day=2, sequence=1), recorded("a", day=1, sequence=0)])

        assert take.recorded_at == NOON + DAY

    @pytest.mark.parametrize(
        ("fields", "ok"),
        [
            ({}, True), ({"status": 204}, True), ({"unread": True}, True), ({"status": 199}, False),
            ({"status": 302}, True), ({"status": 429}, False), ({"status": 500}, False), ({"truncated": True}, False),
        ],
    )  # fmt: skip
    def test_a_take_is_a_success_when_every_answer_is(self, fields, ok):
        (take,) = takes([recorded("a"), recorded("a", sequence=1, **fields)])

        assert take.ok is ok


class TestChoice:
    @pytest.mark.parametrize("fallback", ["latest_success", "latest_any", "error"])
    def test_nothing_recorded_is_nothing_to_replay(self, fallback):
        assert chosen(fallback=fallback) == (None, False, "none")

    @pytest.mark.parametrize("fallback", ["latest_success", "latest_any", "error"])
    def test_the_newest_success_is_replayed(self, fallback):
        assert chosen(recorded("new", day=2), recorded("old", day=1), fallback=fallback) == ("new", False, "")

    @pytest.mark.parametrize(
        ("fallback", "choice"),
        [
            ("latest_success", ("old", False, "")),
            ("latest_any", ("new", False, "")),
            ("error", (None, False, "failing")),
        ],
    )
    def test_a_newer_failure(self, fallback, choice):
        assert chosen(recorded("old", day=1), recorded("new", day=2, status=500), fallback=fallback) == choice

    @pytest.mark.parametrize(
        ("fallback", "choice"),
        [
            ("latest_success", ("new", False, "")),
            ("latest_any", ("new", False, "")),
            ("error", (None, False, "failing")),
        ],
    )
    def test_nothing_but_failures_that_a_test_asked_to_record(self, fallback, choice):
        failures = [recorded("old", day=1, status=500), recorded("new", day=2, status=429)]

        assert chosen(*failures, fallback=fallback) == choice

    def test_one_failed_call_makes_the_whole_take_a_failure(self):
        retried = [recorded("new", day=2, status=429), recorded("new", day=2, sequence=1)]

        assert chosen(recorded("old", day=1), *retried)[0] == "old"
        assert chosen(*retried)[0] == "new"

    @pytest.mark.parametrize(
        ("fallback", "choice"),
        [
            ("latest_success", ("a", True, "")), ("latest_any", ("a", True, "")), ("error", (None, True, "expired")),
        ],
    )  # fmt: skip
    def test_an_expired_take(self, fallback, choice):
        assert chosen(recorded("a"), fallback=fallback, ttl=DAY) == choice

    def test_one_that_expired_and_failed_is_told_as_failing(self):
        assert chosen(recorded("a", status=500), fallback="error", ttl=DAY) == (None, True, "failing")

    @pytest.mark.parametrize(
        ("ttl", "day", "expired"),
        [(DAY, 0.99, False), (DAY, 1, True), (0, 0, True), (None, 1e6, False), (DAY, -5, False)],
    )
    def test_age_counts_from_the_recording(self, ttl, day, expired):
        assert chosen(recorded("a"), ttl=ttl, day=day)[1] is expired

    def test_no_replay_makes_a_take_younger(self):
        one = recorded("a")

        assert [chosen(one, ttl=DAY, day=day)[1] for day in (0.5, 0.9, 1.5)] == [False, False, True]

    def test_an_older_success_is_replayed_even_where_it_expired(self):
        takes = [recorded("old", day=0), recorded("new", day=9, status=500)]

        assert chosen(*takes, ttl=5 * DAY, day=10) == ("old", True, "")

    def test_samples_are_apart(self):
        samples = [recorded(f"take {number}", sample=number) for number in range(3)]

        assert [chosen(*samples, sample=number)[0] for number in range(4)] == ["take 0", "take 1", "take 2", None]


class TestWhose:
    """Two tests may ask the same, one of them more often than the other."""

    def test_a_test_gets_what_it_recorded_itself_whatever_another_has_recorded_since(self):
        both = [recorded("mine", day=1, tests=("tests.a",)), recorded("another's", day=2, tests=("tests.b",))]

        assert chosen(*both, test="tests.a")[0] == "mine"
        assert chosen(*both, test="tests.b")[0] == "another's"

    def test_of_its_own_it_gets_the_newest(self):
        own = [recorded("old", day=1, tests=("tests.a",)), recorded("new", day=2, tests=("tests.a",))]

        assert chosen(*own, recorded("newest", day=3, tests=("tests.b",)), test="tests.a")[0] == "new"

    @pytest.mark.parametrize(
        ("recorded_as", "asked_as"),
        [
            ("tests/test_a.py::test_one", "tests/test_a.py::test_one@group"),
            ("tests/test_a.py::test_one[a@b]@group <2>", "tests/test_a.py::test_one[a@b] <2>"),
            ("backend/app/tests.py::A::test_one", "app.tests.A.test_one"),
            ("app.tests.A.test_one", "backend/app/tests.py::A::test_one"),
        ],
    )
    def test_its_own_is_its_own_in_a_group_of_xdist_s_and_from_another_folder_too(self, recorded_as, asked_as):
        both = [recorded("mine", day=1, tests=(recorded_as,)), recorded("another's", day=2, tests=("tests.b",))]

        assert chosen(*both, test=asked_as)[0] == "mine"

    def test_one_of_the_same_folder_goes_before_one_that_is_seen_from_another(self):
        both = [recorded("mine", day=1, tests=("app.tests.a",)), recorded("its", day=2, tests=("other.app.tests.a",))]

        assert chosen(*both, test="app.tests.a")[0] == "mine"

    def test_one_that_has_recorded_none_gets_the_newest_of_all(self):
        both = [recorded("old", day=1, tests=("tests.a",)), recorded("new", day=2, tests=("tests.b",))]

        assert chosen(*both, test="tests.c")[0] == "new"

    def test_an_error_that_it_asked_to_record_is_its_own_too(self):
        both = [recorded("mine", status=429, tests=("tests.a",)), recorded("another's", day=1, tests=("tests.b",))]

        assert chosen(*both, test="tests.a")[0] == "mine"

    @pytest.mark.parametrize(
        "named_by_pytest",
        ["tests/test_faq.py::FaqTests::test_answers", "tests/test_faq.py::FaqTests::test_answers[a/b]"],
    )
    def test_it_is_the_same_test_under_either_runner(self, named_by_pytest):
        both = [recorded("mine", tests=(named_by_pytest,)), recorded("another's", day=1, tests=("tests.b",))]
        dotted = "tests.test_faq.FaqTests.test_answers"

        assert chosen(*both, test=named_by_pytest)[0] == "mine"
        assert chosen(*both, test=dotted)[0] == ("another's" if "[" in named_by_pytest else "mine")
