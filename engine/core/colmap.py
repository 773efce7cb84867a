"""COLMAP models, text and binary. Rigs and frames (rigs.bin, frames.bin) may be there: images carry their poses all the same.

COLMAP's world is Y-down like the PLY files of trainers, so reading turns it into Blender's by the same rotation, and a PLY
in SuperSplat's axes lies in COLMAP's own frame.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np

from .camera import FLIP_YZ, Camera
from .dataset import Dataset, PointCloud, View, held_out_names
from .errors import UserError
from .files import disk_error
from .transform import PLY_TO_BLENDER, rotation_matrices

T = TypeVar("T")

# COLMAP's camera models: id, name, number of parameters (colmap/src/colmap/sensor/models.h)
MODELS = {0: ("SIMPLE_PINHOLE", 3), 1: ("PINHOLE", 4), 2: ("SIMPLE_RADIAL", 4), 3: ("RADIAL", 5), 4: ("OPENCV", 8),
          5: ("OPENCV_FISHEYE", 8), 6: ("FULL_OPENCV", 12), 7: ("FOV", 5), 8: ("SIMPLE_RADIAL_FISHEYE", 4),
          9: ("RADIAL_FISHEYE", 5), 10: ("THIN_PRISM_FISHEYE", 12)}
LARGEST_ERROR = 20.0
"""Points whose reprojection error (px) is larger are noise."""

IMAGE_FOLDERS = ("images", "input", "photos", ".")


@dataclass(frozen=True)
class _Lens:
    model: str
    width: int
    height: int
    params: tuple[float, ...]


@dataclass(frozen=True)
class _Pose:
    name: str
    camera_id: int
    quat: tuple[float, ...]  # w x y z, world to camera
    translation: tuple[float, ...]


def find_model(folder: Path) -> Path | None:
    """The folder that holds the cameras of a model: sparse/N with most images, sparse, colmap/sparse/0, or the folder itself."""
    candidates = [*sorted(folder.glob("sparse/*")), folder / "sparse", *sorted(folder.glob("colmap/sparse/*")), folder]
    found = [path for path in candidates if _file(path, "cameras") and _file(path, "images")]
    return max(found, key=lambda path: (_file(path, "images") or path).stat().st_size, default=None)


def read_colmap(folder: Path) -> Dataset:
    """Read a COLMAP model and the images beside it; UserError for damaged files and lenses that are not supported."""
    model = find_model(folder)
    if model is None:
        raise UserError(f"{folder} holds no COLMAP model.", "Choose the folder that holds images and sparse/0.")
    lenses = _read(model, "cameras", _cameras_binary, _cameras_text)
    poses = _read(model, "images", _images_binary, _images_text)
    points = _read(model, "points3D", _points_binary, _points_text) if _file(model, "points3D") else None
    images = _image_folder(folder, poses)
    present = sorted((pose for pose in poses if (images / pose.name).exists()), key=lambda pose: pose.name)
    if not present:
        raise UserError(f"None of the {len(poses)} images of the COLMAP model lies in {folder}.",
                        f"Put them into {folder / 'images'}; the first one is called {poses[0].name if poses else '?'}.")
    held_out = held_out_names([pose.name for pose in present])
    views = tuple(View(pose.name, images / pose.name, _camera(lenses, pose), pose.name in held_out) for pose in present)
    return Dataset(folder, views, points, complete=len(present) == len(poses))


def _camera(lenses: dict[int, _Lens], pose: _Pose) -> Camera:
    if pose.camera_id not in lenses:
        raise UserError(f"{pose.name} refers to camera {pose.camera_id}, which the COLMAP model does not have.", "Export the model again.")
    lens = lenses[pose.camera_id]
    fl_x, fl_y, cx, cy, distortion = _intrinsics(lens)
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = rotation_matrices(np.array([pose.quat]))[0]
    world_to_camera[:3, 3] = pose.translation
    if not np.isfinite(world_to_camera).all() or not np.any(pose.quat):
        raise UserError(f"{pose.name} has a pose that is no number.", "Remove the image from the model, or make the poses again.")
    return Camera(lens.width, lens.height, fl_x, fl_y, cx, cy, PLY_TO_BLENDER @ np.linalg.inv(world_to_camera) @ FLIP_YZ, distortion)


def _intrinsics(lens: _Lens) -> tuple[float, float, float, float, tuple[float, ...]]:
    """fl_x, fl_y, cx, cy and OpenCV's distortion of a COLMAP lens."""
    p = lens.params
    match lens.model:
        case "SIMPLE_PINHOLE":
            return p[0], p[0], p[1], p[2], ()
        case "PINHOLE":
            return p[0], p[1], p[2], p[3], ()
        case "SIMPLE_RADIAL":
            return p[0], p[0], p[1], p[2], (p[3],) if p[3] else ()
        case "RADIAL":
            return p[0], p[0], p[1], p[2], (p[3], p[4])
        case "OPENCV" | "FULL_OPENCV":
            return p[0], p[1], p[2], p[3], tuple(p[4:])
        case other:
            raise UserError(f"The lens model {other} is not supported.", "Undistort the images first: colmap image_undistorter.")


def _image_folder(folder: Path, poses: list[_Pose]) -> Path:
    """The folder below which most of the images lie."""
    return max((folder / name for name in IMAGE_FOLDERS), key=lambda path: sum((path / pose.name).exists() for pose in poses))


def _file(model: Path, name: str) -> Path | None:
    return next((path for ending in (".bin", ".txt") if (path := model / (name + ending)).is_file()), None)


def _read(model: Path, name: str, binary: Callable[[BinaryIO], T], text: Callable[[list[list[str]]], T]) -> T:
    """One of a model's files, binary or text; UserError when it is cut off or damaged."""
    path = _file(model, name) or model / f"{name}.bin"
    try:
        if path.suffix == ".txt":
            return text(_lines(path))
        with open(path, "rb") as file:
            return binary(file)
    except OSError as error:
        raise disk_error(path, error) from error
    except (struct.error, ValueError, IndexError, MemoryError, OverflowError):
        raise UserError(f"{path} is cut off or damaged.", "Export the COLMAP model again.") from None


def _lines(path: Path) -> list[list[str]]:
    """Words of every line but comments; empty lines stay (an image without points has one)."""
    return [line.split() for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


def _unpack(file: BinaryIO, layout: str) -> tuple:
    layout = "<" + layout
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _cameras_binary(file: BinaryIO) -> dict[int, _Lens]:
    lenses = {}
    for _ in range(_unpack(file, "Q")[0]):
        number, model, width, height = _unpack(file, "iiQQ")
        name, count = MODELS.get(model, (f"number {model}", 0))
        if not count:
            raise UserError(f"The lens model {name} is not supported.", "Undistort the images first: colmap image_undistorter.")
        lenses[number] = _Lens(name, width, height, _unpack(file, f"{count}d"))
    return lenses


def _cameras_text(lines: list[list[str]]) -> dict[int, _Lens]:
    return {int(words[0]): _Lens(words[1], int(words[2]), int(words[3]), tuple(map(float, words[4:]))) for words in lines if words}


def _images_binary(file: BinaryIO) -> list[_Pose]:
    poses = []
    for _ in range(_unpack(file, "Q")[0]):
        _, *numbers, camera_id = _unpack(file, "i7di")
        name = bytearray()
        while (letter := file.read(1)) not in (b"\0", b""):
            name += letter
        count = _unpack(file, "Q")[0]
        file.seek(24 * count, 1)
        poses.append(_Pose(name.decode("utf-8"), camera_id, tuple(numbers[:4]), tuple(numbers[4:])))
    return poses


def _images_text(lines: list[list[str]]) -> list[_Pose]:
    """Two lines an image: pose and name, then its observations (which may be an empty line)."""
    return [_Pose(" ".join(words[9:]), int(words[8]), tuple(map(float, words[1:5])), tuple(map(float, words[5:8])))
            for words in lines[::2] if words]


def _points_binary(file: BinaryIO) -> PointCloud:
    data = file.read()
    count = struct.unpack_from("<Q", data)[0]
    positions, colors, errors = np.empty((count, 3)), np.empty((count, 3), np.uint8), np.empty(count)
    offset = 8
    for row in range(count):
        _, *values, tracks = struct.unpack_from("<Q3d3BdQ", data, offset)
        positions[row], colors[row], errors[row] = values[:3], values[3:6], values[6]
        offset += 51 + 8 * tracks
    return _cleaned(positions, colors, errors)


def _points_text(lines: list[list[str]]) -> PointCloud:
    rows = [words for words in lines if words]
    numbers = np.array([words[1:8] for words in rows], float).reshape(-1, 7)
    return _cleaned(numbers[:, :3], numbers[:, 3:6].astype(np.uint8), numbers[:, 6])


def _cleaned(positions: np.ndarray, colors: np.ndarray, errors: np.ndarray) -> PointCloud:
    """Points in Blender's world, without infinite and badly reconstructed ones."""
    good = np.isfinite(positions).all(axis=1) & ~(errors > LARGEST_ERROR)
    return PointCloud((positions[good] @ PLY_TO_BLENDER[:3, :3].T).astype(np.float32), colors[good])
