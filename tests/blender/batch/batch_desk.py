"""What the tests of the batch share: a file with two scenes, its list, and ways to drive it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.blender_file import HALL, KITCHEN, write_file
from tests.untyped import bpy

from ..conftest import empty_scene, module

STEPS = 30
NAMES = [KITCHEN, HALL, f"{HALL} Ring A", f"{HALL} Ring/B"]
FOLDERS = [KITCHEN, HALL, f"{HALL} Ring A", f"{HALL} Ring-B"]


class Desk:
    """An open file with two scenes, and its batch."""

    def __init__(self, folder: Path):
        self.folder, self.file = folder, folder / "two scenes – 二.blend"
        self.batch, self.entries = module("addon.batch.run"), module("addon.properties.batch")
        write_file(self.file)
        self.preferences.jobs_folder = str(folder / "jobs")
        for scene in bpy.data.scenes:
            set_up(scene, STEPS)

    @property
    def preferences(self) -> Any:
        return module("addon.engines.locations").preferences()

    @property
    def settings(self) -> Any:
        return self.entries.batch_settings()

    @property
    def states(self) -> list[str]:
        return [task.state.value for task in self.batch.tasks()]

    def dataset(self, name: str) -> Path:
        return self.folder / "splatwright" / name

    def rings(self) -> None:
        """The two collections of the hall, captured alone."""
        bpy.ops.splatwright.add_batch_collections()
        for entry in self.settings.entries:
            entry.train = False

    def jobs(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "jobs").glob("*") if path.is_dir())

    def images(self) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (self.folder / "splatwright").rglob("*.png")}

    def reopen(self) -> None:
        """Save the file and open it again; the timer that looks at it is turned by hand."""
        bpy.ops.wm.save_mainfile()
        bpy.ops.wm.open_mainfile(filepath=str(self.file))

    def wait(self, reached: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not reached():
            assert time.monotonic() < end, [(task.name, task.sentence, task.problem) for task in self.batch.tasks()]
            self.batch.poll()
            time.sleep(0.02)

    def close(self) -> None:
        self.batch.stop()
        if bpy.app.timers.is_registered(self.batch.poll):
            bpy.app.timers.unregister(self.batch.poll)
        self.preferences.jobs_folder = ""
        empty_scene()


def set_up(scene: bpy.types.Scene, steps: int) -> None:
    settings = scene.splatwright.train
    settings.max_steps, settings.max_gaussians, settings.resolution, settings.threads, settings.trial = steps, 300, 32, 1, False


@contextmanager
def opened(folder: Path) -> Iterator[Desk]:
    """A desk, cleared away at the end."""
    made = Desk(folder)
    try:
        yield made
    finally:
        made.close()


def begin(desk: Desk) -> Iterator[str]:
    """The captures of the batch, to be driven by hand."""
    return desk.batch.capturing(desk.batch.begin(), module("addon.capture.render_passes").render_blocking)
