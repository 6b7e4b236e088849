"""What the system checks find, by their ids."""

from __future__ import annotations

import importlib
import sys

import pytest
from django.core.cache import caches
from django.core.checks import registry, run_checks
from django.test import override_settings

from django_llmcache import LLMRequest, cache, checks, conf
from django_llmcache.checks import TAG
from django_llmcache.exceptions import ConfigurationError
from tests import stores
from tests.pipeline.world import CACHE, LOGGING, RETRY

HERE = "tests.conf.parts"
SCOPES = "django_llmcache.middleware.scope.RequestScopeMiddleware"


def found(*, deploy=False, **llmcache):
    """Return what Django's own runner of checks says of these settings."""
    with override_settings(LLMCACHE=llmcache):
        return [
            message for message in run_checks(include_deployment_checks=deploy) if message.id.startswith("llmcache.")
        ]


def ids(messages):
    return [message.id.removeprefix("llmcache.") for message in messages]


def only(messages):
    """Return the one message, which must say what to do."""
    [message] = messages
    assert message.hint
    return message


def test_nothing_is_wrong_with_the_defaults():
    assert found() == []


def test_nothing_is_wrong_without_the_setting(settings):
    assert not hasattr(settings, "LLMCACHE")
    assert [message for message in run_checks() if message.id.startswith("llmcache.")] == []


def test_the_tag_of_the_caches_and_one_of_their_own_select_them():
    with override_settings(LLMCACHE={"ENABLE": True}):
        assert ids(run_checks(tags=["caches"])) == ids(run_checks(tags=[TAG])) == ["E001"]


def test_registering_again_changes_nothing():
    before = len(registry.registry.get_checks(include_deployment_checks=True))
    checks.connect()

    assert before == len(registry.registry.get_checks(include_deployment_checks=True))


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("raw", "text", "hint"),
        [
            ({"ENABLE": True}, "LLMCACHE has the unknown key 'ENABLE'.", "Did you mean 'ENABLED'?"),
            ({"default_ttl": 5}, "LLMCACHE has the unknown key 'default_ttl'.", "Did you mean 'DEFAULT_TTL'?"),
            ({"MIDLEWARE": []}, "LLMCACHE has the unknown key 'MIDLEWARE'.", "Did you mean 'MIDDLEWARE'?"),
            (
                {"PROVIDERS": {"openai": {"APIKEY": "sk"}}},
                "LLMCACHE['PROVIDERS']['openai'] has the unknown key 'APIKEY'.",
                "Did you mean 'API_KEY'?",
            ),
            (
                {"TTL_RULES": [{"TTL": 1}, {"PROVDER": "openai", "TTL": 1}]},
                "LLMCACHE['TTL_RULES'][1] has the unknown key 'PROVDER'.",
                "Did you mean 'PROVIDER'?",
            ),
            (
                {"TEST_CACHE": {"DIRR": "x"}},
                "LLMCACHE['TEST_CACHE'] has the unknown key 'DIRR'.",
                "Did you mean 'DIR'?",
            ),
        ],
        ids=str,
    )
    def test_the_close_match_is_named(self, raw, text, hint):
        message = only(found(**raw))

        assert (message.id, message.msg, message.hint) == ("llmcache.E001", text, hint)
        assert message.is_serious()

    def test_where_nothing_is_close_the_known_ones_are_named(self):
        message = only(found(XYZZY=True))

        assert message.hint == f"Known: {', '.join(sorted(conf.SETTINGS))}."

    def test_a_key_that_is_no_text_is_unknown_too(self):
        with override_settings(LLMCACHE={5: True}):
            assert ids(checks.check_settings()) == ["E001"]

    def test_each_is_told_and_wrong_values_beside_them(self):
        assert ids(found(ENABLE=True, SCOP="a", DEFAULT_TTL="soon", ENABLED="yes")) == ["E001", "E001", "E002", "E002"]

    def test_what_arrives_with_another_version_is_unknown(self):
        assert ids(found(FROBNICATE={"DIR": "x"})) == ["E001"]


class TestWrongValues:
    @pytest.mark.parametrize(
        ("raw", "said"),
        [
            ({"ENABLED": "yes"}, "settings.LLMCACHE['ENABLED'] is 'yes'; it must be bool."),
            ({"DEFAULT_TTL": "soon"}, "settings.LLMCACHE['DEFAULT_TTL'] is 'soon'; it must be int or float or"),
            ({"DEFAULT_TTL": -1}, "settings.LLMCACHE['DEFAULT_TTL'] is -1; it cannot be negative."),
            ({"TTL_RULES": [{"TTL": -1}]}, "settings.LLMCACHE['TTL_RULES'][0]['TTL'] is -1; it cannot be negative."),
            (
                {"PROVIDERS": {"openai": {"TTL": -1}}},
                "settings.LLMCACHE['PROVIDERS']['openai']['TTL'] is -1; it cannot be negative.",
            ),
            (
                {"CLEANUP_INTERVAL": 0},
                "settings.LLMCACHE['CLEANUP_INTERVAL'] is 0; it must be a finite number above 0.",
            ),
            ({"MIDDLEWARE": [5]}, "settings.LLMCACHE['MIDDLEWARE'][0] is 5; it must be str."),
        ],
        ids=str,
    )
    def test_the_value_and_what_it_must_be_are_named(self, raw, said):
        message = only(found(**raw))

        assert message.id == "llmcache.E002"
        assert message.msg.startswith(said)

    @pytest.mark.parametrize(
        ("raw", "places"),
        [
            (
                {"TEST_CACHE": {"MODE": "record", "TTL": -1, "HOSTS": "localhost:8000", "DIR": 3, "FALLBACK": "any"}},
                ["['MODE']", "['TTL']", "['HOSTS']", "['DIR']", "['FALLBACK']"],
            ),
            (
                {"PROVIDERS": {"openai": {"TTL": -1, "TIMEOUT": 0}, "groq": {"CACHE": "yes"}, "xai": None}},
                ["['openai']['TTL']", "['openai']['TIMEOUT']", "['groq']['CACHE']", "['xai']"],
            ),
        ],
        ids=["TEST_CACHE", "PROVIDERS"],
    )
    def test_of_a_setting_with_words_of_its_own_each_wrong_one_is_told(self, raw, places):
        [name] = raw
        messages = found(**raw)

        assert [message.id for message in messages] == ["llmcache.E002"] * len(places)
        for message, place in zip(messages, places, strict=True):
            assert message.msg.startswith(f"settings.LLMCACHE['{name}']{place} is ")

    @pytest.mark.parametrize(
        ("entry", "shown"),
        [
            ("http://127.0.0.1:8765/v1", "http://127.0.0.1:8765/v1"),
            ("http://127.0.0.1:8765", "http://127.0.0.1:8765"),
            ("127.0.0.1:8765/v1", "127.0.0.1:8765/v1"),
            ("gateway.example/", "gateway.example/"),
            ("127.0.0.1:8765?beta", "127.0.0.1:8765?…"),
            ("gateway.example#part", "gateway.example#part"),
            ("gateway.example, other.example", "gateway.example, other.example"),
            ("http:gateway.example", "http:gateway.example"),
            ("gateway.example:", "gateway.example:"),
            ("[::1:8000", "[::1:8000"),
            ("team:s3cret@gateway.example:8443", "…@gateway.example:8443"),
            ("http://team:s3/c?ret@gateway.example", "http://…@gateway.example"),
            ("https://team:s3cret@gateway.example?key=s3cret", "https://…@gateway.example?…"),
        ],
    )
    def test_an_address_is_no_host(self, entry, shown):
        message = only(found(TEST_CACHE={"HOSTS": ["localhost:8000", entry]}))

        assert message.id == "llmcache.E002"
        assert message.msg == (
            f"settings.LLMCACHE['TEST_CACHE']['HOSTS'][1] is {shown!r}; give host or host:port, such as 127.0.0.1:8765."
        )

    def test_the_hint_tells_of_the_types_and_the_default(self):
        hint = only(found(RUN_DIR=5)).hint

        assert hint == "RUN_DIR is str or Path or None, None when it is left out; see docs/settings.md."

    def test_of_a_part_the_hint_says_where_it_is_described(self):
        hint = only(found(PROVIDERS={"openai": {"TIMEOUT": "soon"}})).hint

        assert hint == "docs/settings.md says what each part of PROVIDERS may be."

    @pytest.mark.parametrize("raw", [None, [], "ENABLED"], ids=repr)
    def test_the_whole_must_be_a_dict(self, raw):
        with override_settings(LLMCACHE=raw):
            message = only(checks.check_settings())

        assert message.id == "llmcache.E002"


PATHS = {
    "STRATEGY": lambda path: {"STRATEGY": path},
    "BACKEND": lambda path: {"BACKEND": path},
    "MIDDLEWARE": lambda path: {"MIDDLEWARE": [path]},
    "CACHEABLE": lambda path: {"CACHEABLE": path},
    "SCOPE": lambda path: {"SCOPE": path},
    "PROVIDERS": lambda path: {"PROVIDERS": {"mine": {"CLASS": path}}},
}


class TestImports:
    @pytest.mark.parametrize("setting", PATHS)
    @pytest.mark.parametrize(
        "path",
        ["no.such.module", f"{HERE}.NoSuchName", "tests.conf.broken_module.Thing", ".relative", "a..b", f"{HERE}."],
    )
    def test_a_path_that_does_not_import_is_named(self, setting, path):
        message = only(found(**PATHS[setting](path)))

        assert message.id == "llmcache.E003"
        assert f"'{setting}'" in message.msg
        assert f"LLMCACHE['{setting}']" in message.hint

    @pytest.mark.parametrize("setting", PATHS)
    def test_what_imports_but_is_of_no_use_is_named(self, setting):
        message = only(found(**PATHS[setting](f"{HERE}.NOT_CALLABLE")))

        assert message.id == "llmcache.E003"
        assert f"'{setting}'" in message.msg

    @pytest.mark.parametrize("setting", ["STRATEGY", "BACKEND", "CACHEABLE", "SCOPE", "PROVIDERS"])
    def test_a_text_without_a_dot_is_no_path_but_a_scope(self, setting):
        assert ids(found(**PATHS[setting]("word"))) == ([] if setting == "SCOPE" else ["E003"])

    def test_each_is_told(self):
        raw = {"STRATEGY": "a.B", "BACKEND": "a.B", "CACHEABLE": "a.b", "SCOPE": "a.b", "MIDDLEWARE": ["a.B"]}

        assert ids(found(**raw)) == ["E003"] * 5

    def test_what_does_import_is_right(self):
        raw = {
            "STRATEGY": f"{HERE}.TestsOnlyStrategy",
            "BACKEND": f"{HERE}.SharedBackend",
            "CACHEABLE": f"{HERE}.public",
            "SCOPE": f"{HERE}.public",
            "PROVIDERS": {"local": {"CLASS": "django_llmcache.providers.openai.Compatible", "BASE_URL": "http://x/v1"}},
        }

        assert found(**raw) == []

    def test_a_provider_that_nobody_knows_is_told(self):
        message = only(found(PROVIDERS={"opnai": {"MODEL": "m"}}))

        assert message.id == "llmcache.E003"
        assert "Did you mean 'openai'?" in message.msg
        assert message.hint == "Mend the name, or set BASE_URL or CLASS in LLMCACHE['PROVIDERS']['opnai']."


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"MAX_ENTRIES": 0}, "settings.LLMCACHE['OPTIONS']['MAX_ENTRIES'] is 0; give a whole number from 1."),
            ({"MAX_BYTES": "1 GB"}, "settings.LLMCACHE['OPTIONS']['MAX_BYTES'] is '1 GB'; give a whole number from 1."),
            ({"TIMEOUT": 5}, "settings.LLMCACHE['OPTIONS'] has TIMEOUT; MemoryBackend knows MAX_ENTRIES and MAX_BYTES"),
        ],
        ids=str,
    )
    def test_those_of_the_in_process_backend(self, options, said):
        message = only(found(OPTIONS=options))

        assert message.id == "llmcache.E004"
        assert message.msg.startswith(said)

    def test_those_of_a_backend_of_the_projects_own(self):
        message = only(found(BACKEND=f"{HERE}.SharedBackend", OPTIONS={"HOST": "x"}))

        assert (message.id, message.msg) == ("llmcache.E004", "settings.LLMCACHE['OPTIONS'] has HOST; give URL.")


class TestStores:
    BACKEND = "django_llmcache.backends.django_cache.DjangoCacheBackend"

    @pytest.fixture
    def without(self, monkeypatch):
        """Return a function that lets libraries be missing for the module of ours that needs them."""

        def take_away(home, *libraries):
            monkeypatch.delitem(sys.modules, f"django_llmcache.backends.{home}", raising=False)
            for library in libraries:
                monkeypatch.setitem(sys.modules, library, None)

        return take_away

    @pytest.mark.parametrize(
        ("kind", "library", "extra"), [("redis", "redis", "redis"), ("memcached", "pymemcache", "memcached")]
    )
    def test_a_library_that_is_missing_is_named_with_its_extra_and_calls_go_on(
        self, without, tmp_path, kind, library, extra
    ):
        alias = stores.alias_for(kind, tmp_path)
        without(f"stores.over_{kind}", library)
        chosen = {"BACKEND": self.BACKEND, "OPTIONS": {"ALIAS": "llm"}}
        with override_settings(CACHES={**caches.settings, "llm": alias}, LLMCACHE=chosen):
            message = only(run_checks(tags=[TAG]))
            answer = cache.with_cache(LLMRequest("openai", payload={"model": "m"}), lambda request: {"ok": True})

        assert message.id == "llmcache.W009"
        assert f"settings.CACHES['llm'] needs {library}" in message.msg
        assert f"pip install 'django-llmcache[{extra}]'" in message.msg
        assert answer.data == {"ok": True}

    def test_where_nothing_can_be_sealed_nothing_is_kept_and_calls_say_so(self, without):
        without("encryption", "cryptography", "cryptography.exceptions")
        chosen = {"BACKEND": self.BACKEND, "OPTIONS": {"ALIAS": "default", "ENCRYPT": True}}
        message = only(found(**chosen))
        with override_settings(LLMCACHE=chosen), pytest.raises(ConfigurationError) as raised:
            cache.with_cache(LLMRequest("openai", payload={"model": "m"}), lambda request: {"ok": True})

        assert message.id == "llmcache.E004"
        assert message.msg == str(raised.value)
        assert "pip install 'django-llmcache[encryption]'" in message.msg
        assert message.hint.startswith("Every call raises this until it is installed, or ENCRYPT is left out")

    @pytest.mark.parametrize(("alias", "guess"), [("defalt", "Did you mean 'default'? "), ("llm", "")])
    def test_an_alias_that_there_is_not_is_answered_with_those_that_there_are(self, alias, guess):
        with override_settings(CACHES={"default": caches.settings["default"], "sessions": caches.settings["default"]}):
            message = only(found(BACKEND=self.BACKEND, OPTIONS={"ALIAS": alias}))

        assert message.id == "llmcache.E004"
        assert message.hint == (
            f"{guess}CACHES has default, sessions: give one of them as ALIAS, or add {alias!r} to CACHES."
        )

    def test_options_that_a_shared_backend_needs_are_not_to_be_left_out(self):
        message = only(found(BACKEND=self.BACKEND, OPTIONS={"ALIAS": "default", "READ_TIMEOUT": 0}))

        assert message.hint.startswith("Mend LLMCACHE['OPTIONS']; docs/backends.md says")


class TestInstrument:
    def test_without_the_library_that_it_needs(self, monkeypatch):
        monkeypatch.setattr(checks.settings, "find_spec", lambda name: None)

        message = only(found(INSTRUMENT=True))

        assert message.id == "llmcache.E005"
        assert "pip install 'django-llmcache[instrument]'" in message.hint

    def test_with_it(self):
        assert found(INSTRUMENT=True) == []


class TestWorkers:
    def test_an_in_process_backend_is_a_warning_for_a_deployment(self):
        message = only(found(deploy=True))

        assert message.id == "llmcache.W001"
        assert not message.is_serious()

    def test_a_shared_one_is_none(self):
        assert found(deploy=True, BACKEND=f"{HERE}.SharedBackend") == []

    def test_it_can_be_silenced(self):
        with override_settings(SILENCED_SYSTEM_CHECKS=["llmcache.W001"]):
            assert all(message.is_silenced() for message in found(deploy=True))

    @pytest.mark.parametrize("raw", [{"BACKEND": "a.B"}, {"DEFAULT_TTL": "soon"}], ids=str)
    def test_what_is_wrong_is_told_once(self, raw):
        assert len(found(deploy=True, **raw)) == 1


class TestTestStrategy:
    def test_it_is_right_under_a_test_runner(self):
        assert found(STRATEGY=f"{HERE}.TestsOnlyStrategy") == []

    def test_it_is_a_warning_elsewhere(self, monkeypatch):
        monkeypatch.setattr(conf, "under_test_runner", lambda: False)

        message = only(found(STRATEGY=f"{HERE}.TestsOnlyStrategy"))

        assert message.id == "llmcache.W002"
        assert "TestsOnlyStrategy" in message.msg

    def test_the_production_strategy_is_right_everywhere(self, monkeypatch):
        monkeypatch.setattr(conf, "under_test_runner", lambda: False)

        assert found() == []


class TestTestCache:
    """The switch of the test cache in the environment of a process that runs no tests."""

    @pytest.fixture(autouse=True)
    def no_test_run(self, monkeypatch):
        monkeypatch.setattr(conf, "under_test_runner", lambda: False)

    def test_it_is_told(self, monkeypatch):
        monkeypatch.setenv("LLMCACHE_TEST_CACHE_ENABLED", "true")

        message = only(found())
        assert message.id == "llmcache.W004"
        assert "LLMCACHE_TEST_CACHE_ENABLED" in message.msg
        assert "Unset it" in message.hint

    def test_so_is_one_that_says_neither(self, monkeypatch):
        monkeypatch.setenv("LLMCACHE_TEST_CACHE_ENABLED", "perhaps")

        assert "is 'perhaps'; give true" in only(found()).msg

    def test_off_is_right(self, monkeypatch):
        monkeypatch.setenv("LLMCACHE_TEST_CACHE_ENABLED", "false")

        assert found() == []

    def test_in_a_test_run_it_is_right(self, monkeypatch):
        monkeypatch.setenv("LLMCACHE_TEST_CACHE_ENABLED", "true")
        monkeypatch.setattr(conf, "under_test_runner", lambda: True)

        assert found() == []


class TestContradictions:
    @pytest.mark.parametrize(
        "raw",
        [
            {"ENABLED": False, "CACHE_BY_DEFAULT": True},
            {"REQUIRE_SCOPE": True, "SCOPE": "public"},
            {"MAX_ENTRY_BYTES": 2000, "OPTIONS": {"MAX_BYTES": 1000}},
        ],
        ids=str,
    )
    def test_both_settings_are_named_and_which_holds(self, raw):
        message = only(found(**raw))

        assert message.id == "llmcache.W003"
        assert all(name in message.msg for name in raw if name != "OPTIONS")

    @pytest.mark.parametrize(
        "raw",
        [
            {"OPTIONS": {"MAX_BYTES": 1000}},
            {"MAX_ENTRY_BYTES": 1000, "OPTIONS": {"MAX_BYTES": 1000}},
            {"ENABLED": False},
            {"ENABLED": False, "CACHE_BY_DEFAULT": False},
            {"ENABLED": True, "CACHE_BY_DEFAULT": True},
            {"REQUIRE_SCOPE": True},
            {"REQUIRE_SCOPE": True, "SCOPE": "tenant"},
            {"SCOPE": "public"},
        ],
        ids=str,
    )
    def test_what_agrees_is_right(self, raw):
        assert found(**raw) == []


class TestOrderOfMiddleware:
    @pytest.mark.parametrize("above", [[RETRY], [LOGGING, RETRY]], ids=str)
    def test_retries_above_the_cache_are_a_warning(self, above):
        message = only(found(MIDDLEWARE=[*above, CACHE]))

        assert message.id == "llmcache.W008"
        assert RETRY in message.msg

    @pytest.mark.parametrize("right", [[CACHE, RETRY], [LOGGING, CACHE, RETRY], [RETRY], [LOGGING, CACHE]], ids=str)
    def test_retries_below_it_or_without_it_are_right(self, right):
        assert found(MIDDLEWARE=right) == []


class TestPlaceOfMiddleware:
    @pytest.mark.parametrize(
        "path",
        [
            SCOPES,
            f"{HERE}.TeamScopeMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
    )
    def test_one_for_web_requests_does_not_belong_among_llm_calls(self, path):
        message = only(found(MIDDLEWARE=[path, CACHE]))

        assert message.id == "llmcache.E006"
        assert f"settings.LLMCACHE['MIDDLEWARE'] has {path!r}" in message.msg
        assert "settings.MIDDLEWARE" in message.hint
        assert message.is_serious()

    @pytest.mark.parametrize("path", [CACHE, RETRY, LOGGING, f"{HERE}.Patient"])
    def test_one_for_llm_calls_does_not_belong_among_web_requests(self, settings, path):
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, path]

        message = only(found())

        assert message.id == "llmcache.E006"
        assert f"settings.MIDDLEWARE has {path!r}" in message.msg
        assert "LLMCACHE['MIDDLEWARE']" in message.hint

    def test_each_is_told(self, settings):
        settings.MIDDLEWARE = [CACHE, "no.such.Middleware", RETRY]

        assert ids(found(MIDDLEWARE=[SCOPES, CACHE])) == ["E006"] * 3

    def test_each_where_it_belongs_is_right(self, settings):
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, SCOPES, f"{HERE}.TeamScopeMiddleware", f"{HERE}.Hooks"]

        assert found(MIDDLEWARE=[LOGGING, CACHE, f"{HERE}.Patient", f"{HERE}.Hooks"]) == []


class TestIgnoredFields:
    @pytest.mark.parametrize(
        "path",
        [
            *("messages", "messages.*", "messages.*.content", "messages[0].content", "messages.1"),
            *("contents", "contents.*.parts", "input", "model", "prompt"),
        ],
    )
    def test_one_that_says_what_is_asked_is_a_warning(self, path):
        message = only(found(IGNORE_FIELDS=["trace_id", path]))

        assert message.id == "llmcache.W005"
        assert repr(path) in message.msg

    def test_what_is_inside_it_is_right(self):
        assert found(IGNORE_FIELDS=["messages.*.id", "messages[0].id", "input.*.status", "arguments.trace_id"]) == []

    @pytest.mark.parametrize("path", ["", ".", "a..b", "a.", ".a", "a[].b"])
    def test_a_path_with_a_step_without_a_name_is_an_error(self, path):
        message = only(found(IGNORE_FIELDS=["trace_id", path]))

        assert message.id == "llmcache.E002"
        assert f"['IGNORE_FIELDS'][1] is {path!r}; give a path such as" in message.msg


class TestHeadersAndAddresses:
    @pytest.mark.parametrize(
        ("headers", "told"),
        [
            ({3: "x"}, "The header 3 in "),
            ({"é": "x"}, "The header 'é' in "),
            ({"X-Blank": " secret-x"}, "The header X-Blank in "),
            ({"Host": "secret-x"}, "The header Host in "),
        ],
        ids=ascii,
    )
    def test_a_header_that_cannot_be_sent_is_an_error_without_its_value(self, headers, told):
        message = only(found(PROVIDERS={"openai": {"HEADERS": headers, "API_KEY": "sk-secret-x"}}))

        assert message.id == "llmcache.E002"
        assert f"{told}settings.LLMCACHE['PROVIDERS']['openai']['HEADERS']" in message.msg
        assert "secret-x" not in message.msg + str(message.hint)

    @pytest.mark.parametrize("url", ["https://a.example/v1?key=secret-x", "https://a.example/v1#secret-x"])
    def test_an_address_that_has_no_place_for_a_path_is_an_error(self, url):
        message = only(found(PROVIDERS={"house": {"BASE_URL": url}}))

        assert message.id == "llmcache.E002"
        assert "['BASE_URL'] must have no ? and no #" in message.msg
        assert "secret-x" not in message.msg

    @pytest.mark.parametrize(
        "url", ["http://", "https:///v1", "https://[::1/v1", "http://h:99999/v1", "http://h:x", "https://ex ample.com"]
    )
    def test_an_address_that_names_no_host_is_an_error(self, url):
        message = only(found(PROVIDERS={"house": {"BASE_URL": url}}))

        assert message.id == "llmcache.E002"
        assert "['BASE_URL'] must name a host" in message.msg

    @pytest.mark.parametrize("url", ["http://[::1]:8000/v1", "https://user:pass@h.example/v1", "http://h"])
    def test_an_address_that_names_one_is_right(self, url):
        assert found(PROVIDERS={"house": {"BASE_URL": url}}) == []


def test_the_module_that_breaks_does_break():
    with pytest.raises(RuntimeError):
        importlib.import_module("tests.conf.broken_module")
