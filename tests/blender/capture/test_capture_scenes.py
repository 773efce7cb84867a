"""Captures in scenes as people have them: cameras bound to markers, collections of other files, things that move."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mathutils import Vector

from tests.blender.splats.splat_samples import some_gaussians
from tests.untyped import bpy

from ..conftest import add_camera, empty_scene, module
from .capturing import ball_scene, capture, request, snapshot

# Cameras bound to markers


def cuts(scene: bpy.types.Scene, **frames: int) -> dict[str, bpy.types.Object]:
    """Unselected cameras, each bound to a marker at its frame and standing at x = its frame; the ball is active."""
    scene.frame_start, scene.frame_end = 1, 9
    made = {name: add_camera(scene, (frame, -4, 1), name) for name, frame in frames.items()}
    for name, frame in frames.items():
        made[name].select_set(False)
        scene.timeline_markers.new(name, frame=frame).camera = made[name]
    bpy.context.view_layer.objects.active = next(item for item in scene.objects if item.type == "MESH")
    return made


def test_frames_are_taken_with_the_cameras_of_their_markers(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=1)
    cameras = cuts(fresh_scene, A=2, B=4, C=7)
    fresh_scene.frame_set(4)
    before = snapshot()
    views = capture(tmp_path, source="ANIMATION", frame_step=2, points=0).views
    assert [round(float(view.camera.position[0])) for view in views] == [2, 2, 4, 7, 7]  # frames 1, 3, 5, 7, 9
    assert snapshot() == before and fresh_scene.camera == cameras["B"]


def test_an_active_camera_takes_all_frames_and_says_so(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=1)
    cameras = cuts(fresh_scene, A=2, B=7)
    bpy.context.view_layer.objects.active = cameras["A"]
    asked = request(tmp_path, source="ANIMATION", frame_step=4, points=0)
    assert "captured with A" in "".join(module("addon.capture.capture").capture_warnings(bpy.context, asked))
    assert {round(float(view.camera.position[0])) for view in capture(tmp_path, source="ANIMATION", frame_step=4, points=0).views} == {2}


@pytest.mark.parametrize("frame", [1, 5, 9])
def test_instant_splats_are_seen_by_the_camera_of_the_frame(fresh_scene: bpy.types.Scene, frame: int) -> None:
    """The camera that Blender would render with, though the scene still names another one."""
    ball_scene(cameras=0)
    cameras = cuts(fresh_scene, A=2, B=4, C=7)
    fresh_scene.frame_set(frame)
    fresh_scene.camera = cameras["A" if frame > 5 else "C"]
    shown = cameras[{1: "A", 5: "B", 9: "C"}[frame]]
    for camera in cameras.values():
        target = Vector((0, 0, 0)) if camera == shown else Vector((0, -99, 9))
        camera.rotation_euler = (target - camera.location).to_track_quat("-Z", "Y").to_euler()
    made = module("addon.capture.instant_splats").instant_splats(bpy.context, 500)
    middle = module("addon.splats.attributes").read_layer(made.data, "position").mean(axis=0)
    assert np.dot(middle, shown.location) > 0.3 and len(made.data.points) > 50


def test_a_camera_path_follows_the_markers(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=0)
    cuts(fresh_scene, A=2, B=4, C=7)
    assert bpy.ops.splatwright.export_camera_path(filepath=str(tmp_path / "a.txt")) == {"FINISHED"}
    shots = module("engine.core.datasets.realestate10k").read_cameras(tmp_path / "a.txt", (96, 64))
    assert [round(float(camera.position[0])) for camera in shots.cameras] == [2, 2, 2, 4, 4, 4, 7, 7, 7]


# Collections of other files


@pytest.fixture(params=["linked", "overridden"])
def foreign(request: pytest.FixtureRequest, tmp_path: Path) -> bpy.types.Collection:
    """A scene whose active collection belongs to another file, or overrides one."""
    made = empty_scene()
    collection = bpy.data.collections.new("Foreign")
    made.collection.children.link(collection)
    collection.objects.link(bpy.data.objects.new("Thing", None))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    empty_scene()
    bpy.ops.wm.link(directory=str(tmp_path / "library.blend" / "Collection"), filename="Foreign", instance_collections=False)
    found = bpy.data.collections["Foreign"]
    if request.param == "overridden":
        found = found.override_hierarchy_create(bpy.context.scene, bpy.context.view_layer)
    layer = bpy.context.view_layer
    layer.active_layer_collection = next(child for child in layer.layer_collection.children if child.collection == found)
    assert bpy.context.collection == found
    return found


def counts() -> dict[str, int]:
    return {kind: len(getattr(bpy.data, kind)) for kind in ("objects", "pointclouds", "collections", "cameras", "meshes", "scenes")}


@pytest.mark.parametrize("link", [False, True])
def test_an_import_goes_into_the_scene_itself(foreign: bpy.types.Collection, tmp_path: Path, link: bool) -> None:
    before = counts()
    module("engine.core.formats.registry").write_splats(tmp_path / "a.ply", some_gaussians(20))
    assert bpy.ops.splatwright.import_splats(filepath=str(tmp_path / "a.ply"), link=link) == {"FINISHED"}
    made = bpy.context.object
    assert made.users_collection == (bpy.context.scene.collection,) and len(made.data.points) == 20
    after = counts()
    assert {kind: after[kind] - before[kind] for kind in after} == {
        **dict.fromkeys(after, 0), "objects": 1, "pointclouds": 1}


def test_a_capture_works_and_leaves_nothing(foreign: bpy.types.Collection, tmp_path: Path) -> None:
    ball_scene(cameras=1)
    bpy.context.view_layer.objects.active = None
    before = counts()
    assert len(capture(tmp_path / "dome", source="SELECTED", points=0).views) == 1
    next(item for item in bpy.context.scene.objects if item.type == "MESH").select_set(True)
    assert len(capture(tmp_path / "dome", source="DOME", count=2, points=0).views) == 2
    assert counts() == before


def test_other_new_objects_find_a_place_too(foreign: bpy.types.Collection, tmp_path: Path) -> None:
    """What is made beside an object, of parts of it or around it."""
    made = module("addon.splats.splat_object").create_splat_object("Splats", some_gaussians(30), foreign)
    assert made.users_collection == (bpy.context.scene.collection,)
    part = module("addon.splats.clean").split(made, np.arange(30) < 10)
    assert part.users_collection == (bpy.context.scene.collection,)
    assert module("addon.scene_collections").writable_collections([foreign]) == [bpy.context.scene.collection]


def test_a_scene_of_another_file_is_named(foreign: bpy.types.Collection, tmp_path: Path) -> None:
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (have, wanted):
        wanted.scenes = list(have.scenes)
    bpy.context.window.scene = linked = next(scene for scene in bpy.data.scenes if scene.library)
    module("engine.core.formats.registry").write_splats(tmp_path / "a.ply", some_gaussians(20))
    before = counts()
    with pytest.raises(RuntimeError, match=f"{linked.name} belongs to another file"):
        bpy.ops.splatwright.import_splats(filepath=str(tmp_path / "a.ply"))
    assert counts() == before


# Things that move


def keyed(item: bpy.types.Object, path: str = "location", index: int = 0, last: float = 3.0) -> bpy.types.Object:
    before = getattr(item, path)[index] if path != "hide_render" else False
    for frame, value in ((1, before), (9, last)):
        if path == "hide_render":
            item.hide_render = bool(value)
            item.keyframe_insert(path, frame=frame)
        else:
            getattr(item, path)[index] = value
            item.keyframe_insert(path, index=index, frame=frame)
    return item


def bent(item: bpy.types.Object) -> None:
    """Its shape changes within the same bounds."""
    item.shape_key_add(name="Basis")
    key = item.shape_key_add(name="Bent")
    key.data[100].co *= 0.5
    for frame, value in ((1, 0.0), (9, 1.0)):
        key.value = value
        key.keyframe_insert("value", frame=frame)


def parented_to_moving(item: bpy.types.Object) -> None:
    parent = bpy.data.objects.new("Parent", None)
    bpy.context.collection.objects.link(parent)
    item.parent = keyed(parent)


def driven(item: bpy.types.Object) -> None:
    item.driver_add("rotation_euler", 2).driver.expression = "frame / 10"


def hidden_in_viewports(item: bpy.types.Object) -> None:
    keyed(item).hide_viewport = True


MOVES: tuple[Callable[[bpy.types.Object], Any], ...] = (keyed, bent, parented_to_moving, driven, hidden_in_viewports)


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.__name__)
def test_what_moves_is_named(fresh_scene: bpy.types.Scene, tmp_path: Path, move: Callable[[bpy.types.Object], Any]) -> None:
    camera = ball_scene(cameras=1)[0]
    bpy.ops.mesh.primitive_cube_add(location=(5, 5, 0))
    bpy.context.object.name = "Still"
    ball = next(item for item in fresh_scene.objects if item.type == "MESH" and item.name != "Still")
    move(ball)
    bpy.context.view_layer.objects.active = keyed(camera)
    fresh_scene.frame_start, fresh_scene.frame_end = 1, 9
    fresh_scene.frame_set(3)
    assert module("addon.capture.motion").moving_objects(bpy.context, range(1, 10)) == {ball.name}
    assert fresh_scene.frame_current == 3


def test_a_capture_tells_of_what_moves(fresh_scene: bpy.types.Scene, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Before it, and of what only its own frames show after it; not where nothing moves or one frame is shown."""
    camera = ball_scene(cameras=1)[0]
    ball = next(item for item in fresh_scene.objects if item.type == "MESH")
    bpy.context.view_layer.objects.active = keyed(camera)
    fresh_scene.frame_start, fresh_scene.frame_end = 1, 3
    options = {"directory": str(tmp_path / "a"), "source": "ANIMATION", "points": 0}
    bpy.ops.splatwright.capture_dataset(**options)
    assert "same moment" not in capfd.readouterr().out
    keyed(ball, last=0.5)
    bpy.ops.splatwright.capture_dataset(**options)
    out = capfd.readouterr().out
    assert f"between the frames: {ball.name}." in out and out.count("same moment") == 1
    bpy.ops.splatwright.capture_dataset(directory=str(tmp_path / "b"), source="SELECTED", points=0)
    assert "same moment" not in capfd.readouterr().out


def test_a_short_jump_is_seen_while_the_frames_are_taken(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    camera = ball_scene(cameras=1)[0]
    ball = next(item for item in fresh_scene.objects if item.type == "MESH")
    bpy.context.view_layer.objects.active = keyed(camera)
    fresh_scene.frame_start, fresh_scene.frame_end = 1, 30
    looked = module("addon.capture.motion")._spread(range(1, 31))
    jump = next(frame for frame in range(4, 28) if not {frame - 1, frame, frame + 1} & set(looked))
    for frame, x in ((jump - 1, 0.0), (jump, 5.0), (jump + 1, 0.0)):
        ball.location.x = x
        ball.keyframe_insert("location", frame=frame)
    told: list[str] = []
    fresh_scene.render.resolution_percentage = 10
    module("addon.capture.capture").capture(bpy.context, request(tmp_path, source="ANIMATION", points=0, samples=1), told.append)
    assert len(told) == 1 and ball.name in told[0]
