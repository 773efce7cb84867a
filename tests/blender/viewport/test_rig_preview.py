"""The cameras that Capture would take, in the viewport: what is drawn, where it is drawn, and when it is planned anew."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.untyped import bpy

from ..capture.capturing import ball_scene, steps
from ..capture.room import furnished_room
from ..conftest import add_camera, module


@pytest.fixture
def drawing(fresh_scene: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    found = module("addon.viewport.rig_preview")
    monkeypatch.setattr(found, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(found, "preview", found.RigPreview())
    yield found


def settle(drawing: ModuleType) -> Any:
    """Turn the timer until nothing is left to do; the plan."""
    bpy.context.view_layer.update()
    while drawing.poll() is not None:
        pass
    assert drawing.preview.failure == ""
    return drawing.preview.plan


def test_it_shows_the_rig_that_the_settings_make(drawing: ModuleType) -> None:
    ball_scene(cameras=0)
    settings = bpy.context.scene.splatwright.capture
    assert settle(drawing).label == "60 cameras" and drawing.preview.plans_made == 1
    settings.count = 7
    assert settle(drawing).label == "7 cameras"
    for source, label in (("ORBIT", "7 cameras"), ("SELECTED", None), ("ANIMATION", None)):
        settings.cameras_from = source
        plan = settle(drawing)
        assert plan.label == label if label else plan is None and "camera" in drawing.preview.problem
    add_camera(bpy.context.scene)
    settings.cameras_from = "SELECTED"
    assert settle(drawing).label == "1 camera" and drawing.preview.problem == ""


def test_a_plan_is_made_once_and_anew_after_changes(drawing: ModuleType) -> None:
    vase = furnished_room()
    first = settle(drawing)
    assert settle(drawing) is first and drawing.preview.plans_made == 1
    vase.location.x += 0.5
    second = settle(drawing)
    assert second is not first and np.allclose(
        [after.camera.position - before.camera.position for before, after in zip(first.cameras, second.cameras, strict=True)],
        [0.5, 0, 0], atol=1e-5)
    bpy.context.scene.render.resolution_x *= 2
    assert settle(drawing) is not second
    made = drawing.preview.plans_made
    bpy.data.objects["Table"].select_set(True)
    assert settle(drawing).cameras[0].camera.position[2] != second.cameras[0].camera.position[2]
    assert drawing.preview.plans_made == made + 1


def test_changes_of_splats_plan_nothing(drawing: ModuleType) -> None:
    from ..splats.splat_samples import some_gaussians

    furnished_room()
    splats = module("addon.splats.splat_object").create_splat_object("Splats", some_gaussians())
    bpy.ops.object.select_all(action="DESELECT")
    before = settle(drawing)
    updates = SimpleNamespace(updates=[SimpleNamespace(id=splats), SimpleNamespace(id=splats.data)])
    drawing._on_update(bpy.context.scene, updates)
    assert settle(drawing) is before
    drawing._on_update(bpy.context.scene, SimpleNamespace(updates=[SimpleNamespace(id=bpy.data.objects["Vase"])]))
    assert settle(drawing) is not before


def test_nothing_is_planned_while_a_capture_runs(drawing: ModuleType, tmp_path: Any) -> None:
    ball_scene(cameras=0)
    before, capturing = settle(drawing), steps(tmp_path, source="DOME", count=3, samples=1)
    next(capturing)
    drawing.preview.note_change()
    assert settle(drawing) is before and drawing.poll() is None
    capturing.close()
    assert settle(drawing) is not before


def test_the_frames_of_a_camera_are_drawn_without_going_there(drawing: ModuleType) -> None:
    """What nobody has keyed yet stays; cameras under constraints are drawn where they are."""
    scene, camera = bpy.context.scene, add_camera(bpy.context.scene)
    ball_scene(cameras=0)
    scene.frame_start, scene.frame_end = 1, 9
    for frame, x in ((1, 0.0), (9, 8.0)):
        camera.location.x = x
        camera.keyframe_insert("location", frame=frame)
    for curve in module("addon.capture.keyed_motion")._curves(camera):
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"
    above = bpy.data.objects.new("Above", None)
    scene.collection.objects.link(above)
    above.location.z, camera.parent = 3.0, above
    scene.frame_set(1)
    bpy.context.view_layer.objects.active, camera.location.y = camera, -7.0
    scene.splatwright.capture.cameras_from, scene.splatwright.capture.frame_step = "ANIMATION", 4
    plan = settle(drawing)
    assert [planned.camera.position.round(3).tolist() for planned in plan.cameras] == [[0, -4, 5], [4, -4, 5], [8, -4, 5]]
    assert plan.label == "3 cameras" and camera.location.y == -7.0 and scene.frame_current == 1
    camera.constraints.new("TRACK_TO").target = above
    plan = settle(drawing)
    assert len(plan.cameras) == 1 and plan.label == "3 cameras"


def test_lines_have_the_cameras_frustums_and_colours(drawing: ModuleType) -> None:
    furnished_room().location.x = 2.5
    bpy.context.scene.splatwright.capture.focal_length = 80.0
    plan = settle(drawing)
    places, colors = drawing.rig_lines(plan)
    each = drawing.EDGES.size
    assert len(places) == len(colors) == each * len(plan.cameras)
    for number, planned in enumerate(plan.cameras):
        mine = slice(number * each, (number + 1) * each)
        assert np.allclose(places[mine][0], planned.camera.position, atol=1e-5)
        assert np.allclose(colors[mine], drawing.COLORS[planned.placing])
        corners = planned.camera.project(places[mine][1:8:2].astype(float))[0]
        assert np.allclose(corners, drawing.CORNERS * [planned.camera.width, planned.camera.height], atol=0.1)
    assert len({tuple(color) for color in colors.tolist()}) == 3, "well, moved and left out"


def test_it_is_drawn_where_the_panel_is_open_alone(drawing: ModuleType) -> None:
    sidebar = SimpleNamespace(type="UI", active_panel_category="Splats")
    area = SimpleNamespace(regions=[sidebar], as_pointer=lambda: 1)
    space = SimpleNamespace(overlay=SimpleNamespace(show_overlays=True), show_region_ui=True)
    context = SimpleNamespace(area=area, space_data=space, scene=bpy.context.scene)
    drawing._open.clear()
    assert not drawing.is_shown(context)
    drawing.note_panel(area, unfolded=True)
    assert drawing.is_shown(context)
    for owner, name, value in ((space.overlay, "show_overlays", False), (space, "show_region_ui", False),
                               (sidebar, "active_panel_category", "View"), (bpy.context.scene.splatwright.capture, "show_rig", False)):
        before = getattr(owner, name)
        setattr(owner, name, value)
        assert not drawing.is_shown(context)
        setattr(owner, name, before)
    drawing.note_panel(area, unfolded=False)
    assert not drawing.is_shown(context)


def test_a_scene_without_anything_to_see_says_so(drawing: ModuleType) -> None:
    assert settle(drawing) is None and "nothing to look at" in drawing.preview.problem
    assert settle(drawing) is None and drawing.preview.plans_made == 1, "and asks no more"


def test_removing_what_is_looked_at_meanwhile_is_no_trouble(drawing: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(drawing, "NEXT_SLICE_SECONDS", 0.001)
    vase = furnished_room()
    bpy.context.view_layer.update()
    assert drawing.poll() is not None
    bpy.data.objects.remove(vase)
    bpy.context.view_layer.update()
    assert settle(drawing).label == "60 cameras"
