"""Normals, labels and albedo beside splats go through every operation of Blender's side."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.blender.conftest import module
from tests.blender.splats.on_splats import run
from tests.core.splats.test_surface_normals import SURFACE, normals_of, surface
from tests.scenes import colored_ball
from tests.untyped import bpy


@pytest.fixture
def ball(layout: ModuleType, tmp_path: Path) -> bpy.types.Object:
    """An imported ball whose normals point outward."""
    splats = colored_ball(300)
    module("engine.core.formats.ply").write_ply(tmp_path / "ball.ply", splats, extra=surface(splats.means))
    made, _ = module("addon.splats.importing").import_splats(tmp_path / "ball.ply")
    made.select_set(True)
    bpy.context.view_layer.objects.active = made
    return made


def exported(*targets: bpy.types.Object) -> tuple[np.ndarray, np.ndarray]:
    """Places and properties of what is shown, in the scene's frame."""
    world = module("addon.splats.exporting").world_gaussians(targets)
    return world.gaussians.means, world.extra


def outward(means: np.ndarray, matrix: object) -> np.ndarray:
    """Unit normals of the unit ball's image under a matrix."""
    inverse = np.linalg.inv(np.array(matrix, float))
    normals = (means @ inverse[:3, :3].T + inverse[:3, 3]) @ inverse[:3, :3]
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def place(target: bpy.types.Object) -> object:
    target.location, target.rotation_euler, target.scale = (1, 2, 3), (0.3, 0.5, 0.7), (1, 2, 0.5)
    bpy.context.view_layer.update()
    return target.matrix_world.copy()


def test_transforms_of_objects_turn_exported_normals(ball: bpy.types.Object) -> None:
    matrix = place(ball)
    means, extra = exported(ball)
    np.testing.assert_allclose(normals_of(extra), outward(means, matrix), atol=1e-4)
    assert set(extra.dtype.names) == {*SURFACE}


def test_apply_transform_turns_them(ball: bpy.types.Object) -> None:
    before = exported(ball)[1]["label"].copy()
    matrix = place(ball)
    assert run("apply_transform") == {"FINISHED"}
    means, extra = exported(ball)
    np.testing.assert_allclose(normals_of(extra), outward(means, matrix), atol=1e-4)
    np.testing.assert_array_equal(extra["label"], before)


def test_merging_keeps_and_turns_them(ball: bpy.types.Object) -> None:
    other = ball.copy()
    other.data = ball.data.copy()
    bpy.context.collection.objects.link(other)
    matrix = place(other)
    ball.location = (5, 0, 0)
    other.select_set(True)
    assert run("merge_splats") == {"FINISHED"}
    means, extra = exported(bpy.context.active_object)
    np.testing.assert_allclose(normals_of(extra)[300:], outward(means[300:], matrix), atol=1e-4)
    np.testing.assert_allclose(normals_of(extra)[:300], outward(means[:300] - [5, 0, 0], np.eye(4)), atol=1e-4)
    np.testing.assert_array_equal(extra["confidence"][:300], extra["confidence"][300:])


def test_mending_blenders_own_apply_turns_them(ball: bpy.types.Object) -> None:
    matrix = place(ball)
    bpy.ops.object.transform_apply()
    assert run("fix_unapplied_transform") == {"FINISHED"}
    means, extra = exported(ball)
    np.testing.assert_allclose(normals_of(extra), outward(means, matrix), atol=1e-3)
