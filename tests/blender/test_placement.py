"""Placing splat objects: what operators do as functions do, by clicks too, and in one sentence where they cannot; undo of all of Layout."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mathutils import Matrix

from tests.blender.conftest import module
from tests.blender.splats.on_splats import dirty_ball, lowest, parented, run, seen, splats
from tests.blender.splats.splat_samples import changed, keep_first, some_gaussians
from tests.blender.splats.test_transforms import apply_as_blender_does
from tests.untyped import bpy


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
    module("addon.splats.subsets").select_points(made.data, np.array([True, True, True, False]))
    clicking = Clicking(module("addon.operators.placing").SPLATWRIGHT_OT_align_to_points, flip=False)
    assert clicking.invoke() == {"FINISHED"} and made.location.z == 0


def state() -> dict[str, tuple[Any, ...]]:
    """Objects with their places, modes, numbers of modifiers, and splats."""
    checksum = module("addon.splats.importing").checksum_of
    return {found.name: (np.round(np.array(found.matrix_world), 4).tolist(), found.mode, len(found.modifiers),
                         found.data and checksum(found.data)) for found in bpy.data.objects}


@pytest.mark.parametrize(("name", "options"), [
    ("place_on_ground", {}), ("align_to_points", {"first": (0, 0, 0), "second": (1, 1, 0), "third": (0, 1, 1)}),
    ("scale_to_distance", {"first": (0, 0, 0), "second": (1, 1, 0), "distance": 5.0}), ("apply_transform", {}), ("crop", {}),
    ("select_floaters", {}), ("remove_floaters", {}), ("merge_splats", {}), ("split_splats", {}), ("apply_crop", {}),
    ("fix_unapplied_transform", {})])
def test_everything_is_undone(layout: ModuleType, name: str, options: dict[str, Any]) -> None:
    bpy.context.preferences.edit.use_global_undo = True
    made, other = splats(dirty_ball()), splats(some_gaussians(50), "Other")
    made.location, made.scale = (1, 2, 3), (1, 2, 1)
    module("addon.splats.subsets").select_points(other.data, np.arange(50) < 7)
    if name == "apply_crop":
        assert run("crop") == {"FINISHED"}
        made.select_set(True)
    if name == "fix_unapplied_transform":
        apply_as_blender_does(made)
    bpy.context.view_layer.update()
    bpy.ops.ed.undo_push(message="Before")
    before = state()
    assert getattr(bpy.ops.splatwright, name)("EXEC_DEFAULT", True, **options) == {"FINISHED"}
    bpy.context.view_layer.update()
    assert state() != before
    bpy.ops.ed.undo()
    assert state() == before
