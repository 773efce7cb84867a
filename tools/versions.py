"""The versions that this project asks for. Each stands once, in pyproject.toml: `python tools/versions.py ziglang` prints `ziglang==…`.

Files that cannot read them there (blender_manifest.toml, the README) are compared by tests/test_versions.py.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]


def main(names: list[str]) -> None:
    """Print the requirements of extras and packages on one line, for pip."""
    print(*(line for name in names for line in requirements(name)))


def project() -> dict[str, Any]:
    """The table [project] of pyproject.toml."""
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(name: str) -> list[str]:
    """All lines of an extra, else the line that names a package; LookupError when there is neither."""
    extras = project()["optional-dependencies"]
    return extras[name] if name in extras else [requirement(name)]


def requirement(package: str) -> str:
    """The line that names a package: one that pins its version before one that does not; LookupError when there is none."""
    lines = [*project()["dependencies"], *(line for extra in project()["optional-dependencies"].values() for line in extra)]
    found = sorted((line for line in lines if re.split(r"[^\w.-]", line)[0] == package), key=lambda line: "==" not in line)
    if not found:
        raise LookupError(f"pyproject.toml names no package {package}")
    return found[0]


def version(package: str) -> str:
    """The version that a package is pinned to; LookupError when it is not."""
    line = requirement(package)
    if "==" not in line:
        raise LookupError(f"pyproject.toml pins no version of {package}")
    return line.partition("==")[2]


def blenders() -> list[tuple[int, int]]:
    """(major, minor) of every Blender that is tested, the oldest first. The oldest is the minimum."""
    extras = project()["optional-dependencies"]
    found = [re.match(r"bpy==(\d+)\.(\d+)", line) for lines in extras.values() for line in lines]
    return sorted((int(match[1]), int(match[2])) for match in found if match)


if __name__ == "__main__":
    main(sys.argv[1:])
