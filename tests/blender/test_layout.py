"""Layout: what operators do to splat objects, as functions do, with undo, and in one sentence where they cannot."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from tests.blender.conftest import module
from tests.blender.splat_samples import assert_same, changed, keep_first, some_gaussians
from tests.scenes import colored_ball


@pytest.fixture
def layout(fresh_scene: bpy.types.Scene) -> ModuleType:
    return module("addon.layout")


def splats(gaussians: Any = None, name: str = "Splats") -> bpy.types.Object:
    made = module("addon.splat_object").create_splat_object(name, colored_ball(2000) if gaussians is None else gaussians)
    made.select_set(True)
    bpy.context.view_layer.objects.active = made
    bpy.context.view_layer.update()
    return made


def parented(made: bpy.types.Object) -> bpy.types.Object:
    parent = bpy.data.objects.new("Parent", None)
    bpy.context.collection.objects.link(parent)
    made.parent = parent
    bpy.context.view_layer.update()
    return parent


def seen(*targets: bpy.types.Object) -> Any:
    return module("addon.export").world_gaussians(targets).gaussians


def lowest(*targets: bpy.types.Object) -> float:
    placing, gaussians = module("engine.core.placing"), seen(*targets)
    return placing.lowest_height(placing.bottoms(gaussians, np.eye(4)), gaussians.opacities)


def run(name: str, **options: Any) -> set[str]:
    return getattr(bpy.ops.splatwright, name)("EXEC_DEFAULT", **options)


# Placing


def test_splats_stand_on_the_ground(layout: ModuleType) -> None:
    made = splats()
    made.location, made.rotation_euler, made.scale = (3, 4, 9), (1, 0.2, 0), (1, 2, 0.5)
    assert run("place_on_ground") == {"FINISHED"}
    assert abs(lowest(made)) < 1e-4 and np.allclose(made.location[:2], (3, 4)) and np.allclose(made.scale, (1, 2, 0.5))


def test_what_a_crop_hides_does_not_stand(layout: ModuleType) -> None:
    made = splats()
    made.location.z = 5
    keep_first(made, 500)
    run("place_on_ground")
    assert abs(lowest(made)) < 1e-4


def test_the_topmost_parent_moves_or_stays(layout: ModuleType) -> None:
    made = splats()
    parent = parented(made)
    parent.location.z = 7
    run("place_on_ground")
    assert abs(lowest(made)) < 1e-4 and made.location.z == 0
    parent.location.z = 7
    run("place_on_ground", with_parent=False)
    assert abs(lowest(made)) < 1e-4 and parent.location.z == 7 and made.location.z < -5


def test_a_parent_and_its_child_are_moved_once(layout: ModuleType) -> None:
    made, child = splats(), splats(name="Child")
    child.parent = made
    child.location.x = 5
    made.location.z = 3
    for with_parent in (True, False):
        run("place_on_ground", with_parent=with_parent)
        assert abs(lowest(made)) < 1e-4 and np.allclose(child.matrix_world.translation - made.matrix_world.translation, (5, 0, 0))


def test_splats_stand_on_the_mesh_below(layout: ModuleType) -> None:
    made = splats()
    for size, height in ((10, 1.5), (10, -3)):
        bpy.ops.mesh.primitive_plane_add(size=size, location=(0, 0, height))
    made.location.z = 4
    own = bpy.context.object
    own.parent, own.location = made, (0, 0, -2)  # what belongs to the object is no ground
    bpy.context.view_layer.update()
    bpy.context.view_layer.objects.active = made
    own.select_set(False)
    made.select_set(True)
    run("place_on_ground", surfaces=True)
    assert abs(lowest(made) - 1.5) < 1e-3
    made.location.x = 100
    run("place_on_ground", surfaces=True)
    assert abs(lowest(made)) < 1e-3, "no mesh below: the height zero"


def test_three_points_become_the_floor(layout: ModuleType) -> None:
    """The ball's lowest splats, as the turned object shows them."""
    made = splats()
    parent = parented(made)
    parent.rotation_euler, parent.location, parent.scale = (0.4, -0.7, 0.2), (1, 2, 3), (2, 2, 2)
    bpy.context.view_layer.update()
    corners = np.array([[0, 0, -1], [1, 0, -1], [0, 1, -1]]) @ np.array(made.matrix_world)[:3, :3].T + np.array(made.matrix_world)[:3, 3]
    assert run("align_to_points", first=corners[0], second=corners[1], third=corners[2]) == {"FINISHED"}
    assert np.allclose(np.array(made.matrix_world), [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 2], [0, 0, 0, 1]], atol=1e-5)
    assert np.median(seen(made).means[:, 2]) > 1
    run("align_to_points", first=(0, 0, 0), second=(1, 0, 0), third=(0, 1, 0), flip=True)
    assert np.median(seen(made).means[:, 2]) < -1
    with pytest.raises(RuntimeError, match="on one line"):
        run("align_to_points", first=(0, 0, 0), second=(1, 0, 0), third=(2, 0, 0))


def test_a_measured_distance_sets_the_scale(layout: ModuleType) -> None:
    made = splats()
    parent = parented(made)
    parent.rotation_euler, parent.location = (0.4, -0.7, 0.2), (1, 2, 3)
    bpy.context.view_layer.update()
    before = seen(made).means
    assert run("scale_to_distance", first=before[0], second=before[1], distance=7.0) == {"FINISHED"}
    after = seen(made).means
    assert np.isclose(np.linalg.norm(after[0] - after[1]), 7, atol=1e-4) and np.allclose(after[0], before[0], atol=1e-5)
    assert np.allclose(made.scale, 1) and parent.scale[0] > 1
    for wrong, words in (({"first": (1, 1, 1), "second": (1, 1, 1), "distance": 1.0}, "the same"), ({"distance": 0.0}, "the same")):
        with pytest.raises(RuntimeError, match=words):
            run("scale_to_distance", **wrong)


def test_operators_do_what_functions_do(layout: ModuleType) -> None:
    matrices = []
    for way in ("operator", "function"):
        made = splats(name=way)
        for other in bpy.context.selected_objects:
            other.select_set(other == made)
        made.rotation_euler, made.location = (0.4, -0.7, 0.2), (1, 2, 3)
        bpy.context.view_layer.update()
        first, second, third = (np.array(corner, float) for corner in ((0, 0, 1), (1, 0, 2), (0, 1, 3)))
        if way == "operator":
            run("align_to_points", first=first, second=second, third=third)
            run("scale_to_distance", first=first, second=second, distance=3.0)
            run("place_on_ground", ignored=0.1234)
        else:
            layout.align_to_points([made], np.array([first, second, third]))
            layout.scale_to_distance([made], first, second, 3.0)
            layout.place_on_ground([made], 0.1234)
        matrices.append(np.array(made.matrix_world))
    assert np.allclose(*matrices, atol=1e-5)


def test_what_is_held_stays_and_is_said(layout: ModuleType) -> None:
    made = splats()
    made.location.z = 4
    made.constraints.new("LIMIT_LOCATION").use_min_z = True
    made.constraints[0].min_z = 4
    with pytest.raises(RuntimeError, match="held by a constraint"):
        run("place_on_ground")
    assert made.location.z == 4
    empty = splats(some_gaussians(0), "Empty")
    made.select_set(False)
    with pytest.raises(RuntimeError, match="hold no splats"):
        run("place_on_ground")
    assert empty.location.z == 0


# Clicking


def click(x: int, y: int) -> SimpleNamespace:
    return SimpleNamespace(type="LEFTMOUSE", value="PRESS", mouse_x=x + 30, mouse_y=y + 40)


DOWN = SimpleNamespace(perspective_matrix=Matrix.Diagonal((0.1, 0.2, -0.01, 1)))
REGIONS = [SimpleNamespace(type="UI", x=200, y=40, width=30, height=100), SimpleNamespace(type="TOOLS", x=30, y=40, width=1, height=100),
           SimpleNamespace(type="WINDOW", x=30, y=40, width=200, height=100, data=DOWN)]


class Clicking:
    """Runs a picking operator's modal() with a viewport of 200 x 100 pixels that looks down on 20 x 10 metres."""

    def __init__(self, kind: type, **properties: Any):
        self.asked: list[str | None] = []
        self.context = SimpleNamespace(
            selected_objects=bpy.context.selected_objects, active_object=bpy.context.active_object, view_layer=bpy.context.view_layer,
            screen=SimpleNamespace(areas=[SimpleNamespace(type="VIEW_3D", regions=REGIONS)]),
            window=SimpleNamespace(cursor_modal_set=lambda name: None, cursor_modal_restore=lambda: None),
            window_manager=SimpleNamespace(modal_handler_add=lambda operator: None),
            workspace=SimpleNamespace(status_text_set=self.asked.append))
        self.operator = SimpleNamespace(
            properties=SimpleNamespace(is_property_set=lambda name: False), bl_label=kind.bl_label, places=kind.places, said=[],
            with_parent=True, **properties)
        self.operator.report = lambda level, text: self.operator.said.append(text)
        for name in ("invoke", "modal", "cancel", "execute", "_start", "_finish", "_ask", "_under_mouse"):
            setattr(self.operator, name, getattr(kind, name).__get__(self.operator))

    def invoke(self) -> set[str]:
        return self.operator.invoke(self.context, None)

    def modal(self, event: SimpleNamespace) -> set[str]:
        return self.operator.modal(self.context, event)


def markers() -> bpy.types.Object:
    """Splats at known places."""
    means = np.array([[0, 0, 0], [5, 0, 0], [0, 3, 0], [5, 0, -5]], np.float32)
    return splats(changed(some_gaussians(4), means=means, opacities=np.full(4, 5, np.float32)))


def test_clicks_give_the_places(layout: ModuleType) -> None:
    made = markers()
    clicking = Clicking(module("addon.operators.placing").SPLATWRIGHT_OT_scale_to_distance, distance=10.0)
    assert clicking.invoke() == {"RUNNING_MODAL"} and "“From” (1 of 2)" in clicking.asked[-1]
    assert clicking.modal(SimpleNamespace(type="MIDDLEMOUSE", value="PRESS", mouse_x=130, mouse_y=90)) == {"PASS_THROUGH"}
    assert clicking.modal(click(190, 50)) == {"PASS_THROUGH"}, "the sidebar lies over the scene"
    assert clicking.modal(click(10, 10)) == {"RUNNING_MODAL"} and "no splat under the mouse" in clicking.operator.said[-1]
    assert clicking.modal(click(102, 49)) == {"RUNNING_MODAL"} and "“To” (2 of 2)" in clicking.asked[-1]
    assert clicking.modal(click(150, 50)) == {"FINISHED"} and clicking.asked[-1] is None
    assert np.allclose(clicking.operator.second, (5, 0, 0)), "the splat above, not the one below it"
    assert np.allclose(made.scale, 2)


def test_escape_ends_clicking(layout: ModuleType) -> None:
    made = markers()
    clicking = Clicking(module("addon.operators.placing").SPLATWRIGHT_OT_align_to_points, flip=False)
    clicking.invoke()
    clicking.modal(click(100, 50))
    assert clicking.modal(SimpleNamespace(type="ESC", value="PRESS", mouse_x=130, mouse_y=90)) == {"CANCELLED"}
    assert clicking.asked[-1] is None
    assert made.matrix_world.is_identity


def test_points_selected_in_edit_mode_are_places_too(layout: ModuleType) -> None:
    made = markers()
    made.location.z = 7
    bpy.context.view_layer.update()
    module("addon.point_rows").select_points(made.data, np.array([True, True, True, False]))
    clicking = Clicking(module("addon.operators.placing").SPLATWRIGHT_OT_align_to_points, flip=False)
    assert clicking.invoke() == {"FINISHED"} and made.location.z == 0


# Crop


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


# Floaters


def dirty_ball() -> Any:
    ball = colored_ball(2000)
    ball.opacities[3], ball.scales[5, 1], ball.means[7] = -6, np.log(1.5), [4, 4, 4]
    return ball


def test_floaters_are_shown_and_removed(layout: ModuleType) -> None:
    made, rows = splats(dirty_ball()), module("addon.point_rows")
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
    assert made.data.materials or module("addon.preview").draws_natively()


def test_what_is_shown_is_deleted_by_blender_too(layout: ModuleType) -> None:
    made = splats(dirty_ball())
    run("select_floaters")
    assert bpy.ops.pointcloud.delete() == {"FINISHED"}
    bpy.ops.object.mode_set(mode="OBJECT")
    assert_same(module("addon.splat_object").gaussians_from_object(made), dirty_ball().take(np.delete(np.arange(2000), [3, 5, 7])))


def test_broken_points_are_floaters_and_flat_splats_are_none(layout: ModuleType) -> None:
    ball = colored_ball(2000)
    made = splats(ball)
    made.data.attributes["position"].data[4].vector = (float("nan"), 0, 0)
    made.data.attributes["scale"].data[6].vector = (0, 0.1, 0.1)
    found = module("addon.clean").find_floaters(made, module("engine.core.floaters").FloaterLimits())
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
    assert_same(module("addon.splat_object").gaussians_from_object(bpy.data.objects["Splats"]), dirty_ball())


# Merge and split


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
    module("addon.point_rows").select_points(made.data, chosen)
    bpy.ops.object.mode_set(mode="EDIT")
    assert run("split_splats") == {"FINISHED"}
    part, read = bpy.context.active_object, module("addon.splat_object").gaussians_from_object
    assert part.mode == "OBJECT" and bpy.context.selected_objects == [part] and part.name == "Splats Part"
    assert_same(read(made), gaussians.take(~chosen))
    assert_same(read(part), gaussians.take(chosen))
    assert np.allclose(part.location, (1, 2, 3)) and part.splatwright.job == "" and made.splatwright.job == "some job"
    assert [item.value for item in part.data.attributes["ply:label"].data] == np.flatnonzero(chosen).tolist()
    assert list(part.data.materials) == list(made.data.materials)


@pytest.mark.parametrize(("chosen", "words"), [(False, "No splats are selected"), (True, "All splats are selected")])
def test_nothing_or_everything_is_not_split(layout: ModuleType, chosen: bool, words: str) -> None:
    made = splats(some_gaussians(10))
    module("addon.point_rows").select_points(made.data, np.full(10, chosen))
    bpy.ops.object.mode_set(mode="EDIT")
    with pytest.raises(RuntimeError, match=words):
        run("split_splats")
    assert made.mode == "EDIT" and len(bpy.data.pointclouds) == 1
    bpy.ops.object.mode_set(mode="OBJECT")


def test_every_kind_of_attribute_goes_with_its_points(layout: ModuleType) -> None:
    made, rows = splats(some_gaussians(40)), module("addon.point_rows")
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


# Undo


def state() -> dict[str, tuple[Any, ...]]:
    """Objects with their places, modes, numbers of modifiers and of points."""
    return {found.name: (np.round(np.array(found.matrix_world), 4).tolist(), found.mode, len(found.modifiers),
                         found.data and len(found.data.points)) for found in bpy.data.objects}


@pytest.mark.parametrize(("name", "options"), [
    ("place_on_ground", {}), ("align_to_points", {"first": (0, 0, 0), "second": (1, 1, 0), "third": (0, 1, 1)}),
    ("scale_to_distance", {"first": (0, 0, 0), "second": (1, 1, 0), "distance": 5.0}), ("apply_transform", {}), ("crop", {}),
    ("select_floaters", {}), ("remove_floaters", {}), ("merge_splats", {}), ("split_splats", {})])
def test_everything_is_undone(layout: ModuleType, name: str, options: dict[str, Any]) -> None:
    bpy.context.preferences.edit.use_global_undo = True
    made, other = splats(dirty_ball()), splats(some_gaussians(50), "Other")
    made.location, made.scale = (1, 2, 3), (1, 2, 1)
    module("addon.point_rows").select_points(other.data, np.arange(50) < 7)
    bpy.context.view_layer.update()
    bpy.ops.ed.undo_push(message="Before")
    before = state()
    assert getattr(bpy.ops.splatwright, name)("EXEC_DEFAULT", True, **options) == {"FINISHED"}
    bpy.context.view_layer.update()
    assert state() != before
    bpy.ops.ed.undo()
    assert state() == before
