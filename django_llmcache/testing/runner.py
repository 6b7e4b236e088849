"""Django's test runner with options for the recorder, and a block at the end that says what it did."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.test.runner import DiscoverRunner
from django.test.utils import iter_test_cases  # type: ignore[attr-defined] # the stubs do not know it

from django_llmcache import variables
from django_llmcache.management.fixtures.testruns import manage_words
from django_llmcache.recorder.setup import Mode

from . import doctor, hooks, summary, unused
from .modes import choose_on_command_line
from .options import NAME

NARROWING: Final = {
    "test_name_patterns": "-k", "top_level": "--top-level-directory",
    "exclude_tags": "--exclude-tag",
}  # fmt: skip
"""What leaves tests out, or may: attributes of the runner, with their options."""


class LLMCacheRunnerMixin:
    """Give a test runner of one's own the option and the block: ``class Runner(LLMCacheRunnerMixin, MyRunner)``."""

    def __init__(
        self, *args: Any, llmcache_mode: str | None = None, llmcache_doctor: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._skipped_files = False
        self._examines = doctor.is_asked(llmcache_doctor)
        choose_on_command_line(llmcache_mode)

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        """Add ``--llmcache-mode`` and ``--llmcache-doctor``."""
        super().add_arguments(parser)  # type: ignore[misc]
        parser.add_argument(
            "--llmcache-mode", choices=[mode.value for mode in Mode], help="How live_api tests are answered."
        )
        parser.add_argument(doctor.OPTION, action="store_true", help=doctor.HELP)

    def setup_test_environment(self, **kwargs: Any) -> None:
        """Hook unittest, as the app does by itself under ``manage.py test``."""
        super().setup_test_environment(**kwargs)  # type: ignore[misc]
        hooks.install()

    def load_tests_for_label(self, label: str, discover_kwargs: dict[str, Any]) -> Any:
        """Know of every live_api test there is, before tags leave any out."""
        loaded = super().load_tests_for_label(label, discover_kwargs)  # type: ignore[misc]
        tests = list(iter_test_cases([loaded]))
        summary.add_found(test.id() for test in tests if hooks.wanted(test) is not None)
        self._skipped_files = self._skipped_files or any(type(test).__name__ == "ModuleSkipped" for test in tests)
        return loaded

    def run_tests(self, test_labels: list[str], **kwargs: Any) -> int:
        """Run the tests, and say at the end what the recorder did; or let the doctor run them."""
        if self._examines:
            return doctor.examine([*manage_words(), *sys.argv[1:]], test_labels, self.log)  # type: ignore[attr-defined]
        with summary.of_a_run(), variables.of_a_run():
            unused.begin(self._narrowed(test_labels))
            failed: int = super().run_tests(test_labels, **kwargs)  # type: ignore[misc]
            why = "a whole file was skipped" if self._skipped_files else None
            left = unused.end("a test failed" if failed else why, Path.cwd())
            for line in (*summary.lines(left), *summary.skipped_lines()):  # Django's own block has no room for reasons
                self.log(line)  # type: ignore[attr-defined]
        return failed

    def _narrowed(self, test_labels: list[str]) -> str | None:
        """Return why a run is not of all tests, or of all that are ``live_api``; ``None`` where nothing says so."""
        if test_labels:
            return "some tests were named"
        for name, flag in NARROWING.items():
            if getattr(self, name, None):
                return f"{flag} was given"
        if getattr(self, "pattern", None) not in (None, "test*.py"):
            return "--pattern was given"
        if not set(getattr(self, "tags", None) or ()) <= {NAME}:
            return "--tag was given"
        return unused.elsewhere(Path.cwd())


class LLMCacheDiscoverRunner(LLMCacheRunnerMixin, DiscoverRunner):
    """Django's own runner with both."""
