from __future__ import annotations

import re

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured

from .browser import KEY
from .conftest import ROOT


def test_every_setting_has_a_default(load):
    example = load()

    assert (example.DEBUG, example.ALLOWED_HOSTS, example.STANDIN_LATENCY) == (True, [], 0.8)
    assert example.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3"
    assert {words["API_KEY"] for words in example.LLMCACHE["PROVIDERS"].values()} == {None}


def test_an_empty_variable_is_as_good_as_none(load):
    example = load(DATABASE_URL="", SECRET_KEY="", OPENAI_API_KEY="", ALLOWED_HOSTS="")

    assert example.DATABASES["default"]["NAME"] == example.BASE_DIR / "db.sqlite3"
    assert (bool(example.SECRET_KEY), example.ALLOWED_HOSTS) == (True, [])
    assert example.LLMCACHE["PROVIDERS"]["openai"]["API_KEY"] is None


def test_no_two_projects_share_a_secret_key_by_default(load):
    assert load().SECRET_KEY != load().SECRET_KEY


def test_the_settings_read_the_environment(load):
    example = load(
        DEBUG="off",
        SECRET_KEY="told",
        ALLOWED_HOSTS="a.example,b.example",
        CSRF_TRUSTED_ORIGINS="https://a.example",
        DATABASE_URL="sqlite:////srv/x.db",
        LOG_LEVEL="WARNING",
        OPENAI_API_KEY=f" {KEY} ",
        OPENAI_MODEL="gpt-x",
        PROVIDER_TIMEOUT="7",
        ANSWER_TTL="60",
        ANSWER_ENTRIES="5",
        STANDIN_LATENCY="0.1",
    )

    assert (example.DEBUG, example.SECRET_KEY, example.STANDIN_LATENCY) == (False, "told", 0.1)
    assert (example.ALLOWED_HOSTS, example.CSRF_TRUSTED_ORIGINS) == (["a.example", "b.example"], ["https://a.example"])
    assert example.DATABASES["default"]["NAME"] == "/srv/x.db"
    assert example.LOGGING["loggers"]["django_llmcache"]["level"] == "WARNING"
    assert (example.LLMCACHE["DEFAULT_TTL"], example.LLMCACHE["OPTIONS"]) == (60, {"MAX_ENTRIES": 5})
    assert example.LLMCACHE["PROVIDERS"]["openai"] == {"API_KEY": KEY, "MODEL": "gpt-x", "TIMEOUT": 7.0}


def test_the_settings_read_a_dotenv_file_below_the_environment(load):
    example = load(dotenv="OPENAI_API_KEY=from-file\nOPENAI_MODEL=from-file\n", OPENAI_MODEL="from-environment")

    words = example.LLMCACHE["PROVIDERS"]["openai"]

    assert (words["API_KEY"], words["MODEL"]) == ("from-file", "from-environment")


def test_a_number_that_is_none_is_refused_by_name(load):
    with pytest.raises(ImproperlyConfigured, match=r"ANSWER_TTL.*soon"):
        load(ANSWER_TTL="soon")


def test_the_dotenv_example_names_every_variable_and_its_default(load):
    shown = re.findall(
        r"^#([A-Z_]+)=(.*)$", (ROOT / "example_project" / ".env.example").read_text("utf-8"), re.MULTILINE
    )
    plain = load()
    asked = environ.Env.ENVIRON.asked
    theirs = {"SECRET_KEY", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "DATABASE_URL"}

    as_shown = load(**{name: value for name, value in shown if name not in theirs})

    assert {name for name, _ in shown} == asked
    assert [as_shown.DEBUG, as_shown.LLMCACHE, as_shown.STANDIN_LATENCY, as_shown.LOGGING] == [
        plain.DEBUG, plain.LLMCACHE, plain.STANDIN_LATENCY, plain.LOGGING,
    ]  # fmt: skip
