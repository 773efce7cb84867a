"""Version 0.1.0 itself, from the history of the repository, and copies of what it left on disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "version_0_1"
COMMIT = "7ac08fe"
TEXTS = {".json", ".jsonl", ".txt", ".log", ".md", ""}


def copied(folder: Path, client: str = "") -> Path:
    """A copy of everything that version 0.1.0 left, below `folder`, with its placeholders replaced."""
    target = folder / "version_0_1"
    shutil.copytree(FIXTURES, target)
    names = {"@ROOT@": target.as_posix(), "@DATASET@": (target / "dataset").as_posix(), "@PYTHON@": Path(sys.executable).as_posix(),
             "@CLIENT@": client, "@PID@": "1"}
    for path in [path for path in target.rglob("*") if path.is_file() and path.suffix in TEXTS]:
        text = path.read_text(encoding="utf-8")
        for placeholder, value in names.items():
            text = text.replace(placeholder, value)
        path.write_text(text, encoding="utf-8")
    for path in target.rglob("@CLIENT@"):
        path.rename(path.with_name(client or "nobody"))
    return target


class FormerVersion:
    """The engine of version 0.1.0 in a folder, with its own kernels; skips the test where the history does not reach back to it."""

    def __init__(self, folder: Path):
        self.folder = folder
        there = subprocess.run(["git", "cat-file", "-e", f"{COMMIT}^{{commit}}"], cwd=ROOT, capture_output=True, check=False)
        if there.returncode:
            pytest.skip("version 0.1.0 is not in the history of this checkout")
        archive = subprocess.run(["git", "archive", COMMIT, "engine"], cwd=ROOT, capture_output=True, check=True)
        folder.mkdir()
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
        self.environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONUNBUFFERED": "1"}
        build = [sys.executable, "-m", "engine.training.cpu.build"]
        subprocess.run(build, cwd=folder, env=self.environment, capture_output=True, check=True)

    def run(self, code: str, *arguments: str) -> str:
        """What a script prints that imports version 0.1.0 as `engine`."""
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout
