"""A module imports only from floors below its own, or beside it; and a few things only where they belong."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "django_llmcache"

FLOORS = (
    {
        "admission", "arrivals", "bodies", "bodyrequest", "cacheinfo", "canonical", "conditions", "control", "counting",
        "counts", "credentials", "digests", "durations", "endings", "endpoints", "entry", "errorcopy", "events",
        "exceptions", "explanation", "flight", "headers", "keys", "locks", "messages", "naming", "outages", "parsing",
        "policies", "pulse", "request", "response", "rules", "shapes", "singleflight", "spelling", "tags",
        "testcache", "typedsettings", "upstream", "users", "variables",
    },
    {"conf", "signals", "telemetry"},
    {"backends", "recorder", "workers"},
    {"decisions", "keeping", "lookup", "plans", "refreshing", "sharing", "sitestats", "stats", "strategies"},
    {"pipeline", "middleware"},
    {"providers", "transports"},
    {"binding", "cache", "client", "decorator", "functionrequest"},
    {"apps", "checks", "contrib", "invalidation", "management", "testing"},
)  # fmt: skip
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}

OPTIONAL = {
    "aiohttp", "anthropic", "botocore", "cachebox", "cachetools", "cryptography", "curl_cffi", "debug_toolbar",
    "environ", "grpc", "httpx", "httpx2", "openai", "opentelemetry", "prometheus_client", "pymemcache", "pytest",
    "redis", "responses", "uvloop", "wrapt", "yaml", "zstandard",
}  # fmt: skip
ADAPTERS = {
    "backends/encryption.py": {"cryptography"},
    "backends/stores/over_memcached.py": {"pymemcache"},
    "backends/stores/over_redis.py": {"redis"},
    "backends/stores/redis_address.py": {"redis"},
    "recorder/vcr.py": {"yaml"},
    "testing/interceptors/over_aiohttp.py": {"aiohttp"},
    "testing/interceptors/over_botocore.py": {"botocore"},
    "testing/interceptors/over_curl.py": {"curl_cffi"},
    "testing/interceptors/over_grpc.py": {"grpc"},
    "testing/interceptors/over_httpx.py": {"httpx", "httpx2"},
    "testing/interceptors/over_requests.py": {"responses"},
    "testing/interceptors/over_uvloop.py": {"uvloop"},
    "testing/plugin.py": {"pytest"},
    "testing/pytest_collecting.py": {"pytest"},
    "testing/pytest_items.py": {"pytest"},
    "testing/pytest_levels.py": {"pytest"},
    "testing/pytest_runs.py": {"pytest"},
    "testing/pytest_settings.py": {"pytest"},
    "transports/cached_httpx.py": {"httpx", "httpx2"},
    "transports/instrument.py": {"wrapt"},
    "transports/over_httpx.py": {"httpx2"},
}
"""Files that may import optional libraries, and which."""

PLAIN = {"django", "asgiref", "requests"}
"""What the lowest floor does without."""


class Import(NamedTuple):
    """One name imported, by its absolute dotted path."""

    path: str
    line: int

    @property
    def top(self) -> str:
        return self.path.partition(".")[0]


class Module(NamedTuple):
    """One file of the package with what it imports."""

    name: str
    imports: tuple[Import, ...]

    @property
    def unit(self) -> str:
        """The module or package, at the top of ours, that it is or belongs to."""
        return self.name.partition("/")[0].removesuffix(".py")


@cache
def modules() -> tuple[Module, ...]:
    return tuple(_read(path) for path in sorted(PACKAGE.rglob("*.py")))


def _read(path: Path) -> Module:
    found: list[Import] = []
    here = ("django_llmcache", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else ()
            start = ".".join((*base, *([node.module] if node.module else [])))
            found += [Import(f"{start}.{alias.name}", node.lineno) for alias in node.names]
    return Module(path.relative_to(PACKAGE).as_posix(), tuple(found))


def ours(module: Module) -> list[tuple[Import, str]]:
    """Return the imports from our own package, each with the unit it is of."""
    own = [
        (imported, imported.path.split("."))
        for imported in module.imports
        if imported.path.startswith("django_llmcache.")
    ]
    return [(imported, parts[1]) for imported, parts in own if parts[1] in FLOOR_OF]


def test_every_module_has_a_floor():
    units = {module.unit for module in modules()} - {"__init__"}

    assert units == FLOOR_OF.keys()


def test_no_module_imports_from_a_floor_above_its_own():
    upward = [
        f"{module.name}:{imported.line} imports {imported.path}"
        for module in modules()
        if module.unit != "__init__"
        for imported, unit in ours(module)
        if FLOOR_OF[unit] > FLOOR_OF[module.unit]
    ]

    assert upward == []


def test_the_lowest_floor_needs_neither_django_nor_an_http_library():
    needing = [
        f"{module.name}:{imported.line} imports {imported.path}"
        for module in modules()
        if module.unit in FLOORS[0]
        for imported in module.imports
        if imported.top in PLAIN
    ]

    assert needing == []


def test_the_pytest_plugin_loads_nothing_but_pytest_for_a_project_that_has_no_live_api_tests():
    code = (
        "import sys, pytest; before = {*sys.modules}; import django_llmcache.testing.plugin\n"
        "tops = {name.partition('.')[0] for name in {*sys.modules} - before}\n"
        "print(*sorted(tops - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["django_llmcache"]


@pytest.mark.parametrize("name", ["changes", "hooks", "levels", "sessions"])
def test_what_hooks_unittest_when_django_test_is_imported_does_not_import_it_itself(name):
    code = (
        "import django, sys; from django.conf import settings; settings.configure(INSTALLED_APPS=['django_llmcache'])\n"
        f"django.setup(); import django_llmcache.testing.{name}; sys.exit('django.test' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_only_conf_reads_djangos_settings():
    reading = {
        module.name
        for module in modules()
        for imported in module.imports
        if imported.path in ("django.conf.settings", "django.conf")
    }

    assert reading == {"conf.py"}


def test_only_conf_knows_the_environment_and_what_it_says_to_a_run_and_the_demo_which_keeps_proxies_out_of_its_way():
    reading = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv") and _is_os(node.value)
    }

    assert reading == {"conf.py", "contrib/demo/show.py", "variables.py"}


def _is_os(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "os"


def test_an_optional_library_is_imported_by_its_own_adapter_alone():
    importing = [
        f"{module.name}:{imported.line} imports {imported.top}"
        for module in modules()
        for imported in module.imports
        if imported.top in OPTIONAL - ADAPTERS.get(module.name, set())
    ]

    assert importing == []


def test_only_the_testing_package_imports_what_belongs_to_tests():
    importing = [
        f"{module.name}:{imported.line} imports {imported.path}"
        for module in modules()
        if module.unit != "testing"
        for imported in module.imports
        if imported.path.startswith(("django.test", "tests", "unittest"))
    ]

    assert importing == []


def test_nothing_imports_the_testing_package_but_the_app_and_the_commands():
    importing = {
        module.unit
        for module in modules()
        for _, unit in ours(module)
        if unit == "testing" and module.unit != "testing"
    }

    assert importing <= {"apps", "management"}


@pytest.mark.parametrize(("one", "other"), [("backends", "recorder"), ("recorder", "backends")])
def test_neither_store_knows_the_other(one, other):
    importing = [
        f"{module.name}:{imported.line} imports {imported.path}"
        for module in modules()
        if module.unit == one
        for imported, unit in ours(module)
        if unit == other
    ]

    assert importing == []


def test_backends_tell_of_evictions_by_a_callback_and_know_no_signal():
    importing = [
        f"{module.name}:{imported.line} imports {imported.path}"
        for module in modules()
        if module.unit == "backends"
        for imported, unit in ours(module)
        if unit in ("signals", "telemetry")
    ]

    assert importing == []


@pytest.mark.parametrize("name", sorted(FLOORS[0]))
def test_a_plain_script_can_use_the_lowest_floor(name):
    code = f"import sys, django_llmcache.{name}; sys.exit(bool({PLAIN!r} & sys.modules.keys()))"

    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, django_llmcache\nsys.exit(bool({'django', 'requests', 'orjson', 'httpx2'} & sys.modules.keys()))"
    )

    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_no_file_is_longer_than_fits_in_a_head():
    long = {
        path.relative_to(PACKAGE).as_posix(): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }

    assert long == {}
