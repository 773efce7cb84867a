"""Operators that make no object leave the selection, the active object and the mode as they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.untyped import bpy

from .capture.capturing import ball_scene
from .conftest import module
from .jobs.training import Desk
from .splats.splat_samples import some_gaussians

BY_PROPERTY: dict[str, Callable[[Path], dict[str, Any]]] = {
    "capture_dataset": lambda folder: {"directory": str(folder / "captured"), "source": "DOME", "count": 3, "resolution": 32, "samples": 1},
    "export_splats": lambda folder: {"filepath": str(folder / "a.ply")},
}
OPERATORS = (
    "capture_dataset", "check_dataset", "show_coverage", "clear_coverage", "train", "export_splats", "place_on_ground", "turn_over",
    "level_ground", "remove_floaters", "apply_transform", "prepare_cycles")


@pytest.fixture
def desk(desk: Desk) -> Desk:
    ball_scene(cameras=1)
    return desk


@pytest.mark.parametrize("name", OPERATORS)
def test_selection_stays(desk: Desk, tmp_path: Path, name: str) -> None:
    bpy.ops.mesh.primitive_cube_add(location=(4, 0, 0))
    cube = bpy.context.object
    floor = some_gaussians(200)
    floor.means[:, 2] *= 0.01
    splats = module("addon.splats.splat_object").create_splat_object("Splats", floor)
    bpy.ops.object.select_all(action="DESELECT")
    for item in (cube, splats):
        item.select_set(True)
    bpy.context.view_layer.objects.active = cube
    done = getattr(bpy.ops.splatwright, name)(**BY_PROPERTY.get(name, lambda folder: {})(tmp_path))
    assert done == {"FINISHED"}
    assert set(bpy.context.selected_objects) == {cube, splats} and bpy.context.active_object == cube and bpy.context.mode == "OBJECT"
