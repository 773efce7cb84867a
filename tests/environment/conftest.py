"""A folder with the real wheels of the set without a graphics card, fetched once for all tests, and what installs from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.environment.backends import CPU, LOCKS
from engine.environment.install import InstallRequest


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every wheel of the set cpu and uv's own, for this Python; skips where the package index cannot be reached."""
    folder = tmp_path_factory.mktemp("wheels")
    for lock in (LOCKS / "uv.txt", CPU.lock):
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes",
                 "--only-binary", ":all:", "--dest", str(folder), "-r", str(lock)]
        done = subprocess.run(fetch, capture_output=True, text=True, timeout=280)
        if done.returncode:
            pytest.skip(f"the wheels cannot be fetched: {done.stderr[-300:]}")
    return folder


@pytest.fixture
def request_in(tmp_path: Path, wheels: Path) -> InstallRequest:
    """An installation without network into a folder whose name has spaces and another alphabet."""
    return InstallRequest(tmp_path / "Über Blender 最" / "engine", CPU, Path(sys.executable), wheels)
