"""The wheel as a user installs it: it carries the kernels of every platform, and trains where there is no compiler and no torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from functools import lru_cache
from pathlib import Path

import pytest

from engine.core.formats.ply import read_ply
from engine.training.cpu.build import BUILDS
from tests.scenes import write_ball_dataset

ROOT = Path(__file__).resolve().parents[2]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
SOURCES = ("engine", "pyproject.toml", "setup.py", "blender_manifest.toml", "README.md", "LICENSE")
QUICK = ["--max-steps", "150", "--resolution", "64", "--max-gaussians", "500", "--refine-every", "20"]
PYTHONS = ("3.11", "3.12", "3.13")

WHAT_IS_THERE = Path(__file__).with_name("what_is_there.py")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing left in the checkout's build folder gets in."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    subprocess.run([*PIP, "wheel", "--no-deps", "--wheel-dir", str(output), str(source)], check=True)
    [path] = output.glob("*.whl")
    return path


def test_the_wheel_carries_the_kernels_of_every_platform(wheel: Path) -> None:
    folder = "splatwright/training/cpu/lib/"
    carried = {name.removeprefix(folder) for name in zipfile.ZipFile(wheel).namelist() if name.startswith(folder)}
    assert carried == {build.output.name for build in BUILDS}, "run `make kernels` first"
    assert wheel.name.endswith("-py3-none-any.whl")


@lru_cache
def interpreter(version: str) -> Path | None:
    """A Python of this version that runs."""
    found = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")]
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        found.insert(0, sys.executable)
    for path in filter(None, found):
        if subprocess.run([str(path), "-c", ""], capture_output=True).returncode == 0:
            return Path(path)
    return None


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_dataset(tmp_path_factory.mktemp("my photos – 写真")).folder


@pytest.mark.parametrize("version", PYTHONS)
def test_a_fresh_python_trains_with_the_wheel_alone(version: str, wheel: Path, dataset: Path, tmp_path: Path) -> None:
    base = interpreter(version)
    if base is None:
        pytest.skip(f"Python {version} is not installed")
    home = tmp_path / "a venv"
    subprocess.run([str(base), "-m", "venv", "--without-pip", str(home)], check=True)
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run([*PIP, "--python", str(scripts / "python"), "install", "--no-compile", str(wheel)], check=True)
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PATH"))} | {"PATH": str(scripts)}

    def run(*command: object) -> str:
        done = subprocess.run(list(map(str, command)), cwd=tmp_path, env=bare, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip().splitlines()[-1]

    packages, tools, place = json.loads(run(scripts / "python", WHAT_IS_THERE))
    assert not packages and not tools and Path(place).is_relative_to(home)
    figures = json.loads(run(scripts / "splatwright", "train", dataset, "-o", tmp_path / "ball.ply", *QUICK))
    assert figures["psnr"] > 20 and len(read_ply(tmp_path / "ball.ply").gaussians) == 500
