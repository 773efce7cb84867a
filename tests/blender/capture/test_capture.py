"""Capture: what lies in the dataset folder afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.untyped import bpy

from ..conftest import add_camera, module
from .capturing import ball_scene, capture, folder_contents, pixels, request, steps, transforms, unusual_settings


def test_dataset_of_selected_cameras(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=9)
    dataset = capture(tmp_path / "new" / "folder", depth=True, points=900)
    folder = tmp_path / "new" / "folder"
    read = module("engine.core.datasets.transforms_json").read_transforms(folder)
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
    made, expected = vars(settings.to_request()), vars(request(tmp_path, source="DOME"))
    assert made.pop("cameras") == expected.pop("cameras") and made == pytest.approx(expected)


def test_curves_and_texts_count_by_the_meshes_that_are_drawn(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    """Blender lists a curve beside its mesh, with a box two metres wide whatever its size."""
    bpy.ops.curve.primitive_bezier_circle_add(radius=0.1, location=(3, 0, 0))
    bpy.context.object.data.bevel_depth = 0.02
    bpy.ops.object.text_add(radius=0.1, location=(3.1, 0, 0))
    for item in bpy.data.objects:
        item.select_set(True)
    for view in capture(tmp_path, source="ORBIT", count=3, resolution=64, samples=1).views:
        covered = pixels(view.image)[..., 3] > 0
        assert max(np.ptp(np.nonzero(covered.any(axis=axis))[0]) for axis in (0, 1)) > 0.6 * min(covered.shape)
