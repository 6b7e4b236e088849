"""``manage.py llmcache clear | stats | demo | doctor | fixtures``."""

from __future__ import annotations

import math
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_llmcache import workers
from django_llmcache.exceptions import LLMCacheError
from django_llmcache.management import clearing, statistics
from django_llmcache.management.fixtures import arguments, running
from django_llmcache.management.fixtures.outcome import Outcome


class Command(BaseCommand):
    """Look after the response cache of this project's running workers, and the fixtures of its test cache."""

    help = "Clear the response cache, show its statistics, see it work; look after the test cache's fixtures."
    requires_system_checks = []  # what is wrong elsewhere in the project must not keep anybody from clearing

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the subcommands and their options."""
        commands = parser.add_subparsers(
            dest="subcommand", required=True, metavar="clear | stats | demo | doctor | fixtures"
        )
        clear = commands.add_parser("clear", help="remove stored answers, of every running worker")
        clear.add_argument("--provider", help="only answers of this provider, such as openai")
        clear.add_argument("--model", help="only answers of this model, as it was asked for")
        clear.add_argument("--tag", help="only answers stored with this tag")
        clear.add_argument("--scope", help="only answers of this scope; 'public' for those that are shared")
        clear.add_argument("--key", help="only the answer with this key (response.cache.key)")
        clear.add_argument("--noinput", "--no-input", action="store_false", dest="interactive", help="do not ask first")
        clear.add_argument(
            "--timeout",
            type=_patience,
            default=workers.TIMEOUT,
            help=f"seconds to wait for the workers, at least 1 ({workers.TIMEOUT:g})",
        )
        clear.add_argument("--fixtures", action="store_true", help="clear the test cache instead: its fixtures")
        clear.add_argument("--dry-run", action="store_true", help="with --fixtures: only say what would be done")
        clear.add_argument("--json", action="store_true", help="with --fixtures: print one JSON object")
        stats = commands.add_parser("stats", help="show what the running workers hold and did")
        stats.add_argument("--json", action="store_true", help="print one JSON object")
        demo = commands.add_parser("demo", help="see the cache work, offline and without a key")
        demo.add_argument(
            "--latency", type=_seconds, default=0.4, help="seconds that the stand-in provider takes (0.4)"
        )
        doctor = commands.add_parser("doctor", help="say what is set and instrumented, and make a dry run")
        doctor.add_argument("--json", action="store_true", help="print one JSON object")
        fixtures = commands.add_parser("fixtures", help="look after the files of the test cache")
        arguments.add_arguments(fixtures, _add_base_options)
        for subparser in (clear, stats, demo, doctor, fixtures):
            _add_base_options(subparser)

    def handle(self, *args: Any, subcommand: str, **options: Any) -> None:
        """Run one subcommand.

        Raises:
            CommandError: it did not do what was asked; the message says what to do.
        """
        try:
            getattr(self, f"_{subcommand}")(options)
        except LLMCacheError as error:
            if subcommand == "fixtures" and options["json"]:
                self.stdout.write(Outcome("", {}, (str(error),)).as_json())
            raise CommandError(str(error)) from error

    def _clear(self, options: dict[str, Any]) -> None:
        conditions = {name: options[name] for name in clearing.CONDITIONS if options[name] is not None}
        if empty := [name for name, value in conditions.items() if not value]:
            raise CommandError(f"--{empty[0]} is empty, so nothing was removed. Leave it out to clear whatever it is.")
        if options["fixtures"]:
            self._clear_fixtures(conditions, options)
            return
        if of_fixtures := [name for name in ("dry_run", "json") if options[name]]:
            option = of_fixtures[0].replace("_", "-")
            raise CommandError(f"--{option} goes with --fixtures alone, so nothing was removed.")
        if options["interactive"] and not self._agreed(clearing.question(conditions)):
            raise CommandError("Nothing was removed.")
        outcome = clearing.clear(conditions, timeout=options["timeout"])
        self.stdout.write(outcome.text)
        if outcome.problem:
            raise CommandError(outcome.problem)

    def _clear_fixtures(self, conditions: dict[str, Any], options: dict[str, Any]) -> None:
        if others := [name for name in conditions if name != "provider"]:
            raise CommandError(f"--{others[0]} is of the response cache alone, so nothing was removed.")
        self._tell(running.run("clear", options, self._agreed), as_json=options["json"])

    def _fixtures(self, options: dict[str, Any]) -> None:
        self._tell(running.run(options["action"], options, self._agreed), as_json=options["json"])

    def _tell(self, outcome: Outcome, *, as_json: bool = False) -> None:
        text = outcome.as_json() if as_json else outcome.shown()
        if text:
            self.stdout.write(text)
        if outcome.problem:
            raise CommandError(outcome.problem)

    def _stats(self, options: dict[str, Any]) -> None:
        report = statistics.gather()
        self.stdout.write(report.as_json() if options["json"] else report.as_text())
        if report.problem:
            raise CommandError(report.problem)

    def _demo(self, options: dict[str, Any]) -> None:
        from django_llmcache.contrib.demo import show

        show.run(self.stdout.write, latency=options["latency"])

    def _doctor(self, options: dict[str, Any]) -> None:
        from django_llmcache.management import doctor

        diagnosis = doctor.examine()
        self.stdout.write(diagnosis.as_json() if options["json"] else diagnosis.as_text())
        if diagnosis.problem:
            raise CommandError(diagnosis.problem)

    def _agreed(self, question: str) -> bool:
        try:
            return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
        except EOFError:
            raise CommandError("Nothing was removed: nobody is there to answer. Say --noinput.") from None
        except KeyboardInterrupt:
            raise CommandError("Nothing was removed.") from None


def _add_base_options(parser: ArgumentParser) -> None:
    """Let Django's own options stand behind the subcommand too, where most people write them."""
    parser.add_argument("-v", "--verbosity", type=int, choices=range(4), default=SUPPRESS, help=SUPPRESS)
    for option in ("--settings", "--pythonpath"):
        parser.add_argument(option, default=SUPPRESS, help=SUPPRESS)
    for option in ("--traceback", "--no-color", "--force-color"):
        parser.add_argument(option, action="store_true", default=SUPPRESS, help=SUPPRESS)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ArgumentTypeError(f"{text} is no number of seconds; give 0 or more.")
    return number


def _patience(text: str) -> float:
    number = _seconds(text)
    if number < 1:  # a worker that runs may look so late, and then answer from its cache meanwhile
        raise ArgumentTypeError(f"{text} is too short; give 1 or more.")
    return number
