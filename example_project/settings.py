"""The example project. Every value comes from the environment or ``.env``, and has a default: see ``.env.example``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

HERE = Path(__file__).resolve().parent
BASE_DIR = HERE.parent

env = environ.Env()
env.read_env(HERE / ".env")  # a variable that is set already wins over the file


def number(read: Callable[..., Any], name: str, default: float) -> Any:
    """Return a variable as a number; name it where it is none, which ``read`` alone would not."""
    try:
        return read(name, default=default)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is {env.str(name)!r} in the environment or .env; give a number.") from error


DEBUG = env.bool("DEBUG", default=True)
SECRET_KEY = env.str("SECRET_KEY", default="") or get_random_secret_key()
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "example_project",  # first, for its own runserver
    "django_llmcache",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
# Only the admin needs it: the chat page opens neither a session nor a connection.
DATABASES = {
    "default": env.db_url("DATABASE_URL")
    if env.str("DATABASE_URL", default="")
    else {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
USE_TZ = True
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django_llmcache": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")}},
}

MODELS = {
    "openai": env.str("OPENAI_MODEL", default="gpt-4o-mini"),
    "anthropic": env.str("ANTHROPIC_MODEL", default="claude-haiku-4-5"),
    "gemini": env.str("GEMINI_MODEL", default="gemini-flash-latest"),
    "groq": env.str("GROQ_MODEL", default="llama-3.1-8b-instant"),
    "mistral": env.str("MISTRAL_MODEL", default="mistral-small-latest"),
    "xai": env.str("XAI_MODEL", default="grok-3"),
}
LLMCACHE = {
    "DEFAULT_TTL": number(env.int, "ANSWER_TTL", 15 * 60),
    "OPTIONS": {"MAX_ENTRIES": number(env.int, "ANSWER_ENTRIES", 10_000)},
    "MIDDLEWARE": [
        "django_llmcache.middleware.logging.LoggingMiddleware",
        "django_llmcache.middleware.cache.CacheMiddleware",
    ],
    "PROVIDERS": {
        name: {
            "API_KEY": env.str(f"{name.upper()}_API_KEY", default="").strip() or None,
            "MODEL": model,
            "TIMEOUT": number(env.float, "PROVIDER_TIMEOUT", 60.0),
        }
        for name, model in MODELS.items()
    },
    "TEST_CACHE": {"DIR": "example_project/tests/llm_fixtures"},
}
TEST_RUNNER = "example_project.runner.ExampleRunner"
# What stands in for a provider without a key takes this many seconds for an answer.
STANDIN_LATENCY = number(env.float, "STANDIN_LATENCY", 0.8)
