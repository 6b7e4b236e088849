"""The family of errors: what each one is, and that it survives a copy."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from django_llmcache import exceptions
from django_llmcache.exceptions import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    LLMCacheError,
    MissingAPIKeyError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
    UncacheableRequest,
    provider_error_class,
)

FAMILY = [kind for _, kind in inspect.getmembers(exceptions, inspect.isclass) if issubclass(kind, Exception)]
OF_PROVIDERS = [kind for kind in FAMILY if issubclass(kind, ProviderError)]
COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
}


@pytest.mark.parametrize("kind", FAMILY)
def test_every_error_is_of_one_family_and_says_what_it_means(kind):
    assert issubclass(kind, LLMCacheError)
    assert kind.__doc__


def test_an_error_is_caught_by_what_the_reader_can_do():
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(MissingAPIKeyError, ConfigurationError)
    assert issubclass(MissingAPIKeyError, ProviderError)
    assert issubclass(ProviderTimeoutError, ProviderConnectionError)
    assert not issubclass(ProviderError, ConfigurationError)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, AuthenticationError),
        (404, BadRequestError),
        (422, BadRequestError),
        (429, RateLimitError),
        (499, BadRequestError),
        (500, ServerError),
        (503, ServerError),
        (529, ServerError),
        (302, BadRequestError),
    ],
)
def test_a_status_stands_for_one_of_them(status, expected):
    assert provider_error_class(status) is expected


def test_an_error_of_a_provider_keeps_what_it_said():
    error = RateLimitError(
        "Wait.", provider="openai", status=429, body=b"{}", request_id="req_1", retry_after=1.5
    )  # fmt: skip

    assert str(error) == "Wait."
    assert (error.provider, error.status, error.body) == ("openai", 429, b"{}")
    assert (error.request_id, error.retry_after) == ("req_1", 1.5)


def test_an_error_without_an_answer_has_no_status():
    error = ProviderConnectionError("Refused.", provider="openai")

    assert (error.status, error.body, error.request_id, error.retry_after) == (None, b"", None, None)


@pytest.mark.parametrize("made", COPIES)
@pytest.mark.parametrize("kind", OF_PROVIDERS)
def test_a_copy_of_an_error_is_the_same_error(kind, made):
    """A task queue pickles what a task raised; a waiter of a shared call gets a copy."""
    error = kind("No.", provider="openai", status=500, body=b"x", request_id="r", retry_after=2)
    error.add_note("a note")
    twin = COPIES[made](error)

    assert type(twin) is kind
    assert str(twin) == "No."
    assert vars(twin) == vars(error)


@pytest.mark.parametrize("made", COPIES)
def test_a_request_without_a_key_keeps_its_reason(made):
    twin = COPIES[made](UncacheableRequest("No key.", reason="no_scope"))

    assert (str(twin), twin.reason) == ("No key.", "no_scope")
    assert UncacheableRequest("No key.").reason == "unencodable"
