"""@cached: keep what a function of one's own answers."""

from __future__ import annotations

import asyncio
import struct
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum
from functools import partial, wraps
from io import BytesIO
from types import SimpleNamespace
from unittest.mock import Mock
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe

from django_llmcache import LLMResponse, cache, cached, policy
from django_llmcache.exceptions import ConfigurationError
from tests.pipeline.world import ask as ask_provider

MESSAGES = [{"role": "user", "content": "Hi"}]
asked: list[object] = []


@pytest.fixture(autouse=True)
def nobody_asked():
    asked.clear()


@cached
def answer(messages, *, tone="kind"):
    """Answer."""
    asked.append(messages)
    return f"{tone} answer to {messages[-1]['content']}"


@cached(ttl=60, tags=["faq"])
async def aanswer(messages):
    asked.append(messages)
    return f"answer to {messages[-1]['content']}"


def test_a_function_is_asked_once():
    assert answer(MESSAGES) == answer(MESSAGES) == "kind answer to Hi"
    assert len(asked) == 1


def test_an_async_function_is_asked_once():
    async def twice():
        return await aanswer(MESSAGES), await aanswer(MESSAGES)

    assert asyncio.run(twice()) == ("answer to Hi", "answer to Hi")
    assert len(asked) == 1


def test_every_argument_counts_however_it_is_given():
    answer(MESSAGES, tone="kind")
    answer(messages=MESSAGES)
    assert len(asked) == 1

    answer(MESSAGES, tone="stern")
    answer([{"role": "user", "content": "Ho"}])
    assert len(asked) == 3


class Tone(Enum):
    KIND = "kind"


class Mood(Enum):
    KIND = "kind"


class Size(IntEnum):
    SMALL = 1


ALIKE_IN_JSON = {
    "tuple": ((1,), [1]),
    "tuple-inside": ({"a": [(1, 2)]}, {"a": [[1, 2]]}),
    "empty-tuple": ((), []),
    "enum": (Tone.KIND, "kind"),
    "two-enums": (Tone.KIND, Mood.KIND),
    "int-enum": ({"size": Size.SMALL}, {"size": 1}),
    "uuid": (UUID(int=1), str(UUID(int=1))),
    "list-of-uuids": ([UUID(int=1), "x"], [str(UUID(int=1)), "x"]),
    "safe-text": (mark_safe("<b>"), "<b>"),
    "list-of-safe-texts": ([mark_safe("<b>")], ["<b>"]),
    "date": (date(2026, 1, 2), "datetime.date(2026, 1, 2)"),
    "date-and-midnight": (date(2026, 1, 2), datetime(2026, 1, 2)),
    "time": ([time(12)], [time(12, fold=1)]),
    "two-zones": (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=ZoneInfo("Europe/London"))),
    "timedelta": ({"within": timedelta(seconds=60)}, {"within": 60}),
    "decimal": (Decimal("1.0"), Decimal("1.00")),
    "decimal-and-float": (({"price": Decimal(1)},), ({"price": 1},)),
    "what-tells-them-apart": ((1,), {"is": "builtins.tuple", "in": {}}),
}


@pytest.mark.parametrize(("one", "other"), ALIKE_IN_JSON.values(), ids=ALIKE_IN_JSON)
def test_what_python_tells_apart_and_json_does_not_are_different_arguments(one, other):
    @cached
    def describe(value):
        return repr(value)

    for value in (one, other, one, other):
        assert describe(value) == repr(value)
    assert cache.stats().hits == 2


class Offset(tzinfo):
    """One that is shown as the next one is: by an address in memory, which is free again."""

    def __init__(self, hours):
        self.hours = hours

    def utcoffset(self, moment):
        return timedelta(hours=self.hours)

    def __repr__(self):
        return "<Offset object at 0x7f>"


class Summer(ZoneInfo):
    pass


@pytest.mark.parametrize("kind", [partial(datetime, 2026, 1, 2), partial(time, 12)], ids=["datetime", "time"])
def test_times_in_zones_that_nothing_tells_apart_are_not_taken_for_each_other(events, kind):
    @cached
    def describe(moment):
        return str(moment.tzinfo.utcoffset(None))

    assert [describe(kind(tzinfo=Offset(hours))) for hours in (1, 2)] == ["1:00:00", "2:00:00"]
    assert cache.stats().bypassed == {"unencodable": 2}
    assert "Give it a time zone of datetime's or zoneinfo's own." in events.of("error")[0]["error"]


@pytest.mark.parametrize("zone", [None, UTC, timezone(timedelta(hours=1), "CET"), ZoneInfo("Europe/London")], ids=str)
def test_times_in_zones_of_pythons_own_are_arguments(zone):
    @cached
    def describe(moment, hour):
        return f"{moment} {hour}"

    for _ in range(2):
        describe(datetime(2026, 1, 2, tzinfo=zone), time(12, tzinfo=zone))

    assert cache.stats().hits == 1


def test_a_zone_without_a_name_and_one_of_another_class_are_no_arguments():
    nameless = ZoneInfo.from_file(BytesIO(struct.pack(">4s16x6l lBB 4s", b"TZif", 0, 0, 0, 0, 1, 4, 0, 0, 0, b"UTC")))

    @cached
    def describe(moment):
        return str(moment)

    for zone in (nameless, Summer("Europe/London")):
        describe(datetime(2026, 1, 2, tzinfo=zone))

    assert cache.stats().bypassed == {"unencodable": 2}


def test_nan_is_no_none():
    @cached
    def describe(value):
        return repr(value)

    for value in (None, float("nan"), float("inf"), [float("-inf")], [None], None):
        assert describe(value) == repr(value)
    assert cache.stats().hits == 1


def test_an_argument_that_goes_round_in_a_circle_goes_through():
    circle = []
    circle.append(circle)

    @cached
    def measure(value):
        return str(len(value))

    circle.append((1,))
    assert [measure(circle), measure(circle)] == ["2", "2"]
    assert cache.stats().bypassed == {"unencodable": 2}


def a_circle_with_two_ways():
    one, other = {"name": "one"}, {"name": "other"}
    one.update(next=other, previous=other)
    other.update(next=one, previous=one)
    return one


def test_a_circle_with_two_ways_is_gone_round_once():
    @cached
    def describe(node):
        return node["name"]

    assert describe(a_circle_with_two_ways()) == "one"
    assert cache.stats().bypassed == {"unencodable": 1}


def test_an_answer_that_is_a_circle_with_two_ways_is_an_error_at_once():
    with pytest.raises(RecursionError):
        cached(a_circle_with_two_ways)()


@pytest.mark.parametrize("inside", [[], [("tuple",)], [date(2026, 1, 2)]], ids=["plain", "with-a-tuple", "with-a-date"])
def test_an_answer_to_arguments_that_the_function_changed_is_not_stored(inside):
    @cached
    def consume(items):
        items.append("done")
        return "well"

    consume(list(inside))

    assert cache.stats().entries == 0


@pytest.mark.parametrize(
    "changes",
    [{"flag": True}, {"day": "datetime.date(2026, 1, 1)"}, {"items": (1,)}, {"flag": date(2026, 1, 2)}],
    ids=["true", "text", "tuple", "date"],
)
@pytest.mark.parametrize("beside", [{}, {"day": date(2026, 1, 1)}], ids=["plain", "beside-a-date"])
def test_a_change_that_python_does_not_see_or_json_does_not_say_is_one(beside, changes):
    @cached
    def answer(options):
        options.update(changes)
        return f"answer to {options}"

    answer({"flag": 1, "items": [1], **beside})

    assert cache.stats().entries == 0


class Vector:
    """What compares as NumPy's arrays do."""

    def __eq__(self, other):
        return self

    def __bool__(self):
        raise ValueError("The truth value of an array is ambiguous.")

    __hash__ = None


def test_arguments_that_cannot_be_compared_cost_no_answer():
    @cached
    def answer(options):
        options["vector"] = Vector()
        return "said"

    assert answer({"day": date(2026, 1, 1), "vector": Vector()}) == "said"
    assert cache.stats().bypassed == {"unencodable": 1}


def test_an_argument_that_is_ignored_keeps_no_answer_from_being_stored(configure):
    configure(IGNORE_FIELDS=["arguments.request"])

    @cached
    def answer(day, request):
        request.touched = True
        return "said"

    for _ in range(2):
        answer(date(2026, 1, 1), SimpleNamespace())

    assert cache.stats().hits == 1


def test_two_functions_with_the_same_arguments_have_answers_of_their_own():
    @cached
    def other(messages, *, tone="kind"):
        return "other"

    answer(MESSAGES)

    assert other(MESSAGES) == "other"


def test_functions_that_close_over_other_values_have_answers_of_their_own():
    def with_prompt(prompt):
        @cached
        def answer(messages):
            return prompt

        return answer

    assert [with_prompt(prompt)(MESSAGES) for prompt in ("first", "second")] == ["first", "second"]


def test_lambdas_have_answers_of_their_own():
    first, second = cached(lambda messages: "first"), cached(lambda messages: "second")

    assert (first(MESSAGES), second(MESSAGES)) == ("first", "second")


def test_a_decorator_below_it_changes_nothing():
    def plain(function):
        @wraps(function)
        def inner(*args):
            return function(*args)

        return inner

    assert cached(plain(module_level))(1) == cached(plain(module_level))(1) == "one"
    assert asked == [1]


def module_level(number):
    asked.append(number)
    return "one"


@pytest.mark.parametrize(
    "given",
    ["text", mark_safe("<b>text</b>"), {"intent": "greeting", "score": 0.9}, LLMResponse(b'{"found": true}')],
    ids=lambda given: type(given).__name__,
)
def test_the_answer_comes_back_as_the_type_it_was(given):
    @cached
    def classify(messages):
        return given

    live, stored = classify(MESSAGES), classify(MESSAGES)

    assert type(live) is type(stored) is type(given)
    if isinstance(given, LLMResponse):
        assert (live.body, stored.body, stored.from_cache) == (given.body, given.body, True)
    else:
        assert live == stored == given


@pytest.mark.parametrize("given", [42, None, b"bytes", ["list"]], ids=lambda given: type(given).__name__)
def test_another_type_is_an_error_that_names_the_function(given):
    @cached
    def broken(messages):
        return given

    with pytest.raises(TypeError, match=rf"broken.*\(\) returned a {type(given).__name__}"):
        broken(MESSAGES)


@pytest.mark.parametrize(
    "inside", [datetime(2026, 1, 2, tzinfo=UTC), UUID(int=1), Tone.KIND, Size.SMALL, Decimal(1), {1}], ids=repr
)
def test_a_mapping_that_json_would_change_is_an_error_that_names_the_type(inside):
    @cached
    def broken(messages):
        return {"found": [{"deep": inside}]}

    with pytest.raises(TypeError, match=rf"broken.*\(\) returned a mapping with a {type(inside).__name__} in it"):
        broken(MESSAGES)


@pytest.mark.parametrize("given", ["", {}, {"text": ""}], ids=repr)
def test_an_empty_answer_is_not_stored(given):
    @cached
    def silent(messages):
        asked.append(messages)
        return given

    assert [silent(MESSAGES), silent(MESSAGES)] == [given, given]
    assert len(asked) == 2


def test_a_text_that_no_json_can_say_comes_back_and_is_not_stored():
    @cached
    def cut(messages):
        asked.append(messages)
        return "half of an emoji: \ud83d"

    assert cut(MESSAGES) == cut(MESSAGES) == "half of an emoji: \ud83d"
    assert len(asked) == 2


def test_what_it_raises_comes_through_and_is_not_stored():
    @cached
    def fails_once(messages):
        asked.append(messages)
        if len(asked) == 1:
            raise LookupError("once")
        return "well"

    with pytest.raises(LookupError, match="once"):
        fails_once(MESSAGES)
    assert fails_once(MESSAGES) == "well"


def test_changing_an_answer_changes_no_other():
    @cached
    def classify(messages):
        return {"labels": ["a"]}

    classify(MESSAGES)["labels"].append("b")
    classify(MESSAGES)["labels"].append("c")

    assert classify(MESSAGES) == {"labels": ["a"]}


def test_its_options_are_those_of_a_policy():
    asyncio.run(aanswer(MESSAGES))

    assert cache.clear(tag="faq", provider="function") == 1


def test_a_block_around_it_counts_and_its_own_word_holds():
    @cached(scope="shop")
    def of_shop(messages):
        asked.append(messages)
        return "yes"

    with policy(scope="user:1"):
        answer(MESSAGES)
        of_shop(MESSAGES)
    answer(MESSAGES)
    of_shop(MESSAGES)

    assert len(asked) == 3


@pytest.mark.parametrize("wishes", [{"ttl": -1}, {"tags": "faq"}, {"scope": ""}], ids=str)
def test_an_option_that_cannot_work_is_an_error_at_the_definition(wishes):
    with pytest.raises(ConfigurationError):
        cached(**wishes)


def test_an_unknown_option_is_an_error_at_the_definition():
    with pytest.raises(TypeError, match=r"cached\(\) has no argument 'timeout'; did you mean 'ttl'\?"):
        cached(timeout=60)


def test_a_word_without_its_name_is_an_error_at_the_definition():
    with pytest.raises(TypeError, match=r"by name, and got 60: write @cached\(ttl=60\)"):
        cached(60)


def test_wrong_arguments_are_the_functions_own_error():
    with pytest.raises(TypeError, match="tnoe"):
        answer(MESSAGES, tnoe="kind")


class Bot:
    def __init__(self, prompt):
        self.prompt = prompt

    @cached
    def answer(self, messages):
        return f"{self.prompt}: {messages[-1]['content']}"

    @staticmethod
    @cached
    def static(messages):
        asked.append(messages)
        return "static"

    @cached
    async def aanswer(self, messages):
        return self.prompt


def test_a_method_is_never_answered_for_another_object(events):
    """An object has no JSON: its calls go through, and one event for each method says why they are not cached."""
    assert [Bot(prompt).answer(MESSAGES) for prompt in ("kind", "stern")] == ["kind: Hi", "stern: Hi"]
    assert asyncio.run(Bot("kind").aanswer(MESSAGES)) == "kind"
    assert events.names == ["error", "miss", "miss", "error", "miss"]
    assert cache.stats().bypassed == {"unencodable": 3}
    assert "Bot.answer() is not cached: its argument 'self'" in events.of("error")[0]["error"]
    assert "Decorate a static method" in events.of("error")[0]["error"]


@pytest.mark.parametrize(
    ("value", "kind", "cure"),
    [
        (User(pk=1), "User", "Pass given.pk and the text that is asked about."),
        ([{"who": User(pk=1)}], "User", "Pass texts, numbers, dates, lists and dicts."),
        ({1, 2}, "set", "Pass texts, numbers, dates, lists and dicts."),
        ({"score": float("nan")}, "NaN", "Pass texts"),
    ],
    ids=["model", "model-inside", "set", "nan"],
)
def test_an_argument_without_json_is_told_once_with_what_to_do(events, value, kind, cure):
    @cached
    def sum_up(text, given):
        return text

    assert [sum_up("x", value), sum_up("y", value)] == ["x", "y"]

    (told,) = [details["error"] for details in events.of("error")]
    assert ".sum_up" in told
    assert "its argument 'given'" in told
    assert kind in told
    assert cure in told
    assert cache.stats().bypassed == {"unencodable": 2}


class Options:
    def __getattr__(self, name):
        return {}[name]


def test_an_argument_that_fails_where_it_is_asked_for_an_attribute_costs_no_answer():
    assert cached(lambda options: "said")(Options()) == "said"
    assert cache.stats().bypassed == {"unencodable": 1}


def no_database():
    raise OSError("no database")


@pytest.mark.parametrize(
    "make", [partial(SimpleLazyObject, no_database), partial(Mock, spec=dict)], ids=["lazy", "mock"]
)
def test_an_argument_that_passes_for_another_class_goes_through(make):
    assert cached(lambda given: "said")(make()) == "said"
    assert cache.stats().bypassed == {"unencodable": 1}


def test_the_argument_that_is_ignored_is_not_the_one_that_is_told_of(configure, events):
    configure(IGNORE_FIELDS=["arguments.request"])

    @cached
    def answer(request, given):
        return "said"

    answer(object(), {1})

    assert "its argument 'given' is not what JSON can say" in events.of("error")[0]["error"]


def test_a_scope_that_fails_is_told_each_time_and_no_argument_is(configure, events):
    configure(SCOPE="tests.facade.test_cached.no_scope")

    @cached
    def answer(given):
        return "said"

    for _ in range(2):
        answer({1})

    assert [details["error"].count("SCOPE'] failed") for details in events.of("error")] == [1, 1]


def no_scope(request):
    raise LookupError("tenant not found")


def test_a_static_method_is_cached():
    assert Bot.static(MESSAGES) == Bot("kind").static(MESSAGES) == "static"
    assert len(asked) == 1


def test_the_name_and_the_docstring_are_kept():
    assert (answer.__name__, answer.__doc__) == ("answer", "Answer.")


def test_a_call_inside_it_is_not_looked_up_by_itself(provider, events):
    @cached
    def summary(text):
        return ask_provider().text

    assert summary("x") == summary("x") != ""
    assert events.names == ["miss", "put", "hit"]
    assert provider.calls == 1
