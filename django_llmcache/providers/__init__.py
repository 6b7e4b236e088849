"""The providers by name. A dotted path in ``PROVIDERS[name]["CLASS"]`` adds one or replaces one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from django.utils.module_loading import import_string

from django_llmcache import conf
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.spelling import near

from .base import Messages, Place, Provider

__all__ = ["Messages", "Place", "Provider", "built_in", "get", "names"]

BUILT_IN: Final[Mapping[str, str]] = {
    "anthropic": "django_llmcache.providers.anthropic.Anthropic",
    "deepseek": "django_llmcache.providers.openai.DeepSeek",
    "gemini": "django_llmcache.providers.gemini.Gemini",
    "groq": "django_llmcache.providers.openai.Groq",
    "lmstudio": "django_llmcache.providers.openai.LMStudio",
    "mistral": "django_llmcache.providers.openai.Mistral",
    "ollama": "django_llmcache.providers.ollama.Ollama",
    "openai": "django_llmcache.providers.openai.OpenAI",
    "openrouter": "django_llmcache.providers.openai.OpenRouter",
    "together": "django_llmcache.providers.openai.Together",
    "vllm": "django_llmcache.providers.openai.VLLM",
    "xai": "django_llmcache.providers.openai.XAI",
}
"""Every provider that comes with the package."""


def names() -> list[str]:
    """Return every name that ``get`` knows, sorted."""
    return sorted({*BUILT_IN, *conf.current().providers})


def get(name: str) -> Provider:
    """Return the provider of this name, made as the settings in force say.

    Raises:
        ConfigurationError: no such name, or its class does not import or is no ``Provider``.
    """
    words = conf.current().providers.get(name, {})
    default = "django_llmcache.providers.openai.Compatible" if "BASE_URL" in words else None
    path = words.get("CLASS") or BUILT_IN.get(name) or default
    if path is None:
        raise ConfigurationError(_unknown(name))
    provider_class = conf.imported(f"settings.LLMCACHE['PROVIDERS'][{name!r}]['CLASS'] is", path)
    if not (isinstance(provider_class, type) and issubclass(provider_class, Provider)):
        raise ConfigurationError(
            f"settings.LLMCACHE['PROVIDERS'][{name!r}]['CLASS'] is {path!r}, "
            f"which is no subclass of django_llmcache.providers.Provider."
        )
    variable = provider_class.key_variable or _variable_for(name)
    provider = provider_class(name, base_url=words.get("BASE_URL"), key_variable=variable)
    if conf.current().key_headers:
        provider.rules = provider.rules.with_headers(conf.current().key_headers)
    return provider


def built_in(name: str) -> type[Provider] | None:
    """Return the class that comes with the package under this name, whatever the settings put in its place."""
    path = BUILT_IN.get(name)
    found: type[Provider] | None = None if path is None else import_string(path)
    return found


def _variable_for(name: str) -> str:
    """Return the environment variable of a service that nobody described; never another provider's."""
    return re.sub(r"\W", "_", name).upper() + "_API_KEY"


def _unknown(name: object) -> str:
    known = sorted(word for word in names() if word != name)  # itself is there, where only the settings name it
    meant = near(name, known)
    hint = f" Did you mean {meant!r}?" if meant else ""
    return (
        f"No provider is named {name!r}.{hint} Known: {', '.join(known)}. "
        f"For another service with OpenAI's API, set LLMCACHE['PROVIDERS'][{name!r}]['BASE_URL']; "
        f"else see docs/adding-a-provider.md."
    )
