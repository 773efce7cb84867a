"""What the full engine is installed from in a window test: uv, and the wheels for the Python of the Blender that is tested."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from uv import find_uv_bin

LOCKS = Path(__file__).resolve().parents[2] / "engine" / "locks"
GLIBC = (17, 24, 26, 27, 28, 31, 34, 35, 39)
"""Minor versions of platform tags; pip takes only those that it is told."""


def lay_out(folder: Path) -> None:
    """Put uv and a folder of wheels beside the steps; skips where the package index cannot be reached."""
    shutil.copy(find_uv_bin(), folder / "uv")
    version, pins = blenders_python(), folder / "pins.txt"
    # pip would choose by the Python that it runs on itself which of a package's versions to take
    subprocess.run([find_uv_bin(), "pip", "compile", "--quiet", "--generate-hashes", "--no-annotate", "--python-version", version,
                    str(LOCKS / "cpu.txt"), "--output-file", str(pins)], check=True, stdout=subprocess.DEVNULL)
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in GLIBC] + ["--platform=manylinux2014_x86_64"]
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes",
             "--only-binary", ":all:", "--python-version", version, "--implementation", "cp", *platforms,
             "--dest", str(folder / "wheels"), "-r", str(pins)]
    done = subprocess.run(fetch, capture_output=True, text=True, timeout=280)
    if done.returncode:
        pytest.skip(f"the wheels cannot be fetched: {done.stderr[-300:]}")


def blenders_python() -> str:
    """Version of the Python inside the Blender of the window tests, such as 3.13."""
    chroot = os.environ.get("SPLATWRIGHT_BLENDER_CHROOT")
    program = [shutil.which("chroot") or "/usr/sbin/chroot", chroot, "blender"] if chroot else [os.environ["SPLATWRIGHT_BLENDER"]]
    command = [*program, "--background", "--factory-startup", "--python-expr", "import sys; print('PYTHON %d.%d' % sys.version_info[:2])"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=100).stdout
    found = re.search(r"PYTHON (\d+\.\d+)", said)
    assert found, said
    return found[1]
