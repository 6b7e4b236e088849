"""docs/settings.md says what the code does: each setting is documented as it is, and read."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from django.test import override_settings

import django_llmcache
from django_llmcache import checks, conf, providers
from django_llmcache.backends.memory import MemoryBackend
from django_llmcache.providers.target import Target
from django_llmcache.shapes import TIMEOUT

PACKAGE = Path(django_llmcache.__file__).parent
PAGE = (PACKAGE.parent / "docs/settings.md").read_text(encoding="utf-8")


def table(first_heading):
    """Return the rows of the table whose first column is headed so, by what their first cell has in backticks."""
    lines = PAGE[PAGE.index(f"| {first_heading} |") :].splitlines()
    rows = {}
    for line in lines[2:]:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[re.search("`(.+?)`", name)[1]] = cells
    return rows


def value(cell):
    """Return what a default in backticks means."""
    return eval(cell.strip("`"))  # the page is ours


def sections():
    """Return the text below each heading that has a setting's name."""
    parts = re.split(r"^#{2,3} (.+)$", PAGE, flags=re.MULTILINE)
    return {name.strip("`"): text for name, text in zip(parts[1::2], parts[2::2], strict=True) if "`" in name}


def settings_examples():
    """Return the code of each block that sets LLMCACHE."""
    blocks = re.findall(r"```python\n(.+?)```", PAGE, flags=re.DOTALL)
    return [block for block in blocks if "LLMCACHE = {" in block]


def trees():
    """Return the syntax tree of each module but conf."""
    return [
        ast.parse(file.read_text())
        for file in sorted(PACKAGE.rglob("*.py"))
        if file.name not in ("conf.py", "typedsettings.py")
    ]


def parts_of(tree, kind):
    return [node for node in ast.walk(tree) if isinstance(node, kind)]


class TestSettings:
    def test_the_table_lists_those_that_are_read_in_their_order(self):
        assert list(table("setting")) == list(conf.SETTINGS)

    def test_each_has_a_section_with_an_example_of_its_own(self):
        assert set(sections()) == set(conf.SETTINGS)
        assert [name for name, text in sections().items() if f'"{name}": ' not in text] == []

    @pytest.mark.parametrize("name", conf.SETTINGS)
    def test_type_and_default_are_those_of_the_code(self, name):
        kind, default, _ = table("setting")[name]

        assert (kind, value(default)) == (conf.names_of(conf.SETTINGS[name].types), conf.SETTINGS[name].default)

    @pytest.mark.parametrize("block", settings_examples())
    def test_an_example_is_right(self, block):
        names = {}
        exec(block, names)  # the page is ours
        paths = {"CACHEABLE": "tests.conf.parts.public", "SCOPE": "tests.conf.parts.public"}
        raw = names["LLMCACHE"] | {key: path for key, path in paths.items() if "." in str(names["LLMCACHE"].get(key))}

        with override_settings(LLMCACHE=raw):
            assert checks.check_settings() == []

    def test_each_is_taken_from_the_dict_and_no_other_is(self):
        tree = ast.parse((PACKAGE / "typedsettings.py").read_text())
        read = {
            node.slice.value
            for node in parts_of(tree, ast.Subscript)
            if isinstance(node.value, ast.Name) and node.value.id == "values" and isinstance(node.slice, ast.Constant)
        }

        assert read == set(conf.SETTINGS)

    def test_each_attribute_is_used_outside_of_conf(self):
        attributes = set(vars(conf.Settings({})))
        used = {
            node.attr
            for tree in trees()
            for node in parts_of(tree, ast.Attribute)
            if ast.unparse(node.value).endswith(("settings", "current()"))
        }
        for method in parts_of(ast.parse((PACKAGE / "typedsettings.py").read_text()), ast.FunctionDef):
            if method.name in used:  # such as ttl_for, which reads what it needs of itself
                used |= {node.attr for node in parts_of(method, ast.Attribute) if ast.unparse(node.value) == "self"}

        assert attributes - used == set()
        assert {name.lower() for name in conf.SETTINGS} == attributes


class TestProviders:
    def test_the_table_lists_the_keys_that_are_read_in_their_order(self):
        assert list(table("key")) == list(conf.PROVIDER_KEYS)

    @pytest.mark.parametrize("key", conf.PROVIDER_KEYS)
    def test_the_type_is_that_of_the_code(self, key):
        assert table("key")[key][0] == conf.names_of(conf.PROVIDER_KEYS[key])

    def test_the_defaults_are_those_of_the_code(self):
        defaults = {key: cells[1] for key, cells in table("key").items()}

        assert value(defaults["TIMEOUT"]) == TIMEOUT
        assert [defaults[key] for key in ("API_KEY", "MODEL", "HEADERS")] == ["`None`", "`None`", "`{}`"]
        assert [defaults[key] for key in ("CACHE", "TTL")] == ["`CACHE_BY_DEFAULT`", "`DEFAULT_TTL`"]

    def test_each_key_is_read_outside_of_conf_or_for_the_time_to_live(self):
        read = set()
        for tree in [*trees(), ast.parse((PACKAGE / "typedsettings.py").read_text())]:
            for call in parts_of(tree, ast.Call):
                if isinstance(call.func, ast.Attribute) and call.func.attr == "get":
                    read |= {node.value for node in call.args if isinstance(node, ast.Constant)}

        assert set(conf.PROVIDER_KEYS) - read == set()

    def test_the_built_in_ones_are_listed_with_their_addresses_and_variables(self):
        listed = {name: (address.strip("`"), variable) for name, (address, variable) in table("provider").items()}
        built_in = {name: providers.get(name) for name in providers.names()}

        assert listed == {
            name: (each.base_url, f"`{each.key_variable}`" + ("" if each.needs_key else " (optional)"))
            for name, each in built_in.items()
        }

    def test_the_time_out_is_the_one_that_is_used_where_none_is_said(self, monkeypatch):
        wire, _ = Target(providers.get("ollama"))._prepared(_request())

        assert wire.timeout == TIMEOUT


def _request():
    return django_llmcache.LLMRequest("ollama", payload={"model": "m"}, base_url="http://localhost", path="/api/chat")


class TestOptions:
    def test_the_table_lists_those_of_the_in_process_backend(self):
        backend = MemoryBackend({})

        assert {name: value(cells[1]) for name, cells in table("option").items()} == {
            "MAX_ENTRIES": backend.max_entries,
            "MAX_BYTES": backend.max_bytes,
        }

    @pytest.mark.parametrize("option", table("option"))
    def test_each_is_known_to_it(self, option):
        assert getattr(MemoryBackend({option: 5}), option.lower()) == 5

    def test_no_other_is(self):
        with pytest.raises(ValueError, match=f"knows {' and '.join(table('option'))} alone"):
            MemoryBackend({"MAX_SIZE": 5})


class TestChecks:
    def test_the_ids_are_those_of_the_code(self):
        code = "".join(path.read_text() for path in PACKAGE.glob("checks/*.py"))
        raised = set(re.findall(r'"(?:llmcache\.)?([EW]\d{3})"', code))

        assert set(table("id")) == {f"llmcache.{number}" for number in raised}

    def test_the_docstring_of_the_code_has_them_too(self):
        assert set(table("id")) == set(re.findall(r"^(llmcache\.\w+)", checks.__doc__, re.MULTILINE))
