"""Every example as its first lines say, on small scenes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from engine.core.datasets.read import read_dataset
from engine.core.formats.registry import read_splats
from tests.scenes import write_ball_dataset
from tests.server.serving import TOKEN, Server

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
STEPS = "200"

pytestmark = pytest.mark.skipif(find_spec("splatwright") is None, reason="the package splatwright is not installed: pip install -e .")


def run(name: str, *arguments: object, status: int = 0) -> str:
    """What an example says, run from another folder."""
    command = [sys.executable, str(ROOT / "examples" / name), *map(str, arguments)]
    environment = {**os.environ, "SPLATWRIGHT_TOKEN": TOKEN}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=200)
    assert done.returncode == status, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_dataset(tmp_path_factory.mktemp("my photos – 写真")).folder


@pytest.fixture(scope="module")
def said(dataset: Path, scene: Path) -> str:
    return run("01_train.py", dataset, scene, STEPS)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("splats") / "ball.ply"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    pytest.importorskip("fastapi")
    made = Server(tmp_path / "serve", "--gpus", "cpu")
    yield made
    made.close()


def test_train(said: str, scene: Path) -> None:
    assert f" of {STEPS}, loss " in said and f"{len(read_splats(scene).gaussians)} Gaussians in {scene}" in said


def test_a_training_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "did not finish: Failed(" in run("01_train.py", tmp_path / "empty", tmp_path / "none.ply", status=1)
    assert not (tmp_path / "none.ply").exists()


def test_convert(said: str, scene: Path, tmp_path: Path) -> None:
    run("02_convert.py", scene, tmp_path / "ball.spz")
    assert len(read_splats(tmp_path / "ball.spz").gaussians) == len(read_splats(scene).gaussians)
    assert "was left out" in run("02_convert.py", scene, tmp_path / "ball.splat")


@pytest.mark.skipif(find_spec("bpy") is None, reason="Blender is not installed as a Python module: bpy")
def test_capture_headless(tmp_path: Path) -> None:
    assert "12 images" in run("03_capture_headless.py", "--", tmp_path / "dataset")
    found = read_dataset(tmp_path / "dataset")
    assert len(found.views) == 12 and found.complete and found.points is not None and {view.camera.width for view in found.views} == {64}


def test_evaluate(said: str, scene: Path, dataset: Path) -> None:
    measured = re.search(r"([\d.]+) dB on average", run("04_evaluate.py", scene, dataset))
    assert measured and float(measured[1]) > 20
    assert "does not exist" in run("04_evaluate.py", scene, dataset / "nowhere", status=1)


def test_remote_engine(server: Server, dataset: Path, tmp_path: Path) -> None:
    told = run("05_remote_engine.py", server.url, dataset, tmp_path / "far.ply", STEPS)
    assert "Finished(" in told and f"{len(read_splats(tmp_path / 'far.ply').gaussians)} Gaussians" in told
    assert list(server.jobs().glob("*/job.json"))


def test_examples_are_numbered_and_short() -> None:
    assert [path.name[:2] for path in EXAMPLES] == [f"{number:02d}" for number in range(1, len(EXAMPLES) + 1)]
    for path in EXAMPLES:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith('"""') and len(lines) <= 40
