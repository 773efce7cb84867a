"""Floaters, merging and splitting."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from tests.blender.conftest import module
from tests.blender.splats.on_splats import dirty_ball, parented, run, seen, splats
from tests.blender.splats.splat_samples import assert_same, keep_first, some_gaussians
from tests.scenes import colored_ball
from tests.untyped import bpy


def test_floaters_are_shown_and_removed(layout: ModuleType) -> None:
    made, rows = splats(dirty_ball()), module("addon.splats.subsets")
    made.data.attributes.new("ply:label", "INT", "POINT").data.foreach_set("value", np.arange(2000, dtype=np.int32))
    assert run("select_floaters") == {"FINISHED"}
    assert made.mode == "EDIT" and np.flatnonzero(rows.selected_points(made.data)).tolist() == [3, 5, 7]
    assert run("select_floaters", size=0) == {"FINISHED"}
    assert np.flatnonzero(rows.selected_points(made.data)).tolist() == [3, 7]
    bpy.ops.object.mode_set(mode="OBJECT")
    assert run("remove_floaters") == {"FINISHED"}
    kept = np.delete(np.arange(2000), [3, 5, 7])
    assert_same(seen(made), dirty_ball().take(kept))
    assert [item.value for item in made.data.attributes["ply:label"].data] == kept.tolist()
    assert made.data.materials or module("addon.splats.display").draws_natively()


def test_what_is_shown_is_deleted_by_blender_too(layout: ModuleType) -> None:
    made = splats(dirty_ball())
    run("select_floaters")
    assert bpy.ops.pointcloud.delete() == {"FINISHED"}
    bpy.ops.object.mode_set(mode="OBJECT")
    assert_same(module("addon.splats.splat_object").gaussians_from_object(made), dirty_ball().take(np.delete(np.arange(2000), [3, 5, 7])))


def test_broken_points_are_floaters_and_flat_splats_are_none(layout: ModuleType) -> None:
    ball = colored_ball(2000)
    made = splats(ball)
    made.data.attributes["position"].data[4].vector = (float("nan"), 0, 0)
    made.data.attributes["scale"].data[6].vector = (0, 0.1, 0.1)
    found = module("addon.splats.clean").find_floaters(made, module("engine.core.splats.floaters").FloaterLimits())
    assert np.flatnonzero(found).tolist() == [4]


def test_not_everything_is_removed(layout: ModuleType) -> None:
    made = splats()
    with pytest.raises(RuntimeError, match="Every splat"):
        run("remove_floaters", opacity=1.0)
    assert len(made.data.points) == 2000
    made.select_set(False)
    splats(some_gaussians(0), "Empty")
    assert run("remove_floaters") == {"FINISHED"}


def test_shared_points_are_cleaned_once(layout: ModuleType) -> None:
    made = splats(dirty_ball())
    twin = bpy.data.objects.new("Twin", made.data)
    bpy.context.collection.objects.link(twin)
    twin.select_set(True)
    run("remove_floaters")
    assert twin.data == made.data and len(twin.data.points) == 1997


def test_removing_is_undone(layout: ModuleType) -> None:
    bpy.context.preferences.edit.use_global_undo = True
    splats(dirty_ball())
    bpy.ops.ed.undo_push(message="Before")
    run("remove_floaters")
    bpy.ops.ed.undo_push(message="After")
    assert len(bpy.data.objects["Splats"].data.points) == 1997
    bpy.ops.ed.undo()
    assert_same(module("addon.splats.splat_object").gaussians_from_object(bpy.data.objects["Splats"]), dirty_ball())


def test_merged_splats_look_the_same(layout: ModuleType) -> None:
    one, other = splats(some_gaussians(30, 1)), splats(some_gaussians(20, 3, seed=1), "Other")
    one.location, one.rotation_euler, one.scale = (1, 2, 3), (0.3, 0.5, 0.7), (1, 2, 0.5)
    other.scale, other.location = (-1, 1, 1), (4, 0, 0)
    keep_first(other, 15)
    parent, child = parented(other), bpy.data.objects.new("Child", None)
    bpy.context.collection.objects.link(child)
    child.parent, child.location = one, (0, 0, 1)
    bpy.context.view_layer.update()
    before, place, stood = seen(other, one), other.matrix_world.copy(), child.matrix_world.copy()
    assert run("merge_splats") == {"FINISHED"}
    made = bpy.context.active_object
    bpy.context.view_layer.update()
    assert made.name == "Other" and made.parent == parent and np.allclose(made.matrix_world, place) and not made.modifiers
    assert {found.name for found in bpy.data.objects} == {"Other", "Parent", "Child"} and len(bpy.data.pointclouds) == 1
    assert np.allclose(child.matrix_world, stood, atol=1e-6)
    after = seen(made)
    assert len(after) == 45 and after.sh_degree == 3
    np.testing.assert_allclose(after.means, before.means, atol=1e-5)
    np.testing.assert_allclose(after.shN, before.shN, atol=1e-5)
    made.select_set(True)
    with pytest.raises(RuntimeError, match="nothing to merge"):
        run("merge_splats")


def test_the_selection_becomes_an_object(layout: ModuleType) -> None:
    gaussians = some_gaussians(60)
    made = splats(gaussians)
    made.location, made.splatwright.job = (1, 2, 3), "some job"
    made.data.attributes.new("ply:label", "INT", "POINT").data.foreach_set("value", np.arange(60, dtype=np.int32))
    chosen = np.arange(60) % 4 == 1
    module("addon.splats.subsets").select_points(made.data, chosen)
    bpy.ops.object.mode_set(mode="EDIT")
    assert run("split_splats") == {"FINISHED"}
    part, read = bpy.context.active_object, module("addon.splats.splat_object").gaussians_from_object
    assert part.mode == "OBJECT" and bpy.context.selected_objects == [part] and part.name == "Splats Part"
    assert_same(read(made), gaussians.take(~chosen))
    assert_same(read(part), gaussians.take(chosen))
    assert np.allclose(part.location, (1, 2, 3)) and part.splatwright.job == "" and made.splatwright.job == "some job"
    assert [item.value for item in part.data.attributes["ply:label"].data] == np.flatnonzero(chosen).tolist()
    assert list(part.data.materials) == list(made.data.materials)


@pytest.mark.parametrize(("chosen", "words"), [(False, "No splats are selected"), (True, "All splats are selected")])
def test_nothing_or_everything_is_not_split(layout: ModuleType, chosen: bool, words: str) -> None:
    made = splats(some_gaussians(10))
    module("addon.splats.subsets").select_points(made.data, np.full(10, chosen))
    bpy.ops.object.mode_set(mode="EDIT")
    with pytest.raises(RuntimeError, match=words):
        run("split_splats")
    assert made.mode == "EDIT" and len(bpy.data.pointclouds) == 1
    bpy.ops.object.mode_set(mode="OBJECT")


def test_every_kind_of_attribute_goes_with_its_points(layout: ModuleType) -> None:
    made, rows = splats(some_gaussians(40)), module("addon.splats.subsets")
    kinds = [kind for kind in rows.STORED if kind in bpy.types.Attribute.bl_rna.properties["data_type"].enum_items]
    rng, before = np.random.default_rng(0), {}
    for kind in kinds:
        values, width, dtype = rows.STORED[kind]
        numbers = rng.integers(0, 2, (40, width)).astype(dtype)
        made.data.attributes.new(f"my {kind}", kind, "POINT")
        made.data.attributes[f"my {kind}"].data.foreach_set(values, numbers.ravel())
        before[kind] = numbers
    assert len(kinds) >= 12
    keep = np.arange(40) % 2 == 0
    rows.keep_points(made, keep)
    for kind, numbers in before.items():
        assert np.array_equal(rows._rows(made.data.attributes[f"my {kind}"], 20), numbers[keep]), kind
