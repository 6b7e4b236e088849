"""Where pytest looks for tests: not among the recordings, which soon are many."""

from __future__ import annotations

import pytest

from .conftest import ON

FAQ = """
    import pytest
    from django_llmcache import chat

    @pytest.mark.live_api
    @pytest.mark.parametrize("number", range(3))
    def test_answers(number):
        assert chat("openai", [{"role": "user", "content": f"Hi {number}"}]).text
"""
TELLING = """
    def pytest_collectstart(collector):
        print("LOOKED INTO", collector.nodeid)
"""


@pytest.fixture
def recorded(project):
    """Return a project with three recordings, and a plugin that says where pytest looks for tests."""
    project.write("test_faq.py", FAQ)
    assert project.pytest(**ON).code == 0
    project.write("telling.py", TELLING)
    return project


def looked_into(done) -> set[str]:
    return {line.partition("LOOKED INTO ")[2] for line in done.text.splitlines() if "LOOKED INTO" in line}


def test_pytest_looks_into_no_folder_of_recorded_questions(recorded):
    questions = {str(path.parent.relative_to(recorded.folder)) for path in recorded.fixtures}

    done = recorded.pytest("-s", "-p", "telling", **ON)

    assert "3 passed" in done.text, done
    assert len(questions) == 3
    assert "tests/llm_fixtures/openai" in looked_into(done)
    assert not questions & looked_into(done)


@pytest.mark.parametrize("above", range(1, 4))
def test_tests_among_the_recordings_are_found(recorded, above):
    folder = recorded.fixtures[0].parents[above].relative_to(recorded.folder)
    recorded.write(f"{folder}/test_more.py", "def test_more():\n    pass\n")

    assert "4 passed" in recorded.pytest(**ON).text


def test_a_projects_own_checks_of_its_recordings_are_run(recorded):
    recorded.write(
        "conftest.py",
        """
        import pytest

        class Check(pytest.Item):
            def runtest(self):
                assert "made-up" not in self.path.read_text()

        class Recording(pytest.File):
            def collect(self):
                yield Check.from_parent(self, name="holds_no_key")

        def pytest_collect_file(file_path, parent):
            return Recording.from_parent(parent, path=file_path) if file_path.suffix == ".json" else None
        """,
    )

    assert "6 passed" in recorded.pytest(**ON).text


def test_without_readable_settings_they_are_looked_for_everywhere(recorded):
    settings = (recorded.folder / "project_settings.py").read_text()
    recorded.write("project_settings.py", settings + "\nLLMCACHE['TEST_CACHE'] = {'DIR': 3}\n")
    recorded.write("test_plain.py", "def test_plain():\n    pass\n")

    assert "1 passed" in recorded.pytest("-k", "plain").text


def test_a_conftest_further_down_may_configure_the_settings_itself(project):
    project.write("pytest.ini", "[pytest]\n")
    project.write("conftest.py", "from django_llmcache.testing import live_api\n")
    project.write("pkg/conftest.py", "from django.conf import settings\nsettings.configure(SECRET_KEY='made up')\n")
    project.write("pkg/test_plain.py", "def test_plain():\n    pass\n")

    done = project.pytest("-p", "no:django", DJANGO_SETTINGS_MODULE="project_settings")

    assert "1 passed" in done.text, done
