"""Several captures and trainings in one go: real renders of two scenes and two collections, trained by the real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import pytest

from tests.blender_file import write_file

from .conftest import empty_scene, module

STEPS = 30


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Path]:
    """A file with two scenes, a ball in each; the second has two collections of cameras."""
    write_file(tmp_path / "two scenes.blend")
    for scene in bpy.data.scenes:
        settings = scene.splatwright.train
        settings.max_steps, settings.max_gaussians, settings.resolution, settings.threads, settings.trial = STEPS, 300, 32, 1, False
    preferences().jobs_folder = str(tmp_path / "jobs")
    yield tmp_path
    batch = module("addon.batch")
    batch.stop()
    if bpy.app.timers.is_registered(batch.poll):
        bpy.app.timers.unregister(batch.poll)
    preferences().jobs_folder = ""
    empty_scene()


def preferences() -> Any:
    return module("addon.preferences").preferences()


def test_try(desk: Path) -> None:
    bpy.ops.splatwright.add_batch_scenes()
    bpy.ops.splatwright.add_batch_collections()
    settings = module("addon.batch_entries").batch_settings()
    print([(e.name, e.cameras, e.directory) for e in settings.entries])
    bpy.ops.splatwright.run_batch()
    print([(t.name, t.sentence, t.images, t.problem) for t in module("addon.batch").tasks()])
    print(sorted(p.relative_to(desk).as_posix() for p in desk.rglob("*") if p.suffix in (".ply", ".json")))
    assert 0
