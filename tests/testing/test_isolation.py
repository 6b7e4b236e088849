"""No answer and no count of one test reaches the next, under either runner and without a marker."""

from __future__ import annotations

import pytest

TESTS = """
    from django.test import SimpleTestCase
    from django_llmcache import cache, chat

    HI = [{"role": "user", "content": "Hi"}]


    class Tests(SimpleTestCase):
        def test_one(self):
            self.assertEqual([chat("openai", HI).from_cache for _ in range(2)], [False, True])
            self.assertEqual((cache.stats().hits, cache.stats().misses), (1, 1))

        test_another = test_one
"""


@pytest.mark.parametrize("runner", ["pytest", "manage"])
def test_each_test_asks_anew_and_counts_from_zero(project, provider, runner):
    project.write("test_faq.py", TESTS)
    run = project.pytest if runner == "pytest" else lambda **words: project.manage("test", **words)

    done = run(OPENAI_API_KEY="made-up")

    assert done.code == 0, done
    assert provider.calls == 2


BY_ONE_THAT_PATCHES_MODULES = """
    import sys
    from unittest import mock

    HI = [{"role": "user", "content": "Hi"}]

    def ask():
        from django_llmcache import chat

        return chat("openai", HI).from_cache

    def test_one():
        with mock.patch.dict(sys.modules, {"numpy": None}):
            assert not ask()

    def test_two():
        assert not ask()
"""


def test_a_test_that_patches_what_is_imported_leaves_no_answer_to_the_next(project):
    project.write("test_faq.py", BY_ONE_THAT_PATCHES_MODULES)

    done = project.pytest(OPENAI_API_KEY="made-up")

    assert done.code == 0, done
