"""Capture: what lies in the dataset folder afterwards, and that the scene is as it was."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest

from .conftest import add_camera, glow, module

IGNORED_IMAGES = {"Render Result", "Viewer Node"}


def ball_scene(cameras: int = 2) -> list[bpy.types.Object]:
    """An orange ball at the origin, seen by selected cameras."""
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.8, segments=48, ring_count=24)
    glow(bpy.context.object, (1.0, 0.214, 0.0))
    bpy.ops.object.select_all(action="DESELECT")
    scene = bpy.context.scene
    return [add_camera(scene, (4, -3 + 2 * index, 1 + index), f"Camera {index}") for index in range(cameras)]


def request(directory: Path, **values: Any) -> Any:
    return module("addon.capture_request").CaptureRequest(directory, **values)


def capture(directory: Path, **values: Any) -> Any:
    return module("addon.capture").capture(bpy.context, request(directory, **values))


def steps(directory: Path, **values: Any) -> Iterator[Any]:
    return module("addon.capture").capture_steps(bpy.context, request(directory, **values))


def transforms(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "transforms.json").read_text())


def pixels(path: Path) -> np.ndarray:
    return module("engine.core.png").decode_png(path.read_bytes())


def folder_contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def snapshot() -> dict[str, Any]:
    """Every setting that a capture could touch, and the names of all data."""
    scene = bpy.context.scene
    state: dict[str, Any] = {"data": {
        kind: sorted(item.name for item in getattr(bpy.data, kind) if item.name not in IGNORED_IMAGES)
        for kind in ("objects", "cameras", "images", "scenes", "meshes", "collections")
    }}
    owners = {
        "scene": scene, "render": scene.render, "image": scene.render.image_settings, "view": scene.view_settings,
        "display": scene.display_settings, "cycles": scene.cycles, "eevee": scene.eevee, "layer": bpy.context.view_layer,
        "window": bpy.context.preferences.view,
    }
    owners |= {f"lens {item.name}": item.data for item in scene.objects if item.type == "CAMERA"}
    owners |= {f"dof {item.name}": item.data.dof for item in scene.objects if item.type == "CAMERA"}
    owners |= {f"marker {marker.name}": marker for marker in scene.timeline_markers}
    return state | {name: simple_values(owner) for name, owner in owners.items()}


def simple_values(owner: Any) -> dict[str, Any]:
    kinds = ("BOOLEAN", "INT", "FLOAT", "STRING", "ENUM")
    values = {item.identifier: getattr(owner, item.identifier) for item in owner.bl_rna.properties
              if item.type in kinds or item.identifier in ("camera", "world")}
    return {name: tuple(value) if isinstance(value, bpy.types.bpy_prop_array) else value for name, value in values.items()}


def unusual_settings(scene: bpy.types.Scene) -> None:
    """Everything that capture overrides, set to something else."""
    if hasattr(scene.render.image_settings, "media_type"):
        scene.render.image_settings.media_type = "IMAGE"
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_mode, scene.render.image_settings.color_depth = "RGBA", "16"
    scene.render.image_settings.exr_codec = "DWAA"
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Punchy"
    scene.view_settings.exposure, scene.view_settings.gamma = 0.7, 1.3
    scene.render.dither_intensity, scene.render.film_transparent, scene.render.filepath = 1.5, False, "//somewhere/else"
    scene.render.use_motion_blur = scene.render.use_stamp = scene.render.use_border = scene.render.use_crop_to_border = True
    scene.render.border_min_x, scene.render.border_max_x = 0.2, 0.6
    scene.frame_set(7)
    marker = scene.timeline_markers.new("Cut", frame=1)
    marker.camera = scene.camera
    for item in scene.objects:
        if item.type == "CAMERA":
            item.data.dof.use_dof = True


def test_dataset_of_selected_cameras(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=9)
    dataset = capture(tmp_path / "new" / "folder", depth=True, points=900)
    folder = tmp_path / "new" / "folder"
    read = module("engine.core.transforms_json").read_transforms(folder)
    assert read.complete and dataset.complete
    assert [view.name for view in read.views] == [f"{number:04d}.png" for number in range(1, 10)]
    assert [view.name for view in read.eval_views] == ["0001.png", "0009.png"]
    assert sorted(folder_contents(folder)) == sorted([
        "transforms.json", "points3d.ply",
        *(f"images/{view.name}" for view in read.views), *(f"depth/{view.image.stem}.npy" for view in read.views)])
    assert pixels(read.views[0].image).shape == (64, 96, 4)


def test_points_lie_on_visible_surfaces_in_their_rendered_color(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    cameras = ball_scene()
    bpy.ops.mesh.primitive_cube_add(size=0.4)  # hidden inside the ball
    bpy.ops.object.select_all(action="DESELECT")
    for camera in cameras:
        camera.select_set(True)
    points = capture(tmp_path, points=400).points
    assert 300 <= len(points) <= 400
    assert np.abs(np.linalg.norm(points.positions, axis=1) - 0.8).max() < 0.02
    inner = np.abs(points.colors.astype(int) - [255, 127, 0]).max(axis=1) <= 2
    assert inner.mean() > 0.9
    nearest = np.min([np.linalg.norm(points.positions - np.array(camera.location), axis=1) for camera in cameras], axis=0)
    assert nearest.max() < np.sqrt(4**2 + 3**2 + 1)


def test_color_is_standard_srgb_and_alpha_straight(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=1)
    unusual_settings(fresh_scene)
    image = pixels(capture(tmp_path).views[0].image)
    assert image.shape == (64, 96, 4)
    assert image[32, 48].tolist() == [255, 127, 0, 255]
    edge = image[(image[..., 3] > 30) & (image[..., 3] < 220)]
    assert len(edge) > 10
    assert np.abs(edge[:, :3].astype(int) - [255, 127, 0]).max() <= 6


def test_opaque_images_show_the_world(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=1)
    assert pixels(capture(tmp_path, transparent=False).views[0].image).shape == (64, 96, 3)


def test_depth_is_millimetres_along_the_view_axis(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    bpy.ops.mesh.primitive_plane_add(size=2)
    bpy.ops.object.select_all(action="DESELECT")
    add_camera(fresh_scene, (0, 0, 5))
    depth = np.load(capture(tmp_path, depth=True).views[0].depth)
    assert (depth.shape, depth.dtype) == ((64, 96), np.float32)
    assert set(np.unique(depth.round(1))) == {0.0, 5000.0}
    assert np.count_nonzero(depth) == pytest.approx((2 / 5 * 96 * 50 / 36) ** 2, rel=0.05)


@pytest.mark.parametrize("source", ["DOME", "ORBIT"])
def test_generated_rigs_see_the_whole_selection(fresh_scene: bpy.types.Scene, tmp_path: Path, source: str) -> None:
    bpy.ops.mesh.primitive_cube_add(size=2, location=(3, 4, 5), scale=(1, 2, 0.3))
    corners = np.array([bpy.context.object.matrix_world @ vertex.co for vertex in bpy.context.object.data.vertices])
    views = capture(tmp_path, source=source, count=12, elevation=0.2, points=0).views
    for view in views:
        seen, depth = view.camera.project(corners)
        assert (depth > 0).all() and (seen > 0).all() and (seen < [96, 64]).all()
        alpha = pixels(view.image)[..., 3]
        assert not any(edge.any() for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))
    elevations = [np.arcsin((view.camera.position[2] - 5) / np.linalg.norm(view.camera.position - [3, 4, 5])) for view in views]
    assert min(elevations) > 0.19
    assert (max(elevations) - min(elevations) > 0.8) == (source == "DOME")
    assert len(views) == 12


def test_collection_instances_are_surrounded_too(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    collection = bpy.data.collections.new("Things")
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    collection.objects.link(cube)
    fresh_scene.collection.objects.unlink(cube)
    empty = bpy.data.objects.new("Instance", None)
    empty.instance_type, empty.instance_collection, empty.location = "COLLECTION", collection, (10, 0, 0)
    fresh_scene.collection.objects.link(empty)
    empty.select_set(True)
    points = capture(tmp_path, source="ORBIT", count=3, points=300).points
    assert np.abs(points.positions - [10, 0, 0]).max() < 1.01


def test_frames_of_an_animated_camera(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    camera, _ = ball_scene()
    fresh_scene.frame_start, fresh_scene.frame_end = 1, 9
    for frame, x in ((1, 4.0), (9, 8.0)):
        camera.location.x = x
        camera.keyframe_insert("location", frame=frame)
    bpy.context.view_layer.objects.active = camera
    views = capture(tmp_path, source="ANIMATION", frame_step=4, points=0).views
    assert [round(float(view.camera.position[0]), 3) for view in views] == [4.0, 6.0, 8.0]


def test_cameras_bound_to_markers_do_not_win(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene()
    away = add_camera(fresh_scene, (50, 50, 50), "Away")
    away.select_set(False)
    fresh_scene.timeline_markers.new("Cut", frame=1).camera = away
    for view in capture(tmp_path, points=0).views:
        assert pixels(view.image)[..., 3].max() == 255


@pytest.mark.parametrize("used", [True, False])
def test_the_active_view_layer_is_captured(fresh_scene: bpy.types.Scene, tmp_path: Path, used: bool) -> None:
    ball_scene(cameras=1)
    ball = next(item for item in fresh_scene.objects if item.type == "MESH")
    collection = bpy.data.collections.new("Ball")
    fresh_scene.collection.children.link(collection)
    collection.objects.link(ball)
    fresh_scene.collection.objects.unlink(ball)
    second = fresh_scene.view_layers.new("Second")
    fresh_scene.view_layers["ViewLayer"].layer_collection.children["Ball"].exclude = True
    bpy.context.window.view_layer, second.use = second, used
    bpy.data.objects["Camera 0"].select_set(True)
    dataset = capture(tmp_path)
    assert len(dataset.points) > 0 and pixels(dataset.views[0].image)[..., 3].max() == 255


def test_resolution_and_samples(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=1)
    fresh_scene.render.resolution_percentage = 50
    view = capture(tmp_path, resolution=60, samples=1).views[0]
    assert (view.camera.width, view.camera.height) == (60, 40)
    assert pixels(view.image).shape == (40, 60, 4)


def test_scene_is_restored_after_success(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene()
    unusual_settings(fresh_scene)
    before = snapshot()
    capture(tmp_path, depth=True, resolution=48, samples=2)
    assert snapshot() == before


def test_scene_is_restored_after_a_generated_rig(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene()
    bpy.ops.object.select_all(action="SELECT")
    unusual_settings(fresh_scene)
    before = snapshot()
    capture(tmp_path, source="DOME", count=3)
    assert snapshot() == before


def test_stopping_keeps_a_clearly_incomplete_dataset(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=4)
    unusual_settings(fresh_scene)
    before = snapshot()
    running = steps(tmp_path)
    while next(running).done < 2:
        pass
    running.close()
    assert snapshot() == before
    dataset = module("engine.core.transforms_json").read_transforms(tmp_path)
    assert not dataset.complete
    assert len(dataset.views) == 2 and len(dataset.points) > 0


def test_an_error_keeps_what_was_rendered(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=3)
    unusual_settings(fresh_scene)
    before, running = snapshot(), steps(tmp_path)
    while next(running).done < 1:
        pass
    shutil.rmtree(tmp_path / "images")
    (tmp_path / "images").write_text("in the way")
    with pytest.raises(module("engine.core.errors").UserError, match=r"0002\.png"):
        list(running)
    assert snapshot() == before
    assert transforms(tmp_path)["splatwright"] == {"complete": False}


def test_progress_counts_views_and_estimates(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=3)
    seen = list(steps(tmp_path))
    assert [(progress.done, progress.total) for progress in seen] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert seen[0].eta_seconds is None and seen[-1].eta_seconds == 0.0
    assert "2 of 3" in seen[2].sentence


def test_operator_does_what_the_function_does(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene()
    capture(tmp_path / "function", points=200)
    assert bpy.ops.splatwright.capture_dataset(directory=str(tmp_path / "operator"), points=200) == {"FINISHED"}
    assert folder_contents(tmp_path / "operator") == folder_contents(tmp_path / "function")


def test_operator_reads_the_scene_settings(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene()
    bpy.ops.object.select_all(action="SELECT")
    settings = fresh_scene.splatwright.capture
    settings.directory, settings.source, settings.count, settings.points = str(tmp_path / "rig"), "ORBIT", 3, 0
    bpy.ops.splatwright.capture_dataset(count=4)
    assert len(transforms(tmp_path / "rig")["frames"]) == 4


def test_defaults_are_those_of_the_request(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    settings = fresh_scene.splatwright.capture
    settings.directory = str(tmp_path)
    made, expected = settings.to_request(), request(tmp_path)
    assert vars(made) == pytest.approx(vars(expected))


def test_a_finished_dataset_is_replaced_only_by_a_finished_one(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=3)
    folder = tmp_path / "dataset"
    capture(folder, depth=True)
    (folder / "notes.txt").write_text("mine")
    before = folder_contents(folder)
    running = steps(folder, resolution=48)
    while next(running).done < 1:
        pass
    running.close()
    assert folder_contents(folder) == before
    assert len(transforms(tmp_path / "dataset-incomplete")["frames"]) == 1

    bpy.data.objects["Camera 2"].select_set(False)
    dataset = capture(folder, resolution=48)
    assert sorted(folder_contents(folder)) == ["images/0001.png", "images/0002.png", "notes.txt", "points3d.ply", "transforms.json"]
    assert module("engine.core.transforms_json").read_transforms(folder).complete
    assert dataset.folder == folder and all(view.image.is_file() for view in dataset.views)
    assert not (tmp_path / "dataset-incomplete").exists()


def test_an_incomplete_dataset_is_captured_anew(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=3)
    running = steps(tmp_path)
    while next(running).done < 2:
        pass
    running.close()
    assert len(capture(tmp_path).views) == 3
    assert transforms(tmp_path)["splatwright"] == {"complete": True}


def test_foreign_files_are_never_touched(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene()
    (tmp_path / "transforms.json").write_text('{"frames": []}')
    (tmp_path / "photo.jpg").write_bytes(b"precious")
    before = folder_contents(tmp_path)
    with pytest.raises(RuntimeError, match="holds other files"):
        bpy.ops.splatwright.capture_dataset(directory=str(tmp_path))
    assert folder_contents(tmp_path) == before


@pytest.mark.parametrize(("values", "sentence"), [
    ({"source": "SELECTED"}, "No camera is selected"),
    ({"source": "ANIMATION"}, "no camera"),
    ({"source": "DOME"}, "Nothing to look at is selected"),
])
def test_nothing_to_capture(fresh_scene: bpy.types.Scene, tmp_path: Path, values: dict[str, str], sentence: str) -> None:
    with pytest.raises(RuntimeError, match=sentence) as caught:
        bpy.ops.splatwright.capture_dataset(directory=str(tmp_path / "new"), **values)
    assert "Traceback" not in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_folder_that_cannot_be_made(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene()
    (tmp_path / "file").write_text("not a folder")
    before = snapshot()
    with pytest.raises(RuntimeError, match="Check that the folder exists") as caught:
        bpy.ops.splatwright.capture_dataset(directory=str(tmp_path / "file" / "dataset"))
    assert "Traceback" not in str(caught.value)
    assert snapshot() == before


def test_unsaved_file_with_a_relative_folder(fresh_scene: bpy.types.Scene) -> None:
    ball_scene()
    with pytest.raises(RuntimeError, match="not saved yet"):
        bpy.ops.splatwright.capture_dataset(directory="//dataset")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 KB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk(fresh_scene: bpy.types.Scene, small_disk: Path) -> None:
    ball_scene(cameras=8)
    fresh_scene.render.resolution_x = fresh_scene.render.resolution_y = 256
    before = snapshot()
    with pytest.raises(RuntimeError, match="disk is full") as caught:
        bpy.ops.splatwright.capture_dataset(directory=str(small_disk / "dataset"), points=100)
    assert "Traceback" not in str(caught.value)
    assert snapshot() == before
    values = transforms(small_disk / "dataset")
    assert values["splatwright"] == {"complete": False}
    for frame in values["frames"]:
        assert pixels(small_disk / "dataset" / frame["file_path"]).shape[:2] == (256, 256)


class FakeManager:
    """Stands in for the window manager: without a window Blender's timers never tick."""

    def __init__(self) -> None:
        self.timers = 0
        self.status: list[str | None] = []

    def event_timer_add(self, _: float, window: Any = None) -> str:
        self.timers += 1
        return "timer"

    def event_timer_remove(self, _: str) -> None:
        self.timers -= 1

    def modal_handler_add(self, _: Any) -> None: ...

    def status_text_set(self, text: str | None) -> None:
        self.status.append(text)


def start_modal(directory: Path, **values: Any) -> tuple[Any, Any, FakeManager]:
    """The operator right after invoke(), and a context; renders block because there is no window for a job."""
    kind = module("addon.operators.capture").SPLATWRIGHT_OT_capture_dataset
    manager, reports = FakeManager(), []
    operator = type("Running", (), {name: value for name, value in vars(kind).items() if callable(value) or name == "progress"})()
    operator.reports, operator.report = reports, lambda level, text: reports.append((*level, text))
    context = SimpleNamespace(scene=bpy.context.scene, window_manager=manager, workspace=manager, window=None)
    operator.start(context, steps(directory, **values))
    return operator, context, manager


TICK, ESCAPE, CLICK = (SimpleNamespace(type=kind) for kind in ("TIMER", "ESC", "LEFTMOUSE"))


def test_modal_runs_to_the_end(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=3)
    operator, context, manager = start_modal(tmp_path)
    assert operator.modal(context, CLICK) == {"RUNNING_MODAL"}
    results = [operator.modal(context, TICK) for _ in range(2)]
    assert results == [{"RUNNING_MODAL"}, {"FINISHED"}]
    assert operator.reports[-1][0] == "INFO" and type(operator).progress is None
    assert manager.timers == 0 and manager.status[-1] is None and "2 of 3" in manager.status[1]
    assert transforms(tmp_path)["splatwright"] == {"complete": True}


def test_escape_stops_the_modal(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=4)
    before = snapshot()
    operator, context, manager = start_modal(tmp_path)
    operator.modal(context, TICK)
    assert operator.modal(context, ESCAPE) == {"RUNNING_MODAL"}
    assert operator.modal(context, TICK) == {"CANCELLED"}
    assert operator.reports[-1] == ("WARNING", "Capture stopped: 2 views are kept as an incomplete dataset")
    assert manager.timers == 0 and manager.status[-1] is None
    assert snapshot() == before
    assert transforms(tmp_path)["splatwright"] == {"complete": False}


def test_error_ends_the_modal(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene()
    operator, context, manager = start_modal(tmp_path / "dataset")
    shutil.rmtree(tmp_path / "dataset")
    (tmp_path / "dataset").write_text("in the way")
    assert operator.modal(context, TICK) == {"CANCELLED"}
    assert operator.reports[-1][0] == "ERROR"
    assert manager.timers == 0 and manager.status[-1] is None and type(operator).progress is None
