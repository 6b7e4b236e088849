"""DjangoCacheBackend keeps the contract on every kind of alias that Django has, on real servers."""

from __future__ import annotations

import pytest
from django.core.cache import caches
from django.test import override_settings

from django_llmcache.backends.django_cache import DjangoCacheBackend
from tests import stores

from .contract import BackendContract, StoringContract

ALIAS = "llm"


class _Alias:
    """An alias of ``CACHES`` for each test, in which nothing is kept yet."""

    kind = ""
    options: dict[str, object] = {}

    counts = False
    lists = False
    tells = False

    @pytest.fixture
    def place(self, tmp_path):
        known = {"default": caches.settings["default"], ALIAS: stores.alias_for(self.kind, tmp_path)}
        with override_settings(CACHES=known):
            yield

    def make(self, **settings):
        return DjangoCacheBackend({"ALIAS": ALIAS, **self.options}, **settings)


class TestOverRedis(_Alias, StoringContract):
    kind = "redis"


class TestOverDjangoRedis(_Alias, StoringContract):
    kind = "django-redis"


class TestOverMemcached(_Alias, StoringContract):
    kind = "memcached"


class TestOverLocMem(_Alias, StoringContract):
    kind = "locmem"


class TestOverFiles(_Alias, StoringContract):
    kind = "file"
    options = {"READ_TIMEOUT": 10, "WRITE_TIMEOUT": 10}


class _Database(_Alias):
    """A table in a database of its own, on connections that are not the test's."""

    kind = "database"
    options = {"READ_TIMEOUT": 10, "WRITE_TIMEOUT": 10}

    database = ""

    @pytest.fixture
    def place(self, tmp_path, django_db_blocker):
        with django_db_blocker.unblock(), stores.table_in(stores.database_for(self.database, tmp_path), tmp_path):
            yield


class TestOverSQLite(_Database, StoringContract):
    database = "sqlite"


class TestOverPostgreSQL(_Database, StoringContract):
    database = "postgres"


class TestOverDummy(_Alias, BackendContract):
    kind = "dummy"
