"""A batch that was killed goes on where it was; an engine elsewhere gets each dataset at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.blender_file import KITCHEN, RINGS
from tests.untyped import bpy

from ..conftest import REPOSITORY, module
from .batch_desk import FOLDERS, NAMES, STEPS, Desk, begin, opened, set_up


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with opened(tmp_path) as made:
        yield made


def leave(desk: Desk, steps: int, until: str) -> None:
    """A Blender of its own runs the batch, and is killed as soon as it says so."""
    bpy.ops.wm.save_mainfile()
    command = [sys.executable, "-m", "tests.blender.batch.leave_batch", str(desk.file), str(desk.folder / "jobs"), str(steps)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith(until):
                process.send_signal(signal.SIGKILL)
                break
        else:
            raise AssertionError("".join(said[-40:]))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_in_the_middle_of_the_captures(desk: Desk) -> None:
    bpy.ops.splatwright.add_batch_collections()
    leave(desk, STEPS, f"SAID {NAMES[3]}: capturing 2/6")
    images = {path: stamp for path, stamp in desk.images().items() if "Ring A" in str(path)}
    assert len(images) == RINGS["Ring A"]
    assert not module("engine.core.datasets.read").read_dataset(desk.dataset(FOLDERS[3])).complete
    bpy.ops.wm.open_mainfile(filepath=str(desk.file))
    assert desk.states == ["captured"], "the file was not saved after it began: the folders tell"
    bpy.ops.splatwright.run_batch()
    assert desk.states == ["done"] * 2 and images.items() <= desk.images().items()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_in_the_middle_of_a_training_it_is_attached_again(desk: Desk) -> None:
    bpy.ops.splatwright.add_batch_entry()
    leave(desk, 100_000, f"SAID {NAMES[0]}: training 1")
    jobs = desk.jobs()
    set_up(bpy.context.scene, 100_000)
    desk.reopen()
    desk.wait(lambda: desk.states == ["training"] and desk.batch.tasks()[0].done > 100)
    assert desk.batch.busy() and desk.jobs() == jobs, "it is followed although nobody pressed a button"
    module("addon.engines.choice").engine().control(jobs[0], "stop")
    desk.wait(lambda: desk.states == ["done"])
    assert desk.dataset(f"{KITCHEN}.ply").exists()


def test_an_engine_elsewhere_gets_each_dataset_at_once(desk: Desk, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="the server's packages are not installed beside this Blender")
    pytest.importorskip("tyro", reason="the command line's packages are not installed beside this Blender")
    from tests.server.serving import TOKEN, Server

    server = Server(tmp_path / "serve", "--gpus", "cpu")
    try:
        bpy.ops.splatwright.add_engine()
        entry = desk.preferences.engines[-1]
        entry.url, entry.token = server.url, TOKEN
        desk.preferences.engine = str(entry.number)
        bpy.ops.splatwright.add_batch_collections()
        seen = set()
        for _ in begin(desk):
            desk.batch.poll()
            seen.add(tuple(desk.states))
        assert ("training", "capturing") in seen
        desk.wait(lambda: desk.states == ["done"] * 2)
        assert desk.dataset(f"{FOLDERS[2]}.ply").exists() and desk.dataset(f"{FOLDERS[3]}.ply").exists()
    finally:
        bpy.ops.splatwright.remove_engine(number=desk.preferences.engines[-1].number)
        module("addon.engines.remote").close_all()
        server.close()
