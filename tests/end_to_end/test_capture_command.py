"""`splatwright capture` as a user types it: a real Blender as a Python module renders, the real engine trains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.datasets.read import read_dataset
from engine.core.errors import UserError
from engine.core.formats.registry import read_splats
from engine.jobs.local_engine import LocalEngine
from engine.training.checkpoint import load_checkpoint
from tests.fakes.programs import program
from tests.processes import KILL

from .test_command_line import ROOT, assert_sentence, splatwright

pytest.importorskip("bpy")
KITCHEN, HALL = "Küche 1", "ホール"
BPY = ["--blender", sys.executable]
QUICK = ["--train", "--max-steps", "30", "--max-gaussians", "300", "--resolution", "32", "--threads", "1", "--no-trial"]
SLOW_RENDERS = ["--samples", "16", "--image-size", "256"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes, the second with two collections of cameras; made by a Blender of its own."""
    path = tmp_path_factory.mktemp("my files – 文") / "house – 家.blend"
    subprocess.run([sys.executable, "-m", "tests.blender_file", str(path)], cwd=ROOT, check=True, capture_output=True)
    return path


def stamps(folder: Path, ending: str = ".png") -> dict[str, int]:
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob(f"*{ending}")}


def begun(*arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.Popen([sys.executable, "-m", "engine", "capture", *map(str, arguments)], env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def until(process: subprocess.Popen[str], words: str) -> None:
    """Read what a command says until it says this."""
    said = []
    assert process.stdout
    for line in process.stdout:
        said.append(line)
        if words in line:
            return
    raise AssertionError("".join(said))


def test_scenes_and_collections_become_splats_and_nothing_is_done_twice(file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out put"
    done = splatwright("capture", file, "-o", output, "--cameras", "all", "each", *QUICK, *BPY)
    assert done.returncode == 0, done.stdout + done.stderr
    folders = [KITCHEN, HALL, f"{HALL} Ring A", f"{HALL} Ring-B"]
    assert [len(read_dataset(output / file.stem / name).views) for name in folders] == [5, 10, 4, 6]
    assert all(len(read_splats(output / file.stem / f"{name}.ply").gaussians) > 10 for name in folders)
    assert "4 of 4 done" in done.stdout and all(f"{file.stem}/{name}" in done.stdout for name in (KITCHEN, f"{HALL} Ring/B"))
    row = next(line for line in done.stdout.splitlines() if f"{file.stem}/{KITCHEN} " in line)
    assert " 5 " in row and f"{KITCHEN}.ply" in row and float(row.split("│")[3]) > 5
    images, jobs = stamps(output), sorted((output / "jobs").iterdir())
    again = splatwright("capture", file, "-o", output, "--cameras", "all", "each", *QUICK, *BPY)
    assert again.returncode == 0 and stamps(output) == images and sorted((output / "jobs").iterdir()) == jobs
    assert again.stdout == done.stdout, "the table is the same"
    anew = splatwright("capture", file, "-o", output, "--scene", KITCHEN, "--again", *BPY)
    assert anew.returncode == 0 and "1 of 1 done" in anew.stdout
    assert {name for name, stamp in stamps(output).items() if images[name] != stamp} == {name for name in images if KITCHEN in name}


def test_size_and_samples_can_be_given(file: Path, tmp_path: Path) -> None:
    assert splatwright("capture", file, "-o", tmp_path, "--scene", KITCHEN, "--image-size", 24, "--samples", 2, *BPY).returncode == 0
    assert {view.camera.width for view in read_dataset(tmp_path / file.stem / KITCHEN).views} == {24}


def test_one_bad_file_does_not_end_the_others(file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.blend"
    broken.write_bytes(b"no blend file at all")
    (tmp_path / "out" / file.stem / HALL).mkdir(parents=True)
    (tmp_path / "out" / file.stem / HALL / "mine.txt").write_text("mine")
    done = splatwright("capture", broken, file, "-o", tmp_path / "out", *BPY)
    assert_sentence(done, "broken: ", "could not be opened", f"{file.stem}/{HALL}: ", "holds other files", "1 of 3 done, 2 failed")
    assert read_dataset(tmp_path / "out" / file.stem / KITCHEN).complete


def test_names_that_the_file_does_not_have(file: Path, tmp_path: Path) -> None:
    assert_sentence(splatwright("capture", file, "-o", tmp_path, "--scene", "Attic", *BPY), "no scene Attic", f"It has: {KITCHEN}, {HALL}")
    assert_sentence(splatwright("capture", file, "-o", tmp_path, "--cameras", "Ring C", *BPY), "no collection Ring C", "Ring A, Ring/B")
    assert not list(tmp_path.rglob("*.png"))


def test_a_dome_looks_at_all_that_is_visible_where_nothing_is_selected(file: Path, tmp_path: Path) -> None:
    small = ("--image-size", "32", "--samples", "1")
    done = splatwright("capture", file, "-o", tmp_path, "--cameras", "rig", "--scene", HALL, *small, *BPY)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.rglob("images/*.png"))) == 60


@pytest.mark.parametrize(("arguments", "words"), [
    ((), ("No file is named",)),
    (("nowhere.blend",), ("nowhere.blend does not exist",)),
    (("photos.zip",), ("photos.zip is no .blend file",)),
    (("a/x.blend", "b/X.blend"), ("2 files are named x",)),
])
def test_files_that_cannot_be_captured(tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    for name in ("photos.zip", "a/x.blend", "b/X.blend"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert_sentence(splatwright("capture", *arguments, "-o", tmp_path / "out", *BPY, cwd=tmp_path), *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "script", "words"), [
    ("blender", "print('Blender 4.2.3 LTS')", "is Blender 4.2, which is too old"),
    ("blender", "print('hello')", "is no Blender"),
    ("python3", "raise SystemExit('nothing')", "has no module bpy"),
])
def test_a_blender_that_cannot_be_used(file: Path, tmp_path: Path, name: str, script: str, words: str) -> None:
    pretended = program(tmp_path, name, script)
    assert_sentence(splatwright("capture", file, "-o", tmp_path / "out", "--blender", pretended), words, "--blender PATH")
    assert_sentence(splatwright("capture", file, "--blender", tmp_path / "none"), "There is no program")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows ends no process by a signal")
def test_a_blender_that_dies(file: Path, tmp_path: Path) -> None:
    dying = program(tmp_path, "python-that-dies", "import os, sys\n"
                    "print('4.5.0') if sys.argv[1] == '-c' else os.kill(os.getpid(), 9)")
    done = splatwright("capture", file, "-o", tmp_path / "out", "--blender", dying)
    assert_sentence(done, f"{file.stem}: Blender was ended by signal 9", "Run the same command again", f"{file.stem}.log")


def test_the_one_that_is_found_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.batch import blender

    monkeypatch.setattr(blender, "USUAL_PLACES", ())
    monkeypatch.delenv(blender.VARIABLE, raising=False)
    monkeypatch.setattr(blender.shutil, "which", lambda name: None)
    assert blender.find_blender(None).path == Path(sys.executable), "this Python has bpy"
    monkeypatch.setattr(blender, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="No Blender was found"):
        blender.find_blender(None)
    monkeypatch.undo()
    monkeypatch.setenv(blender.VARIABLE, sys.executable)
    assert blender.find_blender(None).path == Path(sys.executable)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_in_the_middle_of_the_captures(file: Path, tmp_path: Path) -> None:
    arguments = [file, "-o", tmp_path, *SLOW_RENDERS, "--train", *QUICK[1:], *BPY]
    process = begun(*arguments)
    until(process, f"{KITCHEN}: captured")
    process.kill()
    process.wait()
    time.sleep(1.0)
    images = stamps(tmp_path)
    time.sleep(1.0)
    assert stamps(tmp_path) == images, "Blender has ended with the command"
    hall = tmp_path / file.stem / HALL / "transforms.json"
    assert not hall.exists() or '"complete": false' in hall.read_text()
    again = splatwright("capture", *arguments)
    assert again.returncode == 0 and "2 of 2 done" in again.stdout, again.stdout + again.stderr
    kitchen = {name: stamp for name, stamp in images.items() if KITCHEN in name}
    assert len(kitchen) == 5 and kitchen.items() <= stamps(tmp_path).items()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("how", [signal.SIGINT, KILL])
def test_ended_in_the_middle_of_a_training(file: Path, tmp_path: Path, how: int) -> None:
    long = [*QUICK[:2], "2000", *QUICK[3:]]
    process = begun(file, "-o", tmp_path, "--scene", KITCHEN, *long, "--checkpoint-seconds", 0.2, *BPY)
    until(process, f"{KITCHEN}: training begins")
    place = LocalEngine(tmp_path / "jobs")
    end = time.monotonic() + 60
    while not place.jobs() or load_checkpoint(tmp_path / "jobs" / place.jobs()[0] / "checkpoint") is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(how)
    said = process.communicate(timeout=60)[0]
    [job] = place.jobs()
    if how == signal.SIGINT:
        assert process.returncode == 130 and "Stopped." in said and "0 of 1 done, 1 to do" in said and not place.state(job).alive
    again = splatwright("capture", file, "-o", tmp_path, "--scene", KITCHEN, *long, "--checkpoint-seconds", 0.2, *BPY)
    assert again.returncode == 0 and "1 of 1 done" in again.stdout and place.jobs() == [job], again.stdout + again.stderr


def test_a_sick_training_fails_alone(file: Path, tmp_path: Path) -> None:
    sick = ["--opacity-regularisation", 10, "--refine-until", 0, "--max-steps", 100_000]
    done = splatwright("capture", file, "-o", tmp_path, "--scene", KITCHEN, *QUICK[:1], *QUICK[3:], *sick, *BPY)
    assert_sentence(done, "paused itself at step", "have become transparent", "0 of 1 done, 1 failed")
    place = LocalEngine(tmp_path / "jobs")
    assert not place.state(place.jobs()[0]).alive, "nothing is left behind that waits for ever"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("uvicorn")
    from tests.server.serving import TOKEN, Server

    made = Server(tmp_path / "serve", "--gpus", "cpu")
    os.environ["SPLATWRIGHT_TOKEN"] = TOKEN
    yield made.url
    del os.environ["SPLATWRIGHT_TOKEN"]
    made.close()


def test_an_engine_elsewhere(file: Path, tmp_path: Path, server: str) -> None:
    done = splatwright("capture", file, "-o", tmp_path / "out", "--cameras", "Ring A", "Ring/B", *QUICK, "--engine", server, *BPY)
    assert done.returncode == 0 and "2 of 2 done" in done.stdout, done.stdout + done.stderr
    assert len(read_splats(tmp_path / "out" / file.stem / f"{HALL} Ring-B.ply").gaussians) > 10
    assert_sentence(splatwright("capture", file, "-o", tmp_path / "out", "--engine", "nonsense", *QUICK, *BPY), "nonsense")
