from __future__ import annotations

from django.contrib.staticfiles.management.commands.runserver import Command as RunserverCommand


class Command(RunserverCommand):
    """Django's own, that says what needs a database instead of asking one."""

    def check_migrations(self) -> None:
        self.stdout.write(
            "The chat page, / and /async/, needs no database. For /admin/ run `migrate` and `createsuperuser` once."
        )
