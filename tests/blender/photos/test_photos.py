"""Posed photos in the scene: cameras that see what photos saw, alignment of all by their empty, splats of trainings below it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

from tests.blender.conftest import module
from tests.blender.jobs.training import Desk
from tests.blender.photos.photo_samples import SHIFT, TILT, tilted, write_photos
from tests.blender.splats.on_splats import run
from tests.untyped import bpy


@pytest.fixture
def photos(fresh_scene: bpy.types.Scene) -> ModuleType:
    return module("addon.photos.posed_photos")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "фото ü"
    write_photos(made)
    return made


def imported(folder: Path) -> bpy.types.Object:
    assert bpy.ops.splatwright.import_photos(directory=str(folder)) == {"FINISHED"}
    return bpy.context.active_object


def pixel(camera: bpy.types.Object, place: np.ndarray) -> np.ndarray:
    """Where Blender shows a place of the scene, in pixels from the upper left."""
    scene = bpy.context.scene
    share = world_to_camera_view(scene, camera, Vector(place.tolist()))
    return np.array([share.x * scene.render.resolution_x, (1 - share.y) * scene.render.resolution_y])


def test_everything_lies_below_one_empty(photos: ModuleType, folder: Path) -> None:
    root = imported(folder)
    cameras, cloud = photos.photo_cameras(root.children), photos.sparse_cloud(root)
    assert root.type == "EMPTY" and root.name == folder.name and [item.name for item in root.users_collection] == [folder.name]
    assert [camera.splatwright.photo for camera in cameras] == [f"photo {number}.png" for number in range(5)]
    assert cloud is not None and len(cloud.data.points) == 700 and len(root.children) == 6
    assert {item for item in bpy.context.selected_objects} == {root}
    assert bpy.context.scene.splatwright.train.dataset == str(folder)
    layers = module("addon.splats.attributes")
    colors = layers.read_layer(cloud.data, "photo_color")
    truth = module("engine.core.datasets.read").read_dataset(folder).points
    assert np.allclose(layers.read_layer(cloud.data, "position"), truth.positions)
    assert np.allclose(colors[:, :3] ** (1 / 2.2), truth.colors / 255, atol=0.04)


def test_cameras_see_what_photos_saw(photos: ModuleType, folder: Path) -> None:
    root = imported(folder)
    root.location, root.rotation_euler, root.scale = (1, 2, 3), (0.3, 0.2, 0.1), (2, 2, 2)
    bpy.context.view_layer.update()
    views = module("engine.core.datasets.read").read_dataset(folder).views
    for view, camera in zip(views, photos.photo_cameras(root.children), strict=True):
        assert run("look_through_photo", photo=view.name) == {"FINISHED"} and bpy.context.scene.camera == camera
        background = camera.data.background_images[0]
        assert camera.data.show_background_images and Path(bpy.path.abspath(background.image.filepath)) == view.image
        place = tilted(np.array([[0.3, -0.2, 0.4]]))
        expected = view.camera.project(place)[0][0]
        seen = pixel(camera, np.array(root.matrix_world)[:3, :3] @ place[0] + np.array(root.matrix_world)[:3, 3])
        assert np.abs(seen - expected).max() < 1e-3
    assert (bpy.context.scene.render.resolution_x, bpy.context.scene.render.resolution_y) == (64, 48)


def test_pixels_that_are_not_square(photos: ModuleType, tmp_path: Path) -> None:
    for number, lens in enumerate(({"fl_x": 60.0, "fl_y": 75.0}, {"fl_x": 75.0, "fl_y": 60.0})):
        dataset = write_photos(tmp_path / str(number), 3, **lens)
        root = imported(tmp_path / str(number))
        run("look_through_photo", photo="photo 1")
        place = tilted(np.array([[0.3, -0.2, 0.4]]))
        root.select_set(True)
        assert np.abs(pixel(bpy.context.scene.camera, place[0]) - dataset.views[1].camera.project(place)[0][0]).max() < 1e-3
        bpy.data.batch_remove([*root.children, root])


def test_next_and_previous(photos: ModuleType, folder: Path) -> None:
    root = imported(folder)
    cameras = photos.photo_cameras(root.children)
    order = []
    for step in (0, 1, 1, -1, -2):
        run("look_through_photo", step=step)
        order.append(cameras.index(bpy.context.scene.camera))
    assert order == [0, 1, 2, 1, 4]
    bpy.context.view_layer.objects.active = cameras[3]
    run("look_through_photo")
    assert bpy.context.scene.camera == cameras[3]
    assert bpy.ops.splatwright.choose_photo("EXEC_DEFAULT", photo="photo 2.png") == {"FINISHED"}
    assert bpy.context.scene.camera == cameras[2]
    with pytest.raises(RuntimeError, match="no photo called nothing"):
        run("look_through_photo", photo="nothing")


def test_without_photos_it_says_what_to_do(fresh_scene: bpy.types.Scene) -> None:
    assert not bpy.ops.splatwright.look_through_photo.poll()
    with pytest.raises(module("engine.core.errors").UserError, match="no photos"):
        module("addon.photos.look_through").chosen_camera(fresh_scene, None)


def ground_heights(root: bpy.types.Object) -> np.ndarray:
    bpy.context.view_layer.update()
    return module("addon.photos.posed_photos").sparse_places([root])[:400, 2]


def test_level_by_the_plane_of_the_points(photos: ModuleType, folder: Path) -> None:
    root = imported(folder)
    assert np.ptp(ground_heights(root)) > 1
    assert run("level_ground") == {"FINISHED"}
    assert np.abs(ground_heights(root)).max() < 0.02
    assert (photos.camera_places([root])[:, 2] > 0.5).all(), "the cameras are above the ground"
    assert np.allclose([camera.matrix_world.translation.z for camera in photos.photo_cameras(root.children)], 1.0, atol=0.02)
    run("level_ground", flip=True)
    assert (photos.camera_places([root])[:, 2] < 0).all()


def test_three_points_distance_and_ground_move_the_empty(photos: ModuleType, folder: Path) -> None:
    """From a camera alone too: it belongs to the photos."""
    root = imported(folder)
    camera = photos.photo_cameras(root.children)[0]
    root.select_set(False)
    camera.select_set(True)
    corners = tilted(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]))
    run("align_to_points", first=corners[0], second=corners[1], third=corners[2])
    assert np.abs(ground_heights(root)).max() < 1e-4
    run("scale_to_distance", first=(0, 0, 0), second=(0.5, 0, 0), distance=1.0)
    place = root.matrix_world @ Vector(tilted(np.array([[1, 2, 0.5]]))[0])
    assert np.allclose(root.scale, 2) and np.allclose(place, (1, 2, 0.5), atol=1e-4)
    root.location.z += 3
    run("place_on_ground")
    assert np.abs(ground_heights(root)).max() < 1e-4


def test_the_function_does_what_the_operator_does(photos: ModuleType, folder: Path) -> None:
    matrices = []
    for way in ("operator", "function"):
        root = imported(folder)
        root.matrix_world.identity()
        bpy.context.view_layer.update()
        run("level_ground") if way == "operator" else module("addon.placement").level_ground([root])
        matrices.append(np.array(root.matrix_world))
    assert np.allclose(*matrices) and not np.allclose(matrices[0], np.eye(4))


def test_imported_again_the_empty_stays(photos: ModuleType, folder: Path) -> None:
    root = imported(folder)
    run("level_ground")
    before = np.array(root.matrix_world)
    write_photos(folder, 3)
    for name in ("photo 3.png", "photo 4.png"):
        (folder / "images" / name).unlink()
    assert imported(folder) == root and np.allclose(np.array(root.matrix_world), before)
    assert len(photos.photo_cameras(root.children)) == 3 == len(bpy.data.cameras) and len(bpy.data.pointclouds) == 1


def test_undo(photos: ModuleType, folder: Path) -> None:
    bpy.ops.ed.undo_push(message="Before")
    imported(folder)
    bpy.ops.ed.undo_push(message="Import")
    run("level_ground")
    bpy.ops.ed.undo_push(message="Level")
    name = folder.name
    bpy.ops.ed.undo()
    assert np.ptp(ground_heights(bpy.data.objects[name])) > 1
    bpy.ops.ed.undo()
    assert name not in bpy.data.objects and not bpy.data.cameras
    bpy.ops.ed.redo()
    bpy.ops.ed.redo()
    assert np.abs(ground_heights(bpy.data.objects[name])).max() < 0.02


def test_splats_of_every_training_lie_below_the_photos(desk: Desk) -> None:
    """The alignment is made once; a second training comes to lie where the first one does."""
    write_photos(desk.dataset)
    root = imported(desk.dataset)
    run("level_ground")
    aligned = np.array(root.matrix_world)
    for _ in range(2):
        desk.train("happy")
        desk.wait(lambda: desk.job.imported)
        made = desk.splats()
        bpy.context.view_layer.update()
        assert made.parent == root and np.allclose(np.array(made.matrix_world), aligned, atol=1e-6)
    assert sum(child.splatwright.is_splat for child in root.children) == 2
    assert module("addon.photos.posed_photos").posed_root(made) is None, "splats are no photos"


def test_a_dataset_of_photos_is_refused_in_a_sentence(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    for folder, words in ((tmp_path / "nothing", "does not exist"), (tmp_path, "holds no dataset")):
        with pytest.raises(RuntimeError, match=words):
            bpy.ops.splatwright.import_photos(directory=str(folder))
    write_photos(tmp_path / "flat", orthographic=True)
    with pytest.raises(RuntimeError, match="no photos with perspective cameras"):
        bpy.ops.splatwright.import_photos(directory=str(tmp_path / "flat"))
    assert not bpy.data.objects and not bpy.data.cameras


def test_missing_and_damaged_photos(photos: ModuleType, folder: Path) -> None:
    (folder / "images/photo 0.png").unlink()
    (folder / "images/photo 1.png").write_bytes(b"no image")
    root = imported(folder)
    assert len(photos.photo_cameras(root.children)) == 4
    run("look_through_photo", photo="photo 1")


def test_a_camera_file_is_a_dataset(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    """RealEstate10K: the file is chosen, and trained on."""
    dataset = write_photos(tmp_path / "clip")
    estate = module("engine.core.datasets.realestate10k")
    shots = estate.Shots("", tuple(range(5)), tuple(view.camera for view in dataset.views))
    (tmp_path / "clip/transforms.json").unlink()
    for number, view in enumerate(dataset.views):
        view.image.rename(tmp_path / "clip" / f"{number}.png")
    estate.write_real_estate(tmp_path / "clip.txt", shots)
    assert bpy.ops.splatwright.import_photos(directory=str(tmp_path), filepath=str(tmp_path / "clip.txt")) == {"FINISHED"}
    root = bpy.context.active_object
    assert root.name == "clip" and bpy.context.scene.splatwright.train.dataset == str(tmp_path / "clip.txt")
    places = module("addon.photos.posed_photos").camera_places([root])
    assert np.allclose(places, [view.camera.position for view in dataset.views], atol=1e-5)
    assert np.allclose(TILT @ TILT.T, np.eye(3)) and SHIFT[0] == 4
