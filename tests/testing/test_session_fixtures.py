"""pytest's fixtures of a whole run: recorded and replayed for all who need them, whoever comes first."""

from __future__ import annotations

import json

import pytest

from django_llmcache.contrib.demo.standin import Reply

from .conftest import ON

REPLAY = {"LLMCACHE_TEST_CACHE_ENABLED": "true", "CI": "true"}
CONFTEST = """
    import pytest
    from django_llmcache import chat


    def ask(text):
        return chat("openai", [{"role": "user", "content": text}]).text


    @pytest.fixture(scope="session")
    def index():
        return ask("Make an index")
"""
DECLARED = """
    def test_page(index):
        assert index
"""
BY_NAME = """
    def test_page(request):
        assert request.getfixturevalue("index")
"""
LIVE = """
    from conftest import ask
    from django_llmcache.testing import live_api


    @live_api
    def test_answer(index):
        ask("Look into " + index)
"""
LIVE_BY_NAME = """
    from conftest import ask
    from django_llmcache.testing import live_api


    @live_api
    def test_answer(request):
        ask("Look into " + request.getfixturevalue("index"))
"""


@pytest.fixture(params=[(DECLARED, LIVE), (BY_NAME, LIVE_BY_NAME)], ids=["declared", "by name"])
def shared(request, project):
    """Return a project whose first test is not live_api, and needs the same fixture as one that is."""
    plain, live = request.param
    project.write("conftest.py", CONFTEST)
    project.write("test_a_views.py", plain)
    project.write("test_b_answers.py", live)
    return project


def test_it_is_replayed_where_a_test_that_is_not_live_api_needs_it_first(provider, shared):
    recorded = shared.pytest("test_b_answers.py", **ON)
    calls = provider.calls
    replayed = shared.pytest(**REPLAY)

    assert (recorded.code, replayed.code) == (0, 0), (recorded, replayed)
    assert provider.calls == calls == 2


def test_in_replay_nobody_is_asked_and_the_line_names_a_file_that_records_it(provider, shared):
    done = shared.pytest(**REPLAY)

    assert done.code == 1
    assert provider.calls == 0
    assert "  test     conftest.py::index (set-up)\n" in done.text, done
    assert "LLMCACHE_TEST_CACHE_MODE=once pytest test_b_answers.py\n" in done.text


def test_with_nothing_said_it_is_skipped_where_it_asks(provider, shared):
    done = shared.pytest(OPENAI_API_KEY="made-up")

    assert (done.code, provider.calls) == (0, 0), done
    assert "2 skipped" in done.text


def test_with_nothing_said_it_is_set_up_where_it_asks_nobody(shared):
    shared.write("conftest.py", CONFTEST.replace('ask("Make an index")', '"An index"'))

    done = shared.pytest()

    assert "1 passed, 1 skipped" in done.text, done


DATABASE = """
    import pytest
    from django_llmcache import chat


    @pytest.fixture(scope="session")
    def django_db_setup(django_db_setup, django_db_blocker):
        with django_db_blocker.unblock():
            chat("openai", [{"role": "user", "content": "Fill the database"}])
"""
SEED = """

    @pytest.fixture(scope="session")
    def seed():
        chat("openai", [{"role": "user", "content": "Make what fills the database"}])
"""
IN_THE_DATABASE = """
    import pytest
    from django_llmcache.testing import live_api

    pytestmark = pytest.mark.django_db


    def test_page():
        pass


    @live_api
    def test_answer():
        pass
"""


def test_with_nothing_said_nobody_is_asked_for_what_fills_the_database(provider, project):
    project.write("conftest.py", DATABASE)
    project.write("test_pages.py", IN_THE_DATABASE)

    done = project.pytest(OPENAI_API_KEY="made-up")

    assert (done.code, provider.calls) == (0, 0), done
    assert "2 skipped" in done.text


def test_with_nothing_said_nobody_is_asked_for_the_database_where_another_test_declares_it(provider, project):
    project.write("conftest.py", DATABASE.replace("(django_db_setup,", "(django_db_setup, seed,") + SEED)
    project.write("test_a_rows.py", "def test_row(db): pass")
    project.write("test_pages.py", IN_THE_DATABASE)

    done = project.pytest("test_pages.py", "test_a_rows.py", OPENAI_API_KEY="made-up")

    assert (done.code, provider.calls) == (0, 0), done
    assert "3 skipped" in done.text


BESIDE_LIVE = """
    from django_llmcache.testing import live_api


    def test_page(index):
        assert index


    @live_api
    def test_answer():
        pass
"""


@pytest.mark.parametrize("files", [("test_a_views.py", "test_b_both.py"), ("test_b_both.py",)], ids=["after", "alone"])
def test_with_nothing_said_what_other_tests_alone_declare_is_set_up_beside_a_live_api_test(provider, project, files):
    project.write("conftest.py", CONFTEST)
    project.write("test_a_views.py", DECLARED)
    project.write("test_b_both.py", BESIDE_LIVE)

    done = project.pytest(*files, OPENAI_API_KEY="made-up")

    assert (done.code, provider.calls) == (0, 1), done
    assert f"{len(files)} passed, 1 skipped" in done.text


def test_what_no_live_api_test_needs_is_left_alone(provider, project):
    project.write("conftest.py", CONFTEST)
    project.write("test_a_views.py", DECLARED)
    project.write("test_b_answers.py", LIVE.replace("(index)", "()").replace(" + index", ""))

    done = project.pytest(**REPLAY, OPENAI_API_KEY="made-up")

    assert provider.calls == 1, done
    assert "1 passed" in done.text


MODULE = """
    from conftest import ask
    from django_llmcache.testing import live_api


    @live_api
    def test_one(index):
        ask(__name__ + " looks into " + index)


    @live_api
    def test_other(index):
        ask(__name__ + " looks again into " + index)
"""


@pytest.fixture
def modules(project, provider):
    """Return a project of two modules that share an index, which is another whenever it is made."""
    texts = [
        {"choices": [{"message": {"content": f"Number {number}"}, "finish_reason": "stop"}]} for number in range(20)
    ]
    provider.script(*(Reply(body=json.dumps(text).encode()) for text in texts))
    project.write("conftest.py", CONFTEST)
    for name in ("test_a.py", "test_b.py"):
        project.write(name, MODULE)
    return project


@pytest.mark.parametrize("mode", ["once", "refresh"])
def test_workers_with_modules_of_their_own_record_it_once(provider, modules, mode):
    recorded = modules.pytest("-n", "2", "--dist", "loadfile", "--llmcache-mode", mode, **ON)
    calls = provider.calls
    replayed = modules.pytest("--llmcache-mode", "replay", **ON)

    assert (recorded.code, replayed.code) == (0, 0), (recorded, replayed)
    assert calls == 5
    assert "fixtures that no test used" not in replayed.text


def test_one_that_a_module_recorded_under_its_own_name_is_replayed(provider, modules):
    modules.pytest(**ON)
    [shared] = [path for path in modules.fixtures if "conftest.py::index (set-up)" in path.read_text()]
    shared.write_text(shared.read_text().replace("conftest.py::index (set-up)", "test_a.py (set-up of index)"))
    provider.stop()

    done = modules.pytest("test_b.py", "test_a.py", "--llmcache-mode", "replay", **ON)

    assert done.code == 0, done


def test_one_that_is_made_otherwise_since_leaves_a_recording_that_no_test_uses(modules):
    modules.pytest(**ON)
    [old] = [path for path in modules.fixtures if "Make an index" in path.read_text()]
    modules.write("conftest.py", CONFTEST.replace("Make an index", "Make another"))
    modules.pytest(**ON)

    done = modules.pytest("--llmcache-mode", "replay", **ON)

    assert "fixtures that no test used" in done.text, done
    assert str(old) in done.text


def test_one_that_is_no_longer_there_leaves_a_recording_that_no_test_uses(modules):
    modules.pytest(**ON)
    [old] = [path for path in modules.fixtures if "Make an index" in path.read_text()]
    modules.write("conftest.py", CONFTEST.partition("    @pytest")[0])
    for name in ("test_a.py", "test_b.py"):
        modules.write(name, MODULE.replace("(index)", "()").replace(" + index", ""))
    modules.pytest(**ON)

    done = modules.pytest("--llmcache-mode", "replay", **ON)

    assert str(old) in done.text, done
