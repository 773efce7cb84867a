"""Small programs for tests to find and run, written in Python, on every system."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path


def program(folder: Path, name: str, source: str) -> Path:
    """A program of this name in a folder that runs Python source."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / f"{name} program.py"
    script.write_text(source, encoding="utf-8")
    return launcher(folder / name, str(script))


def launcher(path: Path, *words: str) -> Path:
    """A program that starts this Python with these words before its own; returns where it lies, on Windows as a .cmd file."""
    if os.name == "nt":
        path = path.with_name(path.name + ".cmd")
        path.write_text(f"@{subprocess.list2cmdline([sys.executable, *words])} %*\r\n", encoding="utf-8")
    else:
        path.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, *words])} "$@"\n', encoding="utf-8")
        path.chmod(0o755)
    return path
