"""Django's test runner with ``--llmcache-mode`` and a block at the end that says what the recorder did."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.test.runner import DiscoverRunner

from django_llmcache.recorder.setup import Mode

from . import hooks, summary
from .modes import choose_on_command_line
from .options import NAME
from .unused import full_run, unused_fixtures


class LLMCacheRunnerMixin:
    """Give a test runner of one's own the option and the block: ``class Runner(LLMCacheRunnerMixin, MyRunner)``."""

    def __init__(self, *args: Any, llmcache_mode: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choose_on_command_line(llmcache_mode)

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        """Add ``--llmcache-mode``."""
        super().add_arguments(parser)  # type: ignore[misc]
        parser.add_argument(
            "--llmcache-mode", choices=[mode.value for mode in Mode], help="How live_api tests are answered."
        )

    def setup_test_environment(self, **kwargs: Any) -> None:
        """Hook unittest, as the app does by itself under ``manage.py test``."""
        super().setup_test_environment(**kwargs)  # type: ignore[misc]
        hooks.install()

    def run_tests(self, test_labels: list[str], **kwargs: Any) -> int:
        """Run the tests, and say at the end what the recorder did."""
        tags = set(getattr(self, "tags", None) or ())
        full = not test_labels and tags <= {NAME} and not getattr(self, "exclude_tags", None)
        with summary.of_a_run():
            if full:
                full_run().start()
            failed: int = super().run_tests(test_labels, **kwargs)  # type: ignore[misc]
            if full and not failed:
                full_run().finish()
            for line in summary.lines(unused_fixtures() if full and not failed else ()):
                self.log(line)  # type: ignore[attr-defined]
        return failed


class LLMCacheDiscoverRunner(LLMCacheRunnerMixin, DiscoverRunner):
    """Django's own runner with both."""
