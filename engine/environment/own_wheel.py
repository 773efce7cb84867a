"""The engine as a wheel, written from the files that are here: what is installed is what the extension holds, nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
import tomllib
import zipfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
NAME = "splatwright"
FIRST_DATE = (1980, 1, 1, 0, 0, 0)
"""The same files make the same wheel."""


def engine_version() -> str:
    """Of the extension or checkout that these files belong to, else of the installed package."""
    manifest = PACKAGE.parent / "blender_manifest.toml"
    if manifest.is_file():
        return str(tomllib.loads(manifest.read_text(encoding="utf-8"))["version"])
    from importlib.metadata import version

    return version(NAME)


def engine_files() -> list[Path]:
    """Every file of the engine, sorted."""
    return sorted(path for path in PACKAGE.rglob("*") if path.is_file() and _belongs(path.relative_to(PACKAGE)))


def write_wheel(folder: Path) -> Path:
    """Write the wheel into a folder; its path."""
    version = engine_version()
    path = folder / f"{NAME}-{version}-py3-none-any.whl"
    information = f"{NAME}-{version}.dist-info"
    content = {f"{NAME}/{file.relative_to(PACKAGE).as_posix()}": file.read_bytes() for file in engine_files()}
    content |= {f"{information}/{name}": text.encode() for name, text in _about(version).items()}
    lines = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in content.items()]
    content[f"{information}/RECORD"] = "\n".join([*lines, f"{information}/RECORD,,", ""]).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name, FIRST_DATE), data, zipfile.ZIP_DEFLATED)
    return path


def _about(version: str) -> dict[str, str]:
    return {
        "METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\nLicense: GPL-3.0-or-later\n",
        "WHEEL": f"Wheel-Version: 1.0\nGenerator: {NAME}\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": f"[console_scripts]\n{NAME} = {NAME}.__main__:main\n",
    }


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _belongs(path: Path) -> bool:
    return path.suffix != ".pyc" and not any(part == "__pycache__" or part.startswith(".") for part in path.parts)
