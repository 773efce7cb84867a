"""transforms.json: what is written comes back, nerfstudio's variants are understood, everything else is refused by name."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.core.cameras.camera import Camera
from engine.core.cameras.lenses import Lens, opencv_lens
from engine.core.datasets.dataset import Dataset, PointCloud, View
from engine.core.datasets.transforms_json import read_transforms, write_transforms
from engine.core.errors import UserError


def pose(angle: float = 0.3) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    matrix[:3, 3] = 1.0, -2.0, angle
    return matrix


def put_images(folder: Path, names: list[str], size: tuple[int, int] = (8, 6)) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(folder / name)


def make_dataset(folder: Path, count: int = 5, **changes: Any) -> Dataset:
    names = [f"{number:04d}.png" for number in range(count)]
    put_images(folder, [f"images/{name}" for name in names])
    views = tuple(View(name, folder / "images" / name, Camera(8, 6, 7.5, 7.25, 4.5, 2.75, pose(index / 7)), index % 3 == 0)
                  for index, name in enumerate(names))
    return replace(Dataset(folder, views), **changes)


def write_json(folder: Path, **values: Any) -> Path:
    """A minimal good file with changes; frames a, b, c."""
    names = ["images/a.png", "images/b.png", "images/c.png"]
    put_images(folder, names)
    frames = [{"file_path": name, "transform_matrix": pose(index).tolist()} for index, name in enumerate(names)]
    whole = {"w": 8, "h": 6, "fl_x": 7.5, "fl_y": 7.25, "cx": 4.0, "cy": 3.0, "frames": frames} | values
    path = folder / "transforms.json"
    path.write_text(json.dumps({key: value for key, value in whole.items() if value is not None}))
    return path


def frames_with(index: int = 1, **changes: Any) -> list[dict[str, Any]]:
    frames = [{"file_path": f"images/{name}.png", "transform_matrix": pose(i).tolist()} for i, name in enumerate("abc")]
    frames[index] |= changes
    return frames


def assert_same(first: Dataset, second: Dataset) -> None:
    assert replace(first, views=(), points=None) == replace(second, views=(), points=None) and len(first.views) == len(second.views)
    for a, b in zip(first.views, second.views, strict=True):
        assert replace(a, camera=None) == replace(b, camera=None)  # type: ignore[arg-type]
        assert replace(a.camera, camera_to_world=None) == replace(b.camera, camera_to_world=None)  # type: ignore[arg-type]
        assert np.abs(a.camera.camera_to_world - b.camera.camera_to_world).max() < 1e-12


@pytest.mark.parametrize("distortion", [
    (), (0.1,), (0.1, -0.2, 0.01, 0.02), (0.1, 0.0, 0.0, 0.0, 0.5), (0.1, 0.2, 0.0, 0.0, 0.0, 0.3, 0.0, 0.4),
], ids=str)
@pytest.mark.parametrize(("complete", "rendered"), [(True, False), (False, True)])
def test_round_trip(tmp_path: Path, distortion: tuple[float, ...], complete: bool, rendered: bool) -> None:
    dataset = make_dataset(tmp_path / "with space ü", complete=complete, rendered=rendered)
    views = tuple(replace(view, camera=replace(view.camera, distortion=distortion)) for view in dataset.views)
    dataset = replace(dataset, views=(replace(views[0], depth=dataset.folder / "depth/0.exr", mask=dataset.folder / "m.png"), *views[1:]))
    (dataset.folder / "depth").mkdir()
    for path in (dataset.folder / "depth/0.exr", dataset.folder / "m.png"):
        path.touch()
    assert write_transforms(dataset) == dataset.folder / "transforms.json"
    assert_same(read_transforms(dataset.folder), dataset)
    assert_same(read_transforms(dataset.folder / "transforms.json"), dataset)


def test_orthographic_cameras_round_trip(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    views = tuple(replace(view, camera=replace(view.camera, orthographic=index % 2 == 0)) for index, view in enumerate(dataset.views))
    write_transforms(replace(dataset, views=views))
    assert_same(read_transforms(tmp_path), replace(dataset, views=views))


def test_points_round_trip(tmp_path: Path) -> None:
    points = PointCloud(np.arange(12, dtype=np.float32).reshape(4, 3), np.arange(12, dtype=np.uint8).reshape(4, 3))
    write_transforms(make_dataset(tmp_path, points=points))
    back = read_transforms(tmp_path).points
    assert back and np.array_equal(back.positions, points.positions) and np.array_equal(back.colors, points.colors)


def test_what_nerfstudio_reads(tmp_path: Path) -> None:
    """Its parser wants lists for all three splits, relative posix paths and intrinsics in each frame or globally."""
    values = json.loads(write_transforms(make_dataset(tmp_path)).read_text(encoding="utf-8"))
    assert values["camera_model"] == "OPENCV"
    assert values["val_filenames"] == values["test_filenames"] == ["images/0000.png", "images/0003.png"]
    assert values["train_filenames"] == ["images/0001.png", "images/0002.png", "images/0004.png"]
    assert set(values["frames"][0]) == {"file_path", "w", "h", "fl_x", "fl_y", "cx", "cy", "transform_matrix"}
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_dataset(tmp_path)
    before = write_transforms(dataset).read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.core.files.os.replace", full)
    with pytest.raises(UserError, match="disk is full"):
        write_transforms(replace(dataset, complete=False))
    assert (tmp_path / "transforms.json").read_bytes() == before


def test_global_intrinsics_and_each_frames_own(tmp_path: Path) -> None:
    write_json(tmp_path, frames=frames_with(fl_x=9.0, k1=0.1), k2=0.2)
    a, b, _ = read_transforms(tmp_path).views
    assert (a.camera.fl_x, a.camera.fl_y, a.camera.cx, a.camera.cy, a.camera.distortion) == (7.5, 7.25, 4.0, 3.0, (0.0, 0.2))
    assert (b.camera.fl_x, b.camera.fl_y, b.camera.distortion) == (9.0, 7.25, (0.1, 0.2))


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_angle_and_size_from_the_image(tmp_path: Path, ending: str) -> None:
    """The synthetic scenes of NeRF give no more than camera_angle_x and paths without an ending."""
    put_images(tmp_path, [f"train/r_0.{ending}"], (16, 10))
    frames = [{"file_path": "./train/r_0", "transform_matrix": pose().tolist()}]
    (tmp_path / "transforms.json").write_text(json.dumps({"camera_angle_x": 1.2, "frames": frames}))
    view = read_transforms(tmp_path).views[0]
    assert view.name == f"r_0.{ending}"
    camera = view.camera
    assert (camera.width, camera.height, camera.cx, camera.cy) == (16, 10, 8.0, 5.0)
    assert camera.fl_x == camera.fl_y == pytest.approx(8 / math.tan(0.6))


def test_vertical_angle_alone(tmp_path: Path) -> None:
    write_json(tmp_path, fl_x=None, fl_y=None, camera_angle_y=0.9)
    camera = read_transforms(tmp_path).views[0].camera
    assert camera.fl_x == camera.fl_y == pytest.approx(3 / math.tan(0.45))


def test_names_are_short_and_differ(tmp_path: Path) -> None:
    names = ["left/0.png", "right/0.png"]
    put_images(tmp_path, names)
    write_json(tmp_path, frames=[{"file_path": f"./{name}", "transform_matrix": pose().tolist()} for name in names])
    assert [view.name for view in read_transforms(tmp_path).views] == names


def test_windows_paths_and_byte_order_mark(tmp_path: Path) -> None:
    path = write_json(tmp_path, frames=frames_with(file_path="images\\b.png"), val_filenames=[".\\images\\b.png"])
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert [view.held_out for view in read_transforms(tmp_path).views] == [False, True, False]


@pytest.mark.parametrize("lists, expected", [
    ({}, "a"), ({"val_filenames": ["b"]}, "b"), ({"val_filenames": ["b"], "test_filenames": ["c"]}, "bc"),
    ({"train_filenames": ["a", "b"]}, "c"),
    ({"train_filenames": ["a", "b", "c"], "val_filenames": ["c"]}, ""), ({"train_filenames": ["a"], "val_filenames": []}, ""),
], ids=str)
def test_split(tmp_path: Path, lists: dict[str, list[str]], expected: str) -> None:
    write_json(tmp_path, **{key: [f"images/{name}.png" for name in names] for key, names in lists.items()})
    assert "".join(view.name[0] for view in read_transforms(tmp_path).eval_views) == expected


def test_scale_in_a_pose_is_dropped(tmp_path: Path) -> None:
    scaled = pose(0.5)
    scaled[:3, :3] *= 0.25
    write_json(tmp_path, frames=frames_with(transform_matrix=scaled.tolist()))
    assert np.allclose(read_transforms(tmp_path).views[1].camera.camera_to_world, pose(0.5))


def changed(row: int, column: int, value: float) -> list[list[float]]:
    matrix = pose()
    matrix[row, column] = value
    return matrix.tolist()


BAD_POSES = {
    "nan": changed(0, 3, math.nan), "infinite": changed(2, 3, math.inf), "singular": np.diag([1.0, 1, 0, 1]).tolist(),
    "mirrored": np.diag([1.0, 1, -1, 1]).tolist(), "sheared": changed(0, 1, 0.9), "2 x 4": pose()[:2].tolist(),
    "ragged": [[1.0], [2.0, 3.0]], "text": "identity", "none": None, "perspective": changed(3, 0, 0.5), "zero": np.zeros((4, 4)).tolist(),
}


@pytest.mark.parametrize("name", BAD_POSES)
def test_a_frame_with_a_bad_pose_is_left_out_and_named(tmp_path: Path, name: str) -> None:
    write_json(tmp_path, frames=frames_with(transform_matrix=BAD_POSES[name]))
    dataset = read_transforms(tmp_path)
    [left] = dataset.left_out
    assert [view.name for view in dataset.views] == ["a.png", "c.png"] and left.name == "images/b.png"
    assert left.reason.startswith("Frame 2 of transforms.json (images/b.png) is without a valid pose (a rotation and a position): ")


@pytest.mark.parametrize("values, sentence", [
    ({"k5": 0.1}, "Frame 2 of transforms.json gives distortion beyond k4"),
    ({"fl_x": -3.0}, "Frame 2 of transforms.json (images/b.png) has impossible intrinsics: w 8, h 6, fl_x -3"),
    ({"fl_x": "wide"}, "Frame 2 of transforms.json lacks its file_path, or holds text where numbers belong: could not convert"),
    ({"camera_model": "CUBE"}, "Frame 2 of transforms.json has an image of the lens model CUBE"),
    ({"file_path": None}, "Frame 2 of transforms.json lacks its file_path"), ({"file_path": "images/a.png"}, "an earlier frame has"),
], ids=str)
def test_a_bad_frame_costs_that_frame(tmp_path: Path, values: dict[str, Any], sentence: str) -> None:
    write_json(tmp_path, frames=frames_with(**values))
    dataset = read_transforms(tmp_path)
    [left] = dataset.left_out
    assert [view.name for view in dataset.views] == ["a.png", "c.png"] and sentence in left.reason and left.part == "view"


def test_points_that_are_named_and_missing_are_said(tmp_path: Path) -> None:
    write_json(tmp_path, ply_file_path="sparse_pc.ply")
    dataset = read_transforms(tmp_path)
    assert dataset.points is None and "sparse_pc.ply, named in transforms.json, are not there" in dataset.left_out[0].reason


@pytest.mark.parametrize("number", ["NaN", "-nan(ind)", "nan", "-inf", "1.#QNAN"])
def test_numbers_that_are_none_in_the_spelling_of_c(tmp_path: Path, number: str) -> None:
    path = write_json(tmp_path, frames=frames_with(fl_x=123456.0))
    path.write_text(path.read_text().replace("123456.0", number))
    assert "impossible intrinsics" in read_transforms(tmp_path).left_out[0].reason


def test_missing_images_are_left_out_and_named(tmp_path: Path) -> None:
    write_transforms(make_dataset(tmp_path, 9))
    for number in range(2, 7):
        (tmp_path / f"images/{number:04d}.png").unlink()
    dataset = read_transforms(tmp_path)
    assert [view.name for view in dataset.views] == ["0000.png", "0001.png", "0007.png", "0008.png"] and dataset.complete
    assert dataset.missing == tuple(f"images/{number:04d}.png" for number in range(2, 7))


def test_no_image_at_all(tmp_path: Path) -> None:
    write_transforms(make_dataset(tmp_path, 5))
    for path in (tmp_path / "images").iterdir():
        path.unlink()
    with pytest.raises(UserError) as caught:
        read_transforms(tmp_path)
    assert caught.value.message.startswith("5 of 5 images are named in transforms.json but not there: images/0000.png, images/0001.png, "
                                           "images/0002.png and 2 more. Looked for images/0000.png")
    assert caught.value.message.endswith("holds no images.")
    assert str(tmp_path) in caught.value.hint


@pytest.mark.parametrize("values", [{"camera_model": "OPENCV_FISHEYE"}, {"is_fisheye": True}], ids=str)
def test_fisheye_frames(tmp_path: Path, values: dict[str, Any]) -> None:
    """The same lens in COLMAP and in nerfstudio's file is one camera."""
    write_json(tmp_path, k1=0.05, k2=-0.01, k3=0.002, k4=-0.001, **values)
    pinhole, distortion = opencv_lens(Lens("OPENCV_FISHEYE", 8, 6, (7.5, 7.25, 4.0, 3.0, 0.05, -0.01, 0.002, -0.001)))
    camera = read_transforms(tmp_path).views[0].camera
    assert (camera.fl_x, camera.fl_y, camera.cx, camera.cy) == pinhole and camera.distortion == distortion != ()


@pytest.mark.parametrize("values, sentence", [
    ({"w": 0}, "impossible intrinsics"), ({"h": -3}, "impossible intrinsics"), ({"fl_x": 0}, "impossible intrinsics"),
    ({"cx": math.nan, "fl_x": math.inf}, "impossible intrinsics"), ({"k1": math.nan}, "impossible intrinsics"),
    ({"fl_x": None, "fl_y": None}, "impossible intrinsics"), ({"fl_x": "wide"}, "Frame 1 of .* holds text"),
    ({"w": [8]}, "Frame 1 of .* holds text"),
    ({"frames": []}, "list of frames is empty"), ({"frames": None}, "no list of frames"), ({"frames": ["a.png"]}, "Frame 1 of"),
    ({"frames": [{"transform_matrix": []}]}, "lacks its file_path"), ({"frames": [{"file_path": 7}]}, "Frame 1 of"),
    ({"frames": [], "splatwright": {"complete": False}}, "interrupted before its first image"),
    ({"camera_model": "CYLINDRICAL"}, "CYLINDRICAL, which is not supported"),
    ({"camera_model": "ORTHOGRAPHIC", "k1": 0.1}, "orthographic images with lens distortion"),
    ({"k5": 0.1}, "beyond k4"),
], ids=str)
def test_bad_values(tmp_path: Path, values: dict[str, Any], sentence: str) -> None:
    write_json(tmp_path, **values)
    with pytest.raises(UserError, match=sentence) as caught:
        read_transforms(tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "{", '{"frames": [}', "\x00\x01", "[" * 100_000, "\ufeff{"],
                         ids=["empty", "open", "bad", "binary", "deep", "mark"])
def test_invalid_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "transforms.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="not valid JSON"):
        read_transforms(tmp_path)


def test_not_a_dictionary_and_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "transforms.json").write_text("[1, 2]")
    with pytest.raises(UserError, match="holds no dataset"):
        read_transforms(tmp_path)
    (tmp_path / "transforms.json").write_bytes(b'{"frames": "\xff\xfe"}')
    with pytest.raises(UserError, match="no list of frames"):
        read_transforms(tmp_path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be reached"):
        read_transforms(tmp_path)


def test_images_outside_the_folder_keep_their_whole_path(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "photos")
    (tmp_path / "poses").mkdir()
    write_transforms(replace(dataset, folder=tmp_path / "poses"))
    assert [view.image for view in read_transforms(tmp_path / "poses").views] == [view.image for view in dataset.views]
