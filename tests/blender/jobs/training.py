"""A place to train at: a tiny dataset, a jobs folder, and the extension set to use an engine that behaves as asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.fakes.fake_engine import fake_python
from tests.untyped import bpy

from ..conftest import empty_scene, module

PATIENCE = 60.0
JOBS = "jobs – 仕事"


class Desk:
    """Presses Train and turns the extension's timer."""

    def __init__(self, folder: Path):
        empty_scene()
        self.root = folder
        self.jobs, self.choice = module("addon.jobs.jobs"), module("addon.engines.choice")
        self.preferences.jobs_folder = str(folder / JOBS)
        self.dataset = write_dataset(folder / "dataset")
        bpy.context.scene.splatwright.train.dataset = str(self.dataset)

    def close(self) -> None:
        """End every worker and forget what was set."""
        for job in self.jobs.watched():
            job.engine.kill(job.name)
        self.preferences.jobs_folder = self.preferences.python = ""
        empty_scene()

    @property
    def preferences(self) -> Any:
        return module("addon.engines.locations").preferences()

    @property
    def name(self) -> str:
        """The job that the scene is about; the last one once another file is open."""
        self._name = bpy.context.scene.splatwright.job or self._name
        return self._name

    @property
    def job(self) -> Any:
        return self.jobs.current(bpy.context.scene)

    @property
    def folder(self) -> Path:
        return self.choice.engine().folder(self.name).path

    def use(self, python: Path) -> None:
        self.preferences.python = str(python)

    def train(self, behaviour: str) -> None:
        """Press Train, with an engine of that behaviour."""
        self.use(fake_python(self.root / "engines", behaviour))
        assert bpy.ops.splatwright.train() == {"FINISHED"}
        self._name = bpy.context.scene.splatwright.job

    def splats(self) -> Any:
        return next((found for found in bpy.data.objects if found.splatwright.job == self.name and found.type == "POINTCLOUD"), None)

    def wait(self, reached: Callable[[], bool]) -> None:
        """Let time pass until something is so."""
        end = time.monotonic() + PATIENCE
        while not reached():
            assert time.monotonic() < end, (self.job, self.choice.engine().folder(self.name).log.read_text(errors="replace"))
            self.jobs.poll()
            time.sleep(0.02)

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.jobs.poll()
            time.sleep(0.02)


def write_dataset(folder: Path) -> Path:
    """Four grey images with cameras around the origin."""
    dataset, camera, png = (module(f"engine.core.{name}") for name in ("datasets.dataset", "cameras.camera", "images.png"))
    images = folder / "images"
    images.mkdir(parents=True)
    views = []
    for number in range(4):
        pose = np.eye(4)
        pose[:3, 3] = (number, 0, 3)
        path = images / f"{number}.png"
        png.write_png(path, np.full((16, 16, 3), 128, np.uint8))
        views.append(dataset.View(path.name, path, camera.Camera(16, 16, 20.0, 20.0, 8.0, 8.0, pose)))
    module("engine.core.datasets.transforms_json").write_transforms(dataset.Dataset(folder, tuple(views)))
    return folder
