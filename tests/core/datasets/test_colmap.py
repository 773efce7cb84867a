"""COLMAP models: read as pycolmap reads them, in Blender's world; written so that pycolmap reads them back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.cameras.camera import Camera
from engine.core.cameras.distortion import distort
from engine.core.cameras.lenses import MODELS
from engine.core.datasets.colmap import find_model, read_colmap
from engine.core.datasets.dataset import Dataset
from engine.core.datasets.read import read_dataset
from engine.core.errors import UserError
from engine.core.formats.ply import write_ply
from tests.data import real
from tests.scenes import colored_ball

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
    dataset, model = read_dataset(real(name)), pycolmap.Reconstruction(real(name) / "sparse/0")
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
    ("sparse/0", "input", "."), ("dense/sparse", "dense/images", "."), ("dense/0/sparse", "dense/0/images", "."),
    ("sparse", "images", "."), ("colmap/sparse", "images", "."), ("sparse/0", "photos of/the day", "."),
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


def renamed(folder: Path, change: Callable[[str], str]) -> Path:
    """A model whose text names the images otherwise than the disk."""
    path = folder / "sparse/images.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(" ".join([*line.split()[:9], change(line.split()[9])]) if line.endswith(".png") else line for line in lines))
    return folder


@pytest.mark.parametrize("change", [
    lambda name: f"images/{name}", lambda name: f"E:\\work in progress\\{name}", lambda name: name.upper(), lambda name: name.split(".")[0],
    lambda name: name.replace(".png", ".jpg"), lambda name: f".\\{name}",
], ids=["folder", "windows", "case", "no ending", "other ending", "dot"])
def test_images_named_as_other_programs_name_them(tmp_path: Path, change: Callable[[str], str]) -> None:
    folder = renamed(put(synthetic(), tmp_path, True, "sparse"), change)
    dataset = read_colmap(folder)
    assert len(dataset.views) == 6 and not dataset.missing
    stems = [view.name.replace("\\", "/").rsplit("/")[-1].split(".")[0].casefold() for view in dataset.views]
    assert stems == [view.image.stem.casefold() for view in dataset.views]


def test_photos_of_one_name_in_several_folders_are_not_mixed_up(tmp_path: Path) -> None:
    put_text(tmp_path, "1 PINHOLE 8 6 7 7 4 3", "1 1 0 0 0 0 0 0 1 left/1.png\n\n2 1 0 0 0 0 0 1 1 right/1.png\n")
    for side in ("left", "right"):
        (tmp_path / "rig" / side).mkdir(parents=True)
        (tmp_path / "rig" / side / "1.PNG").touch()
    assert [view.image.parent.name for view in read_colmap(tmp_path).views] == ["left", "right"]
    shutil.rmtree(tmp_path / "rig/right")
    dataset = read_colmap(tmp_path)
    assert [view.name for view in dataset.views] == ["left/1.png"] and dataset.missing == ("right/1.png",)


def test_a_flat_export_without_lines_of_observations_and_without_points(tmp_path: Path) -> None:
    """RealityScan's and Metashape's: everything in one folder, nothing but poses, a byte order mark, Windows' line ends."""
    (tmp_path / "cameras.txt").write_bytes("\ufeff# Cameras\r\n1 PINHOLE 8 6 7 7 4 3\r\n".encode())
    (tmp_path / "images.txt").write_bytes(b"1 1 0 0 0 0 0 0 1 a.png\r\n2 1 0 0 0 0 0 1 1 b c.png\r\n3 1 0 0 0 0 0 2 1 d.png\r\n")
    for name in ("a.png", "b c.png", "d.png"):
        (tmp_path / name).touch()
    dataset = read_dataset(tmp_path)
    assert [view.name for view in dataset.views] == ["a.png", "b c.png", "d.png"] and dataset.points is None


def test_missing_images(tmp_path: Path) -> None:
    put(synthetic(), tmp_path)
    assert read_colmap(tmp_path).missing == ()
    gone = read_colmap(tmp_path).views[2]
    gone.image.unlink()
    dataset = read_colmap(tmp_path)
    assert dataset.complete and len(dataset.views) == 5 and dataset.missing == (gone.name,)
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(UserError, match="None of the 6 images") as caught:
        read_colmap(tmp_path)
    assert str(tmp_path / "images") in caught.value.hint


def test_the_split_is_made_before_anything_is_left_out(tmp_path: Path) -> None:
    """A pose that is none, a missing image, a camera that is missing, a line that is no image: the others stay held out as they were."""
    folder = put(synthetic(frames=20), tmp_path, text=True)
    before = {view.name for view in read_colmap(folder).eval_views}
    path = folder / "sparse/0/images.txt"
    lines = path.read_text().splitlines()
    poses = [number for number, line in enumerate(lines) if line.endswith(".png")]
    for number, change in zip(poses[1:4], ({1: "-nan(ind)"}, {8: "77"}, {4: "x"}), strict=True):
        words = lines[number].split()
        lines[number] = " ".join(change.get(place, word) for place, word in enumerate(words))
    path.write_text("\n".join(lines))
    (folder / "images" / lines[poses[5]].split()[9]).unlink()
    dataset = read_colmap(folder)
    assert len(dataset.views) == 16 and len(dataset.left_out) == 3 and len(dataset.missing) == 1
    gone = {*dataset.missing, *(each.name for each in dataset.left_out)}
    assert {view.name for view in dataset.eval_views} == before - gone
    assert [each.reason.split(":")[0] for each in dataset.left_out] == [f"images.txt, line {poses[number] + 1}" for number in (1, 2)] + [
        f"images.txt, line {poses[3] + 1} is no image"]


def test_a_bad_camera_costs_its_images(tmp_path: Path) -> None:
    put_text(tmp_path, "1 PINHOLE 8 6 7 7 4 3\n2 OPENCV 8 6 -nan(ind) 7 4 3 0 0 0 1.#QNAN\n3 PINHOLE 8 6 7 7 4",
             "1 1 0 0 0 0 0 0 1 a.png\n\n2 1 0 0 0 0 0 1 2 b c.png\n\n3 1 0 0 0 0 0 1 3 d.png\n")
    (tmp_path / "d.png").touch()
    dataset = read_colmap(tmp_path)
    assert [view.name for view in dataset.views] == ["a.png"] and [each.reason for each in dataset.left_out] == [
        "cameras.txt, line 3: camera 2 (OPENCV) has impossible intrinsics: 8 x 6, -nan(ind) 7 4 3 0 0 0 1.#QNAN.",
        "cameras.txt, line 4: camera 3 is PINHOLE, which has 4 parameters, and not 3: 7 7 4."]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252"])
def test_text_in_the_encodings_of_windows(tmp_path: Path, encoding: str) -> None:
    put_text(tmp_path, "1 PINHOLE 8 6 7 7 4 3", "")
    (tmp_path / "sparse/images.txt").write_bytes("1 1 0 0 0 0 0 0 1 Süd  1.png\r\n".encode(encoding))
    (tmp_path / "Süd  1.png").touch()
    assert [view.name for view in read_colmap(tmp_path).views] == ["Süd  1.png"]


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
def test_lenses_without_a_pinhole_photo_are_refused(tmp_path: Path, text: bool) -> None:
    folder = with_lens(put(synthetic(), tmp_path, text), "EQUIRECTANGULAR", text)
    with pytest.raises(UserError, match="lens model EQUIRECTANGULAR is not supported") as caught:
        read_colmap(folder)
    assert "Undistort the images first" in caught.value.hint


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
@pytest.mark.parametrize("lens", sorted({name for name, _ in MODELS.values()} - {*PARAMS, "EQUIRECTANGULAR"}))
def test_bent_lenses_are_read(tmp_path: Path, lens: str, text: bool) -> None:
    """COLMAP's own first guess of each model; what the fit is worth is tested with the lenses."""
    dataset = read_colmap(with_lens(put(synthetic(), tmp_path, text), lens, text))
    assert len(dataset.views) == 6 and (dataset.views[0].camera.width, dataset.views[0].camera.height) == (640, 480)


def with_lens(folder: Path, lens: str, text: bool) -> Path:
    """The same model with another lens."""
    other = pycolmap.Reconstruction()
    other.add_camera(pycolmap.Camera.create_from_model_id(1, getattr(pycolmap.CameraModelId, lens), 500.0, 640, 480))
    (folder / "other").mkdir()
    other.write_text(folder / "other") if text else other.write_binary(folder / "other")
    name = "cameras.txt" if text else "cameras.bin"
    shutil.copy(folder / "other" / name, folder / f"sparse/0/{name}")
    return folder


def test_a_lens_of_the_future(tmp_path: Path) -> None:
    path = put(synthetic(), tmp_path) / "sparse/0/cameras.bin"
    data = bytearray(path.read_bytes())
    data[12:16] = (99).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(UserError, match="number 99 is not supported"):
        read_colmap(tmp_path)


@pytest.mark.parametrize("name, old, new, message", [
    ("cameras", "900 ", "nan ", "impossible intrinsics"), ("cameras", "900 ", "-900 ", "impossible intrinsics"),
    ("cameras", " 1024 ", " 0 ", "impossible intrinsics"),
    ("cameras", " OPENCV ", " RADIAL ", "line 4: camera 1 is RADIAL, which has 5 parameters, and not 8: 900 910"),
    ("cameras", "1024", "wide", "line 4 is no camera: 1 OPENCV wide"), ("cameras", "OPENCV", "WIDE", "lens model WIDE is not supported"),
], ids=str)
def test_text_edited_by_hand(tmp_path: Path, name: str, old: str, new: str, message: str) -> None:
    path = put(synthetic(), tmp_path, text=True) / f"sparse/0/{name}.txt"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=message):
        read_colmap(tmp_path)


@pytest.mark.parametrize("pose, message", [
    ("1 0 0 0 0 nan 0 0 1 a.png", "images.txt, line 2: a.png has a pose with NaN or infinite values, or none at all: 0 0 0 0 nan"),
    ("1 0 0 0 0 0 0 0 1 a.png", "a.png has a pose with NaN or infinite values"),
    ("1 1e200 0 0 0 0 0 0 1 a.png", "a.png has a pose with NaN or infinite values"),
    ("1 1 0 0 0 0 0 0 7 a.png", "a.png refers to camera 7"),
    ("1 1 0 0 0 0", "line 2 is no image: 1 1 0"), ("one 1 0 0 0 0 0 0 x a.png", "line 2 is no image: one 1 0"),
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


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["cameras", "images", "points3D"]), place=st.integers(0, 400), value=st.text(max_size=12))
def test_no_damage_of_text_is_unforeseen(tmp_path: Path, name: str, place: int, value: str) -> None:
    if not (tmp_path / "sparse").exists():
        put(synthetic(frames=3), tmp_path, text=True)
    path = tmp_path / f"sparse/0/{name}.txt"
    whole = path.read_text()
    path.write_text(whole[:place] + value + whole[place + len(value):], encoding="utf-8")
    try:
        read_colmap(tmp_path)
    except UserError as error:
        assert error.hint
    finally:
        path.write_text(whole)
