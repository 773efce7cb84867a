"""Crop boxes: nothing is lost until they are applied."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from tests.blender.splats.on_splats import run, seen, splats
from tests.blender.splats.splat_samples import assert_same, some_gaussians
from tests.untyped import bpy


def inside(means: np.ndarray, box: bpy.types.Object) -> np.ndarray:
    matrix = np.linalg.inv(np.array(box.matrix_world))
    return (np.abs(means @ matrix[:3, :3].T + matrix[:3, 3]) <= 1).all(axis=1)


def test_a_box_crops_until_it_is_applied(layout: ModuleType) -> None:
    made = splats(some_gaussians(500))
    made.location, made.rotation_euler, made.scale = (1, 2, 3), (0.3, 0.5, 0.7), (1, 2, 0.5)
    bpy.context.view_layer.update()
    whole = seen(made)
    assert run("crop") == {"FINISHED"}
    box = bpy.context.active_object
    assert box.type == "EMPTY" and box.parent == made and 400 < len(seen(made)) < 500
    box.scale, box.rotation_euler = [0.3 * value for value in box.scale], (0.2, 0, 0.4)
    bpy.context.view_layer.update()
    expected = whole.take(inside(whole.means, box))
    assert 5 < len(expected) < 200 and len(made.data.points) == 500
    assert_same(seen(made), expected)
    shown = made.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    assert len(shown.points) == len(expected) and [found.name for found in shown.materials] == [made.data.materials[0].name]
    materials = list(made.data.materials)
    assert run("apply_crop") == {"FINISHED"}
    assert len(made.data.points) == len(expected) and not made.modifiers and "Crop Box" not in bpy.data.objects
    assert list(made.data.materials) == materials
    assert_same(seen(made), expected)


def test_the_outside_can_be_kept_and_any_mesh_is_a_box(layout: ModuleType) -> None:
    made = splats(some_gaussians(500))
    bpy.ops.mesh.primitive_cube_add(size=1, location=(0.5, 0, 0))
    cube = bpy.context.object
    cube.data.vertices[0].co.x -= 0.25
    made.select_set(True)
    bpy.context.view_layer.update()
    run("crop", invert=True)
    assert len(bpy.data.objects) == 2 and bpy.context.active_object == cube
    means = some_gaussians(500).means
    within = ((means >= [-0.25, -0.5, -0.5]) & (means <= [1, 0.5, 0.5])).all(axis=1)
    assert within.any() and len(seen(made)) == 500 - within.sum()
    run("apply_crop")
    assert cube.name in bpy.data.objects and len(made.data.points) == 500 - within.sum()


def test_a_box_that_is_gone_or_flat_hides_nothing(layout: ModuleType) -> None:
    made = splats(some_gaussians(500))
    run("crop")
    box = bpy.context.active_object
    box.scale.x = 0
    bpy.context.view_layer.update()
    assert len(seen(made)) == 500
    bpy.data.objects.remove(box)
    bpy.context.view_layer.update()
    assert len(seen(made)) == 500


def test_one_box_for_several_objects(layout: ModuleType) -> None:
    one, other = splats(some_gaussians(300)), splats(some_gaussians(300, seed=1), "Other")
    other.location.x = 1
    bpy.context.view_layer.update()
    whole = seen(one), seen(other)
    run("crop")
    box = bpy.context.active_object
    for made, before in zip((one, other), whole, strict=True):
        assert len(seen(made)) == inside(before.means, box).sum() < 300
    one.select_set(True)
    bpy.context.view_layer.objects.active = one
    box.select_set(False)
    run("apply_crop")
    assert box.name in bpy.data.objects, "the other one still needs it"
    other.select_set(True)
    run("apply_crop")
    assert "Crop Box" not in bpy.data.objects and len(bpy.data.node_groups) == 1
    with pytest.raises(RuntimeError, match="poll"):
        run("apply_crop")


def test_crop_of_shared_points_is_applied_to_one(layout: ModuleType) -> None:
    made = splats(some_gaussians(300))
    twin = bpy.data.objects.new("Twin", made.data)
    bpy.context.collection.objects.link(twin)
    run("crop")
    made.select_set(True)
    run("apply_crop")
    assert len(made.data.points) < 300 == len(twin.data.points)
