"""Which words hold for a test: the nearest, and what it leaves unsaid those farther off say."""

from __future__ import annotations

from unittest import TestCase

import pytest
from django.test import tag

from django_llmcache.exceptions import ConfigurationError
from django_llmcache.recorder.setup import NO_OPTIONS, Mode
from django_llmcache.testing import live_api
from django_llmcache.testing.options import of_a_level, options_from, options_of, words_of

from .conftest import ON


@live_api(ttl=60, samples=2)
class Base(TestCase):
    __test__ = False  # pytest has others

    def test_inherits(self): ...

    @live_api(mode="replay", samples=3)
    def test_says_more(self): ...

    @live_api(ttl=None)
    @live_api(fallback="error")
    def test_says_it_twice(self): ...


@live_api(ttl=5)
class Derived(Base):
    def test_new(self): ...


@tag("live_api")
class Tagged(TestCase):
    __test__ = False  # pytest has others

    def test_tagged(self): ...


class Plain(TestCase):
    __test__ = False  # pytest has others

    def test_plain(self): ...

    @tag("live_api")
    def test_tagged(self): ...

    @live_api
    def test_decorated(self): ...


@pytest.mark.parametrize(
    ("kind", "test", "words"),
    [
        (Base, "test_inherits", {"ttl": 60, "samples": 2}),
        (Base, "test_says_more", {"ttl": 60, "samples": 3, "mode": "replay"}),
        (Base, "test_says_it_twice", {"ttl": None, "samples": 2, "fallback": "error"}),
        (Derived, "test_new", {"ttl": 5, "samples": 2}),
        (Derived, "test_says_more", {"ttl": 5, "samples": 3, "mode": "replay"}),
        (Tagged, "test_tagged", {}),
        (Plain, "test_tagged", {}),
        (Plain, "test_decorated", {}),
    ],
)
def test_the_nearest_word_holds_and_what_is_unsaid_is_inherited(kind, test, words):
    assert options_of(kind, test) == options_from(**words)


def test_a_test_that_nobody_marks_has_none():
    assert options_of(Plain, "test_plain") is None
    assert words_of(Plain) is None


def test_a_class_says_for_its_set_up_what_it_says_itself_but_for_what_befalls_a_test():
    own, tests = options_from(ttl=60, fault="429", samples=3, repeat="fail"), [options_from(ignore=["a"])]

    assert of_a_level(own, tests) == options_from(ttl=60)


def test_where_it_says_nothing_its_set_up_has_what_its_tests_agree_on():
    tests = [options_from(ttl=60, ignore=["b"], expired="warn"), options_from(ttl=60, ignore=["a"], expired="error")]

    assert of_a_level(None, tests) == of_a_level(None, tests[::-1]) == options_from(ttl=60, ignore=["a", "b"])


@pytest.mark.parametrize(
    "words",
    [
        {"ignore": "a.b"}, {"ignore": [3]}, {"ignore": 3}, {"samples": 0}, {"samples": True}, {"repeat": "no"},
        {"pace": "quick"}, {"pace": -1}, {"fault": 429}, {"record_errors": "yes"}, {"sample": 3}, {"tll": 3},
    ],
    ids=str,
)  # fmt: skip
def test_a_word_that_can_not_work_is_refused_where_the_test_is_defined(words):
    with pytest.raises(ConfigurationError, match=next(iter(words))):
        live_api(**words)


def test_a_ttl_that_is_none_is_told_what_it_is_to_a_recording():
    with pytest.raises(ConfigurationError, match=r"ttl is '30d'; give .*, 0 \(expired at once\) or None"):
        live_api(ttl="30d")


def test_nothing_said_is_nothing_asked():
    assert options_from() == NO_OPTIONS
    assert options_from(mode="replay").mode is Mode.REPLAY


SAMPLED = """
    from pathlib import Path
    from unittest import expectedFailure

    import pytest
    from django.test import SimpleTestCase
    from django_llmcache import achat, chat
    from django_llmcache.testing import live_api


    def ask(text):
        answer = chat("openai", [{"role": "user", "content": text}])
        with Path("runs").open("a") as runs:
            runs.write(text + "\\n")
        return answer


    class Asking:
        def test_inherited(self):
            ask("Inherited")


    @live_api(samples=2)
    class OnAClass(Asking, SimpleTestCase):
        def test_its_own(self):
            ask("Its own")

        @live_api(samples=3)
        def test_nearer(self):
            ask("Nearer")

        async def test_on_a_loop(self):
            await achat("openai", [{"role": "user", "content": "On a loop"}])
            with Path("runs").open("a") as runs:
                runs.write("On a loop\\n")


    class Failing(SimpleTestCase):
        @expectedFailure
        @live_api
        def test_fails(self):
            ask("To fail")
            self.fail("as expected")


    @pytest.mark.live_api(samples=2)
    def test_marked():
        ask("Marked")


    @pytest.mark.parametrize("text", ["One"])
    @live_api(samples=2)
    def test_decorated(text):
        ask(text)


    @live_api
    class TestPlain:
        @pytest.mark.live_api(samples=2)
        def test_marked_method(self):
            ask("Marked method")
"""
RUNS = {"Inherited": 2, "Its own": 2, "Nearer": 3, "On a loop": 2, "To fail": 1}
OF_PYTEST = {"Marked": 2, "One": 2, "Marked method": 2}


@pytest.mark.parametrize("runner", ["pytest", "manage"])
def test_samples_are_run_and_kept_however_they_are_said(project, provider, runner):
    project.write("test_sampled.py", SAMPLED)
    args = () if runner == "pytest" else ("test",)

    first = getattr(project, runner)(*args, **ON)
    provider.stop()
    second = getattr(project, runner)(*args, LLMCACHE_TEST_CACHE_ENABLED="true", LLMCACHE_TEST_CACHE_MODE="once")

    expected = RUNS | (OF_PYTEST if runner == "pytest" else {})
    runs = (project.folder / "runs").read_text().splitlines()
    assert first.code == 0, first
    assert {text: runs.count(text) for text in expected} == {text: 2 * number for text, number in expected.items()}, (
        first, second,
    )  # fmt: skip
    assert len(project.fixtures) == sum(expected.values())


WRONG = """
    import pytest


    @pytest.fixture(scope="module")
    def shared():
        return 1


    def test_plain(shared):
        pass


    @pytest.mark.live_api(tll=3)
    def test_misspelled(shared):
        pass


    @pytest.mark.live_api("replay")
    def test_unnamed(shared):
        pass


    @pytest.mark.live_api
    def test_live(shared):
        pass
"""


def test_a_wrong_mark_is_the_error_of_its_own_test_alone(project):
    project.write("test_wrong.py", WRONG)

    done = project.pytest(**ON)

    assert "2 passed, 2 errors" in done.text, done
    assert "live_api has no option 'tll'; did you mean 'ttl'?" in done.text
    assert "live_api is given 'replay' without a name; its options are mode, ttl," in done.text


WITH_GROUPS = """
    from project_settings import *

    INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", *INSTALLED_APPS]
"""
ISOLATED = """
    from unittest import IsolatedAsyncioTestCase

    from django.contrib.auth.models import Group
    from django.test import TestCase
    from django_llmcache import achat, chat
    from django_llmcache.testing import live_api

    QUESTION = [{"role": "user", "content": "Hi"}]


    class Writing(TestCase):
        def setUp(self):
            self.items = []
            self.addCleanup(Group.objects.create, name="cleaned up")

        @live_api(samples=3)
        def test_the_database(self):
            chat("openai", QUESTION)
            Group.objects.create(name="one")
            self.items.append(1)
            self.assertEqual((len(self.items), Group.objects.count()), (1, 1))


    class Keeping(TestCase):
        @classmethod
        def setUpTestData(cls):
            cls.group = Group.objects.create(name="as set up")

        @live_api(samples=3)
        def test_the_test(self):
            chat("openai", QUESTION)
            self.assertEqual((self.group.name, hasattr(self, "kept")), ("as set up", False))
            self.group.name = self.kept = "changed"
            self.group.save()


    class OnALoop(IsolatedAsyncioTestCase):
        async def asyncSetUp(self):
            self.items = []

        @live_api(samples=3)
        async def test_what_is_set_up(self):
            await achat("openai", QUESTION)
            self.items.append(1)
            self.assertEqual((len(self.items), hasattr(self, "kept")), (1, False))
            self.kept = True
"""
ISOLATED_FUNCTION = """
    import pytest
    from django.contrib.auth.models import Group
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    @pytest.fixture
    def items():
        return []


    @live_api(samples=3)
    def test_the_database(db, items):
        chat("openai", [{"role": "user", "content": "Hi"}])
        Group.objects.create(name="one")
        items.append(1)
        assert (len(items), Group.objects.count()) == (1, 1)
"""


@pytest.mark.parametrize("runner", ["pytest", "manage"])
def test_no_sample_sees_what_another_left(project, provider, runner):
    project.write("with_groups.py", WITH_GROUPS)
    project.write("test_isolated.py", ISOLATED)
    if runner == "pytest":
        project.write("test_function.py", ISOLATED_FUNCTION)
    words = ("--ds=with_groups",) if runner == "pytest" else ("test", "--settings=with_groups")

    done = getattr(project, runner)(*words, **ON)

    assert done.code == 0, done
    assert provider.calls == 3  # one for each sample; the other tests ask the same


EXPECTED = """
    import os
    from unittest import expectedFailure

    from django.test import SimpleTestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    class Failing(SimpleTestCase):
        @expectedFailure
        @live_api(samples=3)
        def test_one(self):
            chat("openai", [{"role": "user", "content": "Hi"}])
            self.assertEqual(os.environ.get("CURED"), "true")
"""


@pytest.mark.parametrize("runner", ["pytest", "manage"])
def test_one_that_is_to_fail_runs_on_each_sample_all_the_same(project, provider, runner):
    project.write("test_expected.py", EXPECTED)
    words = () if runner == "pytest" else ("test",)

    done = getattr(project, runner)(*words, **ON)

    assert done.code == 0, done
    assert provider.calls == 3


@pytest.mark.parametrize("runner", ["pytest", "manage"])
def test_it_is_told_once_it_fails_on_none(project, provider, runner):
    project.write("test_expected.py", EXPECTED)
    words = () if runner == "pytest" else ("test",)

    done = getattr(project, runner)(*words, **ON, CURED="true")

    assert done.code != 0, done
    assert "nexpected success" in done.text


FAULTY = """
    import os

    import requests
    from django.test import SimpleTestCase
    from django_llmcache.testing import live_api


    class Tests(SimpleTestCase):
        @live_api(samples=3, fault="429x2")
        def test_answers(self):
            url = os.environ["STANDIN_URL"] + "/v1/chat/completions"
            statuses = [requests.post(url, json={"model": "m", "messages": []}).status_code for _ in range(3)]
            self.assertEqual(statuses, [429, 429, 200])
"""


@pytest.mark.parametrize("runner", ["pytest", "manage"])
def test_what_goes_wrong_goes_wrong_on_each_sample(project, runner):
    project.write("test_faulty.py", FAULTY)

    done = getattr(project, runner)(*(() if runner == "pytest" else ("test",)), **ON)

    assert done.code == 0, done


def test_a_generator_can_not_be_held():
    def answers():
        yield 1

    async def async_answers():
        yield 1

    for function in (answers, async_answers):
        with pytest.raises(ConfigurationError, match="which is a generator"):
            live_api(function)


@pytest.mark.parametrize("decorate", [live_api, live_api(mode="replay")], ids=["bare", "with options"])
def test_a_class_method_is_told_to_stand_in_a_class_that_is_live_api(decorate):
    with pytest.raises(ConfigurationError, match=r"stands on .*\.setUpTestData, .* put it on the class"):

        class Faq(TestCase):
            @decorate
            @classmethod
            def setUpTestData(cls): ...


def test_a_block_can_not_run_on_samples():
    with pytest.raises(ConfigurationError, match="decorate the test"), live_api(samples=2):
        pass


HIDING = """
    from unittest import TestCase

    import pytest
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    def swallowed():
        try:
            chat("openai", [{"role": "user", "content": "Hi"}])
        except BaseException:
            pass


    @live_api(mode="replay")
    def test_skipped():
        swallowed()
        pytest.skip("the provider is down")


    class Skipped(TestCase):
        @live_api(mode="replay")
        def test_of_unittest(self):
            swallowed()
            self.skipTest("the provider is down")


    def test_in_a_block():
        with pytest.raises(ValueError), live_api(mode="replay"):
            swallowed()
            raise ValueError("as the worker words it")


    @live_api(mode="replay")
    def test_with_nothing_missed():
        pytest.skip("for another reason")
"""


def test_neither_a_skip_nor_another_error_hides_a_miss(project):
    project.write("test_hiding.py", HIDING)

    done = project.pytest(LLMCACHE_TEST_CACHE_ENABLED="true")

    assert "3 failed, 1 skipped" in done.text, done
    assert done.text.count("Nothing is recorded for this request") >= 3


EXPECTING = """
    import os

    import pytest
    from django_llmcache import chat
    from django_llmcache.recorder.misses import FixtureMiss
    from django_llmcache.testing import live_api


    @pytest.mark.xfail(reason="the model can't count")
    @live_api
    def test_counts():
        assert chat("openai", [{"role": "user", "content": os.environ.get("ASKED", "How many?")}]).text == "none"


    @live_api
    def test_calls_xfail():
        chat("openai", [{"role": "user", "content": os.environ.get("ASKED", "How few?")}])
        pytest.xfail("the model can't count")


    @pytest.mark.xfail(raises=FixtureMiss)
    @live_api(mode="replay")
    def test_expects_the_miss():
        chat("openai", [{"role": "user", "content": "Never asked"}])
"""


def test_what_fails_as_expected_is_recorded_and_replayed(project, provider):
    project.write("test_expecting.py", EXPECTING)

    done = [project.pytest(**ON), project.pytest(**ON)]

    assert ["3 xfailed" in each.text for each in done] == [True, True], done
    assert provider.calls == len(project.fixtures) == 2


def test_a_miss_is_no_failure_that_is_expected_unless_it_is_named(project):
    project.write("test_expecting.py", EXPECTING)

    done = project.pytest(**ON | {"LLMCACHE_TEST_CACHE_MODE": "replay", "ASKED": "Something else?"})

    assert "2 failed, 1 xfailed" in done.text, done
    assert done.text.count("Nothing is recorded for this request") >= 2


def test_a_miss_is_told_where_a_failure_is_expected_in_pytest_s_own_words(project):
    project.write(
        "test_worded.py",
        """
        import pytest
        from django_llmcache import chat
        from django_llmcache.testing import live_api


        @pytest.mark.xfail(raises=pytest.RaisesExc(match="recorded"))
        @live_api(mode="replay")
        def test_worded():
            chat("openai", [{"role": "user", "content": "Never asked"}])


        def test_another():
            pass
    """,
    )

    done = project.pytest(**ON)

    assert "1 failed, 1 passed" in done.text, done
