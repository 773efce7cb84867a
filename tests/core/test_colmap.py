"""COLMAP models: read as pycolmap reads them, in Blender's world; written so that pycolmap reads them back."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.camera import Camera
from engine.core.colmap import MODELS, find_model, missing_images, read_colmap, write_colmap_text
from engine.core.dataset import Dataset, PointCloud, View
from engine.core.distortion import distort
from engine.core.errors import UserError
from engine.core.ply import write_ply
from engine.core.sources import read_dataset
from tests.scenes import colored_ball, look_at

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
PARAMS = {
    "SIMPLE_PINHOLE": [900.0, 512, 384], "PINHOLE": [900.0, 910, 500, 380], "SIMPLE_RADIAL": [900.0, 512, 384, 0.05],
    "RADIAL": [900.0, 512, 384, 0.05, -0.02], "OPENCV": [900.0, 910, 500, 380, 0.05, -0.02, 0.001, -0.002],
    "FULL_OPENCV": [900.0, 910, 500, 380, 0.05, -0.02, 0.001, -0.002, 0.01, 0.02, -0.01, 0.003],
}
TO_COLMAP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""Blender's (x, y, z) is COLMAP's (x, -z, y)."""


def synthetic(lens: str = "OPENCV", rigs: int = 1, cameras: int = 1, frames: int = 6, seed: int = 1) -> pycolmap.Reconstruction:
    pycolmap.set_random_seed(seed)
    return pycolmap.synthesize_dataset(pycolmap.SyntheticDatasetOptions(
        num_rigs=rigs, num_cameras_per_rig=cameras, num_frames_per_rig=frames, num_points3D=80,
        camera_model_id=getattr(pycolmap.CameraModelId, lens), camera_params=PARAMS[lens]))


def put(model: pycolmap.Reconstruction, folder: Path, text: bool = False, where: str = "sparse/0", images: str = "images") -> Path:
    """Write a model and empty images: reading looks at names alone."""
    (folder / where).mkdir(parents=True)
    (model.write_text if text else model.write_binary)(folder / where)
    for image in model.images.values():
        (folder / images / image.name).parent.mkdir(parents=True, exist_ok=True)
        (folder / images / image.name).touch()
    return folder


def pixels_of(camera: Camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [N, 2] with distortion, and depths [N], of points in Blender's world."""
    pixels, depth = replace(camera, fl_x=1.0, fl_y=1.0, cx=0.0, cy=0.0).project(points)
    return distort(pixels, camera.distortion) * [camera.fl_x, camera.fl_y] + [camera.cx, camera.cy], depth


def assert_parity(dataset: Dataset, model: pycolmap.Reconstruction) -> None:
    """The same images, sizes and points, and every point on the same pixel."""
    images = {image.name: image for image in model.images.values()}
    assert [view.name for view in dataset.views] == sorted(images)
    assert dataset.points is not None
    theirs = np.array([point.xyz for point in model.points3D.values()])
    assert np.abs(np.sort(dataset.points.positions @ TO_COLMAP.T, axis=0) - np.sort(theirs, axis=0)).max() < 1e-4
    for view in dataset.views:
        image = images[view.name]
        lens = model.cameras[image.camera_id]
        assert (view.camera.width, view.camera.height) == (lens.width, lens.height)
        ours, depth = pixels_of(view.camera, theirs @ TO_COLMAP)
        local = image.cam_from_world() * theirs
        front = local[:, 2] > 0.1
        assert np.abs(depth - local[:, 2]).max() < 1e-9
        assert np.abs(ours[front] - lens.img_from_cam(local[front])).max() < 1e-6


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
@pytest.mark.parametrize("lens", PARAMS)
def test_the_same_as_pycolmap(tmp_path: Path, lens: str, text: bool) -> None:
    model = synthetic(lens)
    assert_parity(read_colmap(put(model, tmp_path, text)), model)


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
@pytest.mark.parametrize("with_rig_files", [True, False])
def test_rigs_of_several_cameras(tmp_path: Path, text: bool, with_rig_files: bool) -> None:
    model = synthetic("SIMPLE_RADIAL", rigs=2, cameras=3, frames=3)
    put(model, tmp_path, text)
    assert {path.stem for path in (tmp_path / "sparse/0").iterdir()} == {"cameras", "frames", "images", "points3D", "rigs"}
    if not with_rig_files:
        for name in ("rigs", "frames"):
            next((tmp_path / "sparse/0").glob(f"{name}.*")).unlink()
    assert_parity(read_colmap(tmp_path), model)


@pytest.mark.parametrize("name", ["banana", "snowmiku"])
def test_points_of_real_models_lie_inside_their_images(name: str) -> None:
    if not (DATA / name).is_dir():
        pytest.skip(f"shared/data/{name} is not beside this checkout")
    dataset, model = read_dataset(DATA / name), pycolmap.Reconstruction(DATA / name / "sparse/0")
    assert dataset.complete and len(dataset.views) == model.num_reg_images() and dataset.points is not None
    assert_parity(dataset, model)
    views = {view.name: view.camera for view in dataset.views}
    for image in model.images.values():
        seen = np.array([model.points3D[point.point3D_id].xyz for point in image.points2D if point.has_point3D()])
        pixels, depth = pixels_of(views[image.name], seen @ TO_COLMAP)
        assert (depth > 0).all()
        assert ((pixels >= -1) & (pixels <= [views[image.name].width + 1, views[image.name].height + 1])).all()
    assert 0 < len(dataset.eval_views) < len(dataset.train_views)


def test_a_splat_file_in_supersplats_axes_lies_in_colmaps_frame(tmp_path: Path) -> None:
    """Gaussians at the points as read, exported by default, have COLMAP's own coordinates."""
    model = synthetic()
    dataset = read_colmap(put(model, tmp_path))
    assert dataset.points
    write_ply(tmp_path / "a.ply", replace(colored_ball(len(dataset.points)), means=dataset.points.positions))
    raw = np.frombuffer((tmp_path / "a.ply").read_bytes().split(b"end_header\n", 1)[1], np.float32).reshape(len(dataset.points), -1)[:, :3]
    theirs = np.array([point.xyz for point in model.points3D.values()])
    assert np.abs(np.sort(raw, axis=0) - np.sort(theirs, axis=0)).max() < 1e-4


@pytest.mark.parametrize("where, images, choose", [
    ("sparse/0", "images", "."), ("sparse", "images", "."), ("colmap/sparse/0", "images", "."), (".", "images", "."),
    ("sparse/0", "input", "."),
    ("sparse/0", ".", "."), ("sparse/0", "images", "sparse/0"), ("sparse", "images", "sparse"), ("sparse", ".", "sparse"),
], ids=str)
def test_where_models_and_images_may_lie(tmp_path: Path, where: str, images: str, choose: str) -> None:
    model = synthetic()
    if where == ".":
        model.write_binary(tmp_path)
        put(model, tmp_path, where="elsewhere", images=images)
    else:
        put(model, tmp_path, where=where, images=images)
    assert len(read_dataset(tmp_path / choose).views) == 6


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
def test_the_model_with_most_images(tmp_path: Path, text: bool) -> None:
    for number, frames in enumerate((3, 7, 5)):
        put(synthetic(frames=frames), tmp_path, text, f"sparse/{number}")
    assert find_model(tmp_path) == tmp_path / "sparse/1"
    assert len(read_colmap(tmp_path).views) == 7


def test_missing_images(tmp_path: Path) -> None:
    put(synthetic(), tmp_path)
    assert read_colmap(tmp_path).complete and missing_images(tmp_path) == []
    gone = read_colmap(tmp_path).views[2]
    gone.image.unlink()
    dataset = read_colmap(tmp_path)
    assert not dataset.complete and len(dataset.views) == 5 and missing_images(tmp_path) == [gone.name]
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(UserError, match="None of the 6 images") as caught:
        read_colmap(tmp_path)
    assert str(tmp_path / "images") in caught.value.hint


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
@pytest.mark.parametrize("lens", sorted({name for name, _ in MODELS.values()} - set(PARAMS)))
def test_other_lenses_are_refused(tmp_path: Path, lens: str, text: bool) -> None:
    model = synthetic()
    folder = put(model, tmp_path, text)
    camera = pycolmap.Camera.create_from_model_id(1, getattr(pycolmap.CameraModelId, lens), 500.0, 640, 480)
    other = pycolmap.Reconstruction()
    other.add_camera(camera)
    other.write_text(folder) if text else other.write_binary(folder)
    ending = "txt" if text else "bin"
    shutil.copy(folder / f"cameras.{ending}", folder / f"sparse/0/cameras.{ending}")
    with pytest.raises(UserError, match=f"lens model {lens} is not supported") as caught:
        read_colmap(folder)
    assert "Undistort the images first" in caught.value.hint


def test_a_lens_of_the_future(tmp_path: Path) -> None:
    path = put(synthetic(), tmp_path) / "sparse/0/cameras.bin"
    data = bytearray(path.read_bytes())
    data[12:16] = (99).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(UserError, match="number 99 is not supported"):
        read_colmap(tmp_path)


@pytest.mark.parametrize("name, old, new, message", [
    ("cameras", "900 ", "nan ", "impossible intrinsics"), ("cameras", "900 ", "-900 ", "impossible intrinsics"),
    ("cameras", " 1024 ", " 0 ", "impossible intrinsics"), ("cameras", " OPENCV ", " RADIAL ", "cut off or damaged"),
    ("cameras", "1024", "wide", "cut off or damaged"), ("cameras", "OPENCV", "WIDE", "lens model WIDE is not supported"),
], ids=str)
def test_text_edited_by_hand(tmp_path: Path, name: str, old: str, new: str, message: str) -> None:
    path = put(synthetic(), tmp_path, text=True) / f"sparse/0/{name}.txt"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=message):
        read_colmap(tmp_path)


@pytest.mark.parametrize("pose, message", [
    ("1 0 0 0 0 nan 0 0 1 a.png", "a.png has a pose that is no number"), ("1 0 0 0 0 0 0 0 1 a.png", "a.png has a pose that is no number"),
    ("1 1e200 0 0 0 0 0 0 1 a.png", "a.png has a pose that is no number"), ("1 1 0 0 0 0 0 0 7 a.png", "a.png refers to camera 7"),
    ("1 1 0 0 0 0", "cut off or damaged"), ("one 1 0 0 0 0 0 0 x a.png", "cut off"),
], ids=str)
def test_bad_poses(tmp_path: Path, pose: str, message: str) -> None:
    put_text(tmp_path, "1 PINHOLE 8 6 7 7 4 3", pose)
    with pytest.raises(UserError, match=message):
        read_colmap(tmp_path)


def put_text(folder: Path, cameras: str, images: str, points: str = "") -> None:
    (folder / "sparse").mkdir(exist_ok=True)
    for name, text in (("cameras", cameras), ("images", images), ("points3D", points)):
        (folder / f"sparse/{name}.txt").write_text(f"# a comment\n{text}\n")
    (folder / "a.png").touch()
    (folder / "b c.png").touch()


def test_text_with_blank_lines_and_names_with_blanks(tmp_path: Path) -> None:
    put_text(tmp_path, "1 PINHOLE 8 6 7 7 4 3\n\n", "\n1 1 0 0 0 0 0 0 1 a.png\n\n2 1 0 0 0 0 0 1 1 b c.png\n1.5 2.5 -1\n\n")
    assert [view.name for view in read_colmap(tmp_path).views] == ["a.png", "b c.png"]


def test_infinite_and_wild_points_are_left_out(tmp_path: Path) -> None:
    put_text(tmp_path, "1 PINHOLE 8 6 7 7 4 3", "1 1 0 0 0 0 0 0 1 a.png\n",
             "1 1 2 3 10 20 30 0.5 1 0\n6 1e300 0 0 0 0 0 1\n2 nan 0 0 0 0 0 0.5\n3 0 inf 0 0 0 0 0.5\n"
             "4 0 0 0 0 0 0 1000\n5 4 5 6 300 0 0 -1")
    points = read_colmap(tmp_path).points
    assert points and points.positions.tolist() == [[1, 3, -2], [4, 6, -5]]
    assert points.colors.tolist() == [[10, 20, 30], [255, 0, 0]]


def test_no_points_at_all(tmp_path: Path) -> None:
    put(synthetic(), tmp_path)
    (tmp_path / "sparse/0/points3D.bin").unlink()
    assert read_colmap(tmp_path).points is None


@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
def test_cut_off_files(tmp_path: Path, name: str) -> None:
    path = put(synthetic(frames=3), tmp_path) / f"sparse/0/{name}.bin"
    whole = path.read_bytes()
    for cut in {0, 7, 8, 9, 30, len(whole) // 2, len(whole) - 1}:
        path.write_bytes(whole[:cut])
        with pytest.raises(UserError, match=f"{name}.bin is cut off or damaged"):
            read_colmap(tmp_path)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["cameras", "images", "points3D"]), place=st.integers(0, 400), value=st.binary(min_size=1, max_size=8))
def test_no_damage_is_unforeseen(tmp_path: Path, name: str, place: int, value: bytes) -> None:
    if not (tmp_path / "sparse").exists():
        put(synthetic(frames=3), tmp_path)
    path = tmp_path / f"sparse/0/{name}.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:place] + value + whole[place + len(value):])
    try:
        read_colmap(tmp_path)
    except UserError as error:
        assert error.hint
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("distortion", [(), (0.1,), (0.1, -0.2, 0.01, 0.02), (0.1, -0.05, 0.001, 0.0, 0.02, 0.03, 0.0, 0.01)], ids=str)
def test_written_text_comes_back_and_pycolmap_agrees(tmp_path: Path, distortion: tuple[float, ...]) -> None:
    names = ["a.png", "sub/b.png", "d.png"]
    cameras = [Camera(64, 48, 50 + (i == 2), 51, 32, 24, look_at(np.array([3.0, i, 1.5])), distortion) for i in range(3)]
    points = PointCloud(np.random.default_rng(0).normal(0, 1, (9, 3)).astype(np.float32), np.arange(27, dtype=np.uint8).reshape(9, 3))
    views = tuple(View(name, tmp_path / "images" / name, camera) for name, camera in zip(names, cameras, strict=True))
    for view in views:
        view.image.parent.mkdir(parents=True, exist_ok=True)
        view.image.touch()
    assert write_colmap_text(Dataset(tmp_path, views, points), tmp_path) == tmp_path / "sparse/0"
    back = read_colmap(tmp_path)
    assert back.points and np.abs(back.points.positions - points.positions).max() < 1e-6
    assert np.array_equal(back.points.colors, points.colors)
    for before, after in zip(sorted(views, key=lambda view: view.name), back.views, strict=True):
        assert before.name == after.name and before.camera.distortion == after.camera.distortion
        assert np.abs(before.camera.camera_to_world - after.camera.camera_to_world).max() < 1e-12
        assert np.array_equal(before.camera.K, after.camera.K)
    model = pycolmap.Reconstruction(tmp_path / "sparse/0")
    assert model.num_cameras() == 2 and model.num_points3D() == 9
    assert_parity(back, model)


def test_names_with_blanks_are_not_written(tmp_path: Path) -> None:
    view = View("b c.png", tmp_path / "b c.png", Camera(8, 6, 7, 7, 4, 3, np.eye(4)))
    with pytest.raises(UserError, match='cannot hold the name "b c'):
        write_colmap_text(Dataset(tmp_path, (view,)), tmp_path)
    assert not any(tmp_path.iterdir())
