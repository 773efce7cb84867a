"""Builds and validates the extension: `python tools/extension.py` writes dist/splatwright-<version>.zip.

Blender's own packaging tool comes with the bpy wheel and runs without Blender.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]


def main() -> None:
    """Fetch the wheels, build, validate; ends with the path of the zip."""
    fetch_wheels(REPOSITORY)
    archive = build(REPOSITORY, REPOSITORY / "dist")
    print(f"{archive.relative_to(REPOSITORY)}: {archive.stat().st_size / 1e6:.1f} MB")


def manifest(source: Path) -> dict[str, Any]:
    """blender_manifest.toml."""
    return tomllib.loads((source / "blender_manifest.toml").read_text(encoding="utf-8"))


def fetch_wheels(source: Path) -> None:
    """Download the wheels that the manifest names and that are not there yet."""
    for name in manifest(source)["wheels"]:
        wheel = source / name
        if not wheel.exists():
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"]
            subprocess.run([*pip, "--dest", str(wheel.parent), _requirement(wheel.name)], check=True)


def build(source: Path, output: Path, platform: str = "") -> Path:
    """Build the zip below `output` and let Blender's validator check it; CalledProcessError when it is not sound.

    `platform` stands in the name of a zip that is not for all.
    """
    values = manifest(source)
    archive = output / f"{'-'.join(filter(None, (values['id'], values['version'], platform)))}.zip"
    output.mkdir(exist_ok=True)
    blender_ext("build", "--source-dir", str(source), "--output-filepath", str(archive))
    blender_ext("validate", str(archive))
    return archive


def _requirement(wheel: str) -> str:
    name, version = wheel.split("-")[:2]
    return f"{name}=={version}"


def blender_ext(*arguments: str) -> None:
    """Run Blender's packaging tool; CalledProcessError, and what it said on standard error, when it refuses."""
    tool = _find_tool()
    process = subprocess.run([sys.executable, str(tool), *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if process.returncode:
        print(process.stdout, file=sys.stderr)
        process.check_returncode()


def _find_tool() -> Path:
    spec = importlib.util.find_spec("bpy")  # found, not imported
    folders = spec.submodule_search_locations if spec else None
    found = [path for folder in folders or [] for path in Path(folder).glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py")]
    if not found:
        sys.exit("Blender's packaging tool was not found: install the bpy wheel, for instance with `make setup`.")
    return found[0]


if __name__ == "__main__":
    main()
