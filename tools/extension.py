"""Builds and validates the extension: `python tools/extension.py` writes dist/splatwright-<version>.zip.

Blender's own packaging tool comes with the bpy wheel and runs without Blender.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]

HELP = "help"
NOT_NEEDED = ("assets/**/*.map", "assets/javascripts/lunr", "assets/javascripts/workers", "sitemap*", "404.html", "objects.inv")
"""What pages on the disk have no use for."""


def main() -> None:
    """Fetch the wheels, build the guide and the zip, validate; ends with the path of the zip."""
    fetch_wheels(REPOSITORY)
    build_guide(REPOSITORY)
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


def build_guide(source: Path) -> None:
    """Make the pages of the guide that the extension brings along, in the folder help; CalledProcessError when one has a broken link."""
    folder = source / HELP
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--config-file", str(source / "mkdocs.yml"), "--site-dir", str(folder)]
    subprocess.run(command, check=True, env={**os.environ, "GUIDE_SEARCH": "false", "NO_MKDOCS_2_WARNING": "1"})
    for pattern in NOT_NEEDED:
        for path in folder.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


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
