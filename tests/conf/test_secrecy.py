"""No message shows an API key, wherever somebody wrote it."""

from __future__ import annotations

import traceback

import pytest
from django.test import RequestFactory, override_settings
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from django_llmcache import checks, conf, providers
from django_llmcache.exceptions import ConfigurationError

CANARY = "sk-canary-that-nobody-may-see"

MISPLACED = [
    {"PROVIDERS": CANARY},
    {"PROVIDERS": [{"openai": {"API_KEY": CANARY}}]},
    {"PROVIDERS": {"openai": CANARY}},
    {"PROVIDERS": {"openai": [CANARY]}},
    {"PROVIDERS": {"openai": {"API_KEY": [CANARY]}}},
    {"PROVIDERS": {"openai": {"API_KEY": CANARY.encode()}}},
    {"PROVIDERS": {"openai": {"API_KEY": {"VALUE": CANARY}}}},
    {"PROVIDERS": {"openai": {"APIKEY": CANARY}}},
    {"PROVIDERS": {"openai": {"HEADERS": f"Authorization: {CANARY}"}}},
    {"PROVIDERS": {"openai": {"HEADERS": [("Authorization", CANARY)]}}},
    {"PROVIDERS": {"openai": {"BASE_URL": f"user:{CANARY}@example.com"}}},
    {"PROVIDERS": {5: {"API_KEY": CANARY}}},
    {"OPTIONS": f"redis://:{CANARY}@cache.example.com"},
    {"OPENAI_API_KEY": CANARY},
]
WRONG_BESIDE_IT = {"DEFAULT_TTL": "soon", "PROVIDERS": {"openai": {"API_KEY": CANARY}}}
EACH = pytest.mark.parametrize("raw", MISPLACED, ids=lambda raw: repr(raw).replace(CANARY, "KEY"))


@EACH
def test_no_error_shows_it(raw):
    try:
        with override_settings(LLMCACHE=raw):
            conf.current()
    except ConfigurationError as error:
        said = "".join(traceback.format_exception(error))
    else:
        said = ""

    assert CANARY not in said


@EACH
def test_no_check_shows_it(raw):
    with override_settings(LLMCACHE=raw):
        messages = checks.check_settings()

    assert messages
    assert CANARY not in "".join(f"{message}{message!r}" for message in messages)


def test_what_is_made_of_it_does_not_show_it():
    with override_settings(LLMCACHE={"PROVIDERS": {"openai": {"API_KEY": CANARY}}}):
        shown = f"{conf.current()!r}{providers.get('openai')!r}"

    assert CANARY not in shown


def test_djangos_page_of_an_error_does_not_show_it():
    with override_settings(DEBUG=True, LLMCACHE={"PROVIDERS": {"openai": {"API_KEY": CANARY}}}):
        listed = SafeExceptionReporterFilter().get_safe_settings()["LLMCACHE"]

    assert listed["PROVIDERS"]["openai"]["API_KEY"] == SafeExceptionReporterFilter.cleansed_substitute


@pytest.mark.parametrize("debug", [True, False])
def test_nor_does_a_report_with_the_variables_of_every_frame(debug):
    with override_settings(DEBUG=debug, LLMCACHE=WRONG_BESIDE_IT):
        try:
            conf.current()
        except ConfigurationError as error:
            report = ExceptionReporter(RequestFactory().get("/"), type(error), error, error.__traceback__)
            page = report.get_traceback_html()

    assert "DEFAULT_TTL" in page
    assert CANARY not in page
