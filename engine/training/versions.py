"""Versions of programs and checksums, for reproducing a result."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from .backend import BackendName

CHUNK = 1 << 20


def versions(engine: BackendName) -> dict[str, str]:
    """Names and versions of the programs and of the computer that train."""
    own = {"Splatwright": package_version("splatwright"), "Python": platform.python_version(), "numpy": np.__version__,
           "System": f"{platform.system()} {platform.release()} {platform.machine()}", "Processors": str(os.cpu_count() or 1)}
    return own | ({"torch": package_version("torch"), "gsplat": package_version("gsplat")} if engine == "cuda" else {})


def package_version(name: str) -> str:
    """Of an installed package; inside Blender the manifest's beside the engine."""
    try:
        return version(name)
    except PackageNotFoundError:
        return _manifest_version() if name == "splatwright" else "unknown"


def _manifest_version() -> str:
    """Of the extension that this engine lies in."""
    import tomllib

    try:
        manifest = Path(__file__).resolve().parents[2] / "blender_manifest.toml"
        return str(tomllib.loads(manifest.read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, LookupError):
        return "unknown"


def checksum(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
