"""Cameras: what transforms.json says is where Blender draws."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mathutils import Matrix, Vector

from tests.untyped import bpy

from .conftest import add_camera, empty_scene, glow, module

POINTS = np.random.default_rng(1).uniform(-1, 1, (20, 3))
FLIP_YZ = np.diag([1.0, -1.0, -1.0, 1.0])

lenses = st.fixed_dictionaries({
    "lens": st.floats(10, 200), "sensor_width": st.floats(5, 50), "sensor_height": st.floats(5, 50),
    "sensor_fit": st.sampled_from(["AUTO", "HORIZONTAL", "VERTICAL"]), "shift_x": st.floats(-0.5, 0.5), "shift_y": st.floats(-0.5, 0.5),
})
# Sides divisible by four: world_to_camera_view ignores that a percentage rounds the image's size. Rendering tests cover that.
sides = st.integers(4, 1024).map(lambda side: side * 4)
aspects = st.sampled_from([1.0, 1.25, 1.5, 2.0])
renders = st.fixed_dictionaries({
    "resolution_x": sides, "resolution_y": sides, "resolution_percentage": st.sampled_from([100, 50, 25, 200]),
    "pixel_aspect_x": aspects, "pixel_aspect_y": aspects,
})


def assign(owner: object, values: dict[str, object]) -> None:
    for name, value in values.items():
        setattr(owner, name, value)


def written_frame(folder: Path, camera: object) -> dict:
    """The one frame of a transforms.json written for `camera`."""
    dataset = module("engine.core.datasets.dataset")
    view = dataset.View("0001.png", folder / "images" / "0001.png", camera)
    path = module("engine.core.datasets.transforms_json").write_transforms(dataset.Dataset(folder, (view,)))
    return json.loads(path.read_text())["frames"][0]


def project(frame: dict, points: np.ndarray) -> np.ndarray:
    """Pixels [N, 2] from nothing but the numbers of transforms.json."""
    viewmat = FLIP_YZ @ np.linalg.inv(np.array(frame["transform_matrix"]))
    local = points @ viewmat[:3, :3].T + viewmat[:3, 3]
    return local[:, :2] / local[:, 2:] * [frame["fl_x"], frame["fl_y"]] + [frame["cx"], frame["cy"]]


def blender_pixels(scene: bpy.types.Scene, camera: bpy.types.Object, frame: dict) -> np.ndarray:
    """Where Blender says that POINTS are, [N, 2], from the top left corner."""
    seen = np.array([world_to_camera_view(scene, camera, Vector(point)) for point in POINTS])
    return seen[:, :2] * [frame["w"], -frame["h"]] + [0, frame["h"]]


@given(lens=lenses, render=renders)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_transforms_json_agrees_with_blender(tmp_path: Path, lens: dict, render: dict) -> None:
    scene = empty_scene()
    camera_object = add_camera(scene)
    assign(camera_object.data, lens)
    assign(scene.render, render)
    bpy.context.view_layer.update()
    frame = written_frame(tmp_path, module("addon.cameras").camera_from_blender(scene, camera_object))
    assert np.abs(project(frame, POINTS) - blender_pixels(scene, camera_object, frame)).max() <= 0.5


def test_parent_scale_constraint_and_lens_animation(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    camera_object = add_camera(fresh_scene)
    parent, target = bpy.data.objects.new("Parent", None), bpy.data.objects.new("Target", None)
    for item in (parent, target):
        fresh_scene.collection.objects.link(item)
    camera_object.parent, parent.scale, parent.rotation_euler = parent, (2.0, 2.0, 2.0), (0.1, 0.2, 0.3)
    camera_object.constraints.new("TRACK_TO").target = target
    for frame_number, lens in ((1, 20.0), (11, 80.0)):
        camera_object.data.lens = lens
        camera_object.data.keyframe_insert("lens", frame=frame_number)
    fresh_scene.frame_set(6)
    camera = module("addon.cameras").camera_from_blender(fresh_scene, camera_object)
    frame = written_frame(tmp_path, camera)
    assert np.allclose(camera.camera_to_world[:3, :3] @ camera.camera_to_world[:3, :3].T, np.eye(3), atol=1e-6)
    assert camera.fl_x == pytest.approx(96 * 50 / 36, rel=1e-3)
    evaluated = camera_object.evaluated_get(bpy.context.evaluated_depsgraph_get())
    assert np.abs(project(frame, POINTS) - blender_pixels(fresh_scene, evaluated, frame)).max() <= 0.5


@pytest.mark.parametrize(("size", "percentage", "lens", "aspect"), [
    ((96, 64), 100, {}, (1.0, 1.0)),
    ((64, 96), 100, {"shift_x": 0.1, "shift_y": -0.05}, (1.0, 1.0)),
    ((96, 64), 100, {"sensor_fit": "VERTICAL", "shift_x": 0.1, "shift_y": 0.07}, (1.0, 1.0)),
    ((64, 96), 100, {"sensor_fit": "HORIZONTAL", "shift_x": -0.1}, (1.0, 1.5)),
    ((191, 133), 33, {"sensor_fit": "VERTICAL", "shift_y": 0.07}, (1.5, 1.0)),
    ((161, 241), 37, {"shift_y": 0.05}, (1.0, 1.25)),
])
def test_rendered_pixels_are_where_the_camera_says(
    fresh_scene: bpy.types.Scene, tmp_path: Path, size: tuple[int, int], percentage: int, lens: dict, aspect: tuple[float, float]
) -> None:
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.2, location=(0.3, 0.2, 0.35))
    glow(bpy.context.object, (1, 1, 1))
    bpy.ops.object.select_all(action="DESELECT")
    camera_object = add_camera(fresh_scene)
    assign(camera_object.data, {"lens": 35.0, **lens})
    (render := fresh_scene.render).resolution_percentage = percentage
    render.resolution_x, render.resolution_y = size
    render.pixel_aspect_x, render.pixel_aspect_y = aspect
    fresh_scene.cycles.samples = 8
    bpy.ops.splatwright.capture_dataset(directory=str(tmp_path), points=0)
    frame = json.loads((tmp_path / "transforms.json").read_text())["frames"][0]
    alpha = module("addon.capture.render_passes").read_pixels(tmp_path / frame["file_path"])[..., 3]
    rows, columns = np.indices(alpha.shape) + 0.5
    centroid = np.array([(alpha * columns).sum(), (alpha * rows).sum()]) / alpha.sum()
    assert alpha.shape == (frame["h"], frame["w"])
    assert np.abs(project(frame, np.array([[0.3, 0.2, 0.35]]))[0] - centroid).max() <= 0.5


def test_camera_and_back(fresh_scene: bpy.types.Scene) -> None:
    cameras, core = module("addon.cameras"), module("engine.core.cameras.camera")
    matrix = np.array(Matrix.LocRotScale((1, 2, 3), Matrix.Rotation(0.7, 3, (1, 2, 3)).to_quaternion(), None))
    wanted = core.Camera(96, 64, 80.0, 80.0, 50.0, 29.0, matrix)
    camera_object = cameras.blender_from_camera("Photo", wanted)
    fresh_scene.collection.objects.link(camera_object)
    found = cameras.camera_from_blender(fresh_scene, camera_object)
    assert np.allclose([found.fl_x, found.fl_y, found.cx, found.cy], [80, 80, 50, 29], atol=1e-3)
    assert np.allclose(found.camera_to_world, matrix, atol=1e-6)


@pytest.mark.parametrize(("kind", "word"), [("PANO", "panoramic"), ("ORTHO", "orthographic")])
def test_other_projections_are_refused(fresh_scene: bpy.types.Scene, tmp_path: Path, kind: str, word: str) -> None:
    add_camera(fresh_scene).data.type = kind
    with pytest.raises(RuntimeError, match=f"(?s){word}.*Perspective"):
        bpy.ops.splatwright.capture_dataset(directory=str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_blur_is_warned_of(fresh_scene: bpy.types.Scene) -> None:
    camera_object = add_camera(fresh_scene)
    warnings = module("addon.cameras").lens_warnings
    assert warnings(fresh_scene, [camera_object]) == []
    camera_object.data.dof.use_dof = fresh_scene.render.use_motion_blur = True
    assert [("depth of field" in text, "motion blur" in text) for text in warnings(fresh_scene, [camera_object])] == [
        (True, False), (False, True)]
