"""The animation of a camera as other programs read it: every frame, in the scene's or the photos' own frame."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.blender.conftest import add_camera, module
from tests.blender.photos.photo_samples import write_photos
from tests.untyped import bpy


@pytest.fixture
def camera(fresh_scene: bpy.types.Scene) -> bpy.types.Object:
    """A camera that moves along X over frames 1 to 5, with a shifted lens."""
    made = add_camera(fresh_scene)
    fresh_scene.frame_start, fresh_scene.frame_end, fresh_scene.render.fps = 1, 5, 25
    for frame in (1, 5):
        made.location.x = frame
        made.keyframe_insert("location", frame=frame)
    for curve in made.animation_data.action.layers[0].strips[0].channelbags[0].fcurves:
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"
    made.data.shift_x = 0.1
    fresh_scene.frame_set(3)
    return made


def exported(path: Path, **options: object) -> Path:
    assert bpy.ops.splatwright.export_camera_path(filepath=str(path), **options) == {"FINISHED"}
    assert bpy.context.scene.frame_current == 3, "the scene is where it was"
    return path


def test_as_realestate10k(camera: bpy.types.Object, tmp_path: Path) -> None:
    shots = module("engine.core.datasets.realestate10k").read_cameras(exported(tmp_path / "путь ü.txt"), (96, 64))
    assert shots.times == (0, 40_000, 80_000, 120_000, 160_000)
    truth = module("addon.cameras").camera_from_blender(bpy.context.scene, camera)
    assert np.allclose(shots.cameras[2].camera_to_world, truth.camera_to_world, atol=1e-6)
    assert np.allclose(shots.cameras[2].K, truth.K, atol=1e-6) and truth.cx != 48
    assert np.allclose([shot.position[0] for shot in shots.cameras], [1, 2, 3, 4, 5], atol=1e-5)
    every_second = module("engine.core.datasets.realestate10k").read_cameras(exported(tmp_path / "b.txt", frame_step=2))
    assert every_second.times == (0, 80_000, 160_000)


def test_as_nerfstudio_camera_path(camera: bpy.types.Object, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="without shift"):
        exported(tmp_path / "a.json", format="NERFSTUDIO")
    camera.data.shift_x = 0
    values = json.loads(exported(tmp_path / "a.json", format="NERFSTUDIO").read_text())
    assert (values["render_width"], values["render_height"], values["fps"], len(values["camera_path"])) == (96, 64, 25, 5)
    assert np.allclose(np.reshape(values["camera_path"][2]["camera_to_world"], (4, 4)), camera.matrix_world, atol=1e-6)


def test_a_path_in_a_survey_is_in_its_coordinates(camera: bpy.types.Object, tmp_path: Path) -> None:
    scene, read = bpy.context.scene, module("engine.core.datasets.realestate10k").read_cameras
    local = read(exported(tmp_path / "a.txt"), (96, 64)).cameras
    scene["splatwright_offset"] = [512300.0, 300.0, -5412300.0]
    path = exported(tmp_path / "b.txt")
    assert np.allclose(read(path, (96, 64)).cameras[2].position - local[2].position, scene["splatwright_offset"], atol=1e-6)
    assert bpy.ops.splatwright.import_camera_path(filepath=str(path)) == {"FINISHED"}
    again = exported(tmp_path / "c.txt")
    assert np.allclose(read(again, (96, 64)).cameras[2].position, read(path, (96, 64)).cameras[2].position, atol=1e-4)


def test_in_the_frame_of_posed_photos(camera: bpy.types.Object, tmp_path: Path) -> None:
    """A model knows nothing of how the photos were aligned: camera and photos turned together give the same path."""
    write_photos(tmp_path / "photos")
    bpy.ops.splatwright.import_photos(directory=str(tmp_path / "photos"))
    root = bpy.context.active_object
    bpy.context.view_layer.objects.active = camera
    before = module("engine.core.datasets.realestate10k").read_cameras(exported(tmp_path / "a.txt", frame_of=root.name))
    root.location, root.rotation_euler, root.scale = (1, 2, 3), (0.3, 0.2, 0.1), (2, 2, 2)
    camera.parent = root
    bpy.context.view_layer.update()
    after = module("engine.core.datasets.realestate10k").read_cameras(exported(tmp_path / "b.txt", frame_of=root.name))
    for one, other in zip(before.cameras, after.cameras, strict=True):
        assert np.allclose(one.camera_to_world, other.camera_to_world, atol=1e-5)


def test_what_cannot_be_written_is_one_sentence(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no camera"):
        bpy.ops.splatwright.export_camera_path(filepath=str(tmp_path / "a.txt"))
    add_camera(fresh_scene).data.type = "PANO"
    with pytest.raises(RuntimeError, match="panoramic"):
        bpy.ops.splatwright.export_camera_path(filepath=str(tmp_path / "a.txt"))
    assert not list(tmp_path.iterdir())


def test_a_file_becomes_an_animated_camera(camera: bpy.types.Object, tmp_path: Path) -> None:
    """Out, in and out again it is the same path, between keys too."""
    first = exported(tmp_path / "a.txt")
    assert bpy.ops.splatwright.import_camera_path(filepath=str(first)) == {"FINISHED"}
    made = bpy.context.active_object
    assert made.name == "a" and made != camera and bpy.context.scene.camera == made
    second = exported(tmp_path / "b.txt")
    cameras = [module("engine.core.datasets.realestate10k").read_cameras(path, (96, 64)).cameras for path in (first, second)]
    for one, other in zip(*cameras, strict=True):
        assert np.allclose(one.camera_to_world, other.camera_to_world, atol=1e-5) and np.allclose(one.K, other.K, atol=1e-3)
    (tmp_path / "c.txt").write_text("no cameras")
    with pytest.raises(RuntimeError, match="no camera"):
        bpy.ops.splatwright.import_camera_path(filepath=str(tmp_path / "c.txt"))
