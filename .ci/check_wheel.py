"""Check a wheel's file list, from the top of the repo: `python .ci/check_wheel.py dist/x.whl`."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

PACKAGE = "django_llmcache"
REQUIRED = (
    f"{PACKAGE}/__init__.py",
    f"{PACKAGE}/py.typed",
    f"{PACKAGE}/management/commands/llmcache.py",
)


def source_files(root: Path) -> set[str]:
    """Every file of the package's folder that a wheel should carry: code, data, templates, static files."""
    return {
        path.relative_to(root).as_posix()
        for path in (root / PACKAGE).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def problems(names: set[str], source: set[str]) -> list[str]:
    """Return what is wrong with a wheel's names, one sentence each."""
    found = [f"missing: {name}" for name in sorted({*REQUIRED, *source} - names)]
    if not any(name.startswith(f"{PACKAGE}/contrib/demo/") and name.endswith(".json") for name in names):
        found.append(f"missing: the recorded bodies, {PACKAGE}/contrib/demo/**/*.json")
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        found.append("missing: the licence")
    strangers = {name for name in names - source if not name.split("/")[0].endswith(".dist-info")}
    return found + [f"should not be there: {name}" for name in sorted(strangers)]


def main(wheel: str) -> int:
    names = set(zipfile.ZipFile(wheel).namelist())
    found = problems(names, source_files(Path.cwd()))
    for line in found:
        print(line, file=sys.stderr)
    print(f"{Path(wheel).name}: {len(names)} files, {len(found)} problem(s)")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
