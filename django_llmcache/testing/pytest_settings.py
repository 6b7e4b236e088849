"""A pytest plugin for runs that manage.py starts: pytest's ini file goes before the settings that manage.py has set."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress

import pytest

from django_llmcache import conf


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Forget them where the ini file names some, before pytest-django looks: it takes those of the environment."""
    with suppress(ValueError):  # no pytest-django, no such line
        if early_config.getini(conf.SETTINGS_MODULE):
            conf.restore(conf.SETTINGS_MODULE, None)
    return (yield)
