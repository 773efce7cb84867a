"""COLMAP models, text and binary. Rigs and frames (rigs.bin, frames.bin) may be there: images carry their poses all the same.

COLMAP's world is Y-down like the PLY files of trainers, so reading turns it into Blender's by the same rotation, and a PLY
in SuperSplat's axes lies in COLMAP's own frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from struct import error as StructError
from typing import TypeVar

import numpy as np

from .camera import FLIP_YZ, Camera
from .dataset import Dataset, PointCloud, View, held_out_names
from .errors import UserError
from .files import disk_error, make_folder, write_text
from .transform import PLY_TO_BLENDER, quat_from_matrix, rotation_matrices

T = TypeVar("T")

# COLMAP's camera models: id, name, number of parameters (colmap/src/colmap/sensor/models.h)
MODELS = {0: ("SIMPLE_PINHOLE", 3), 1: ("PINHOLE", 4), 2: ("SIMPLE_RADIAL", 4), 3: ("RADIAL", 5), 4: ("OPENCV", 8),
          5: ("OPENCV_FISHEYE", 8), 6: ("FULL_OPENCV", 12), 7: ("FOV", 5), 8: ("SIMPLE_RADIAL_FISHEYE", 4),
          9: ("RADIAL_FISHEYE", 5), 10: ("THIN_PRISM_FISHEYE", 12), 11: ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
          12: ("SIMPLE_DIVISION", 4), 13: ("DIVISION", 5), 14: ("SIMPLE_FISHEYE", 3), 15: ("FISHEYE", 4), 16: ("EUCM", 6),
          17: ("EQUIRECTANGULAR", 2)}
PARAMETERS = dict(MODELS.values())
LARGEST_ERROR = 20.0
"""Points whose reprojection error (px) is larger are noise."""

IMAGE_FOLDERS = ("images", "input", "photos", ".")
MASK_FOLDER = "masks"
REDO = "Remove its images from the model, or run COLMAP again."
UNDISTORT = "Undistort the images first: colmap image_undistorter."


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
    """The folder that holds a model: sparse/N with most images, sparse, colmap/sparse/N, or the folder itself."""
    candidates = [*sorted(folder.glob("sparse/*")), folder / "sparse", *sorted(folder.glob("colmap/sparse/*")), folder]
    found = [path for path in candidates if _file(path, "cameras") and _file(path, "images")]
    return max(found, key=_image_count, default=None)


def read_colmap(folder: Path) -> Dataset:
    """Read a COLMAP model and the images beside it. `complete` is False when some images of the model are not there.

    UserError for damaged files, lenses that are not supported, and when no image is there.
    """
    model, images, poses = _model_of(folder)
    lenses = _read(model, "cameras", _cameras_binary, _cameras_text)
    present = {pose.name: path for pose in poses if (path := images / pose.name).is_file()}
    if not present:
        raise UserError(f"None of the {len(poses)} images of the COLMAP model lies in {folder}.",
                        f"Put them into {folder / 'images'}; the first one is called {poses[0].name if poses else '?'}.")
    held_out = held_out_names(list(present))
    views = tuple(View(pose.name, present[pose.name], _camera(lenses, pose), pose.name in held_out, mask=_mask(folder, pose.name))
                  for pose in poses if pose.name in present)
    points = _read(model, "points3D", _points_binary, _points_text) if _file(model, "points3D") else None
    return Dataset(folder, views, points, complete=len(present) == len(poses))


def _mask(folder: Path, name: str) -> Path | None:
    """The mask of an image: masks/NAME.png as COLMAP itself reads them, or the same name with the ending of a PNG."""
    candidates = (folder / MASK_FOLDER / f"{name}.png", (folder / MASK_FOLDER / name).with_suffix(".png"))
    return next((path for path in candidates if path.is_file()), None)


def missing_images(folder: Path) -> list[str]:
    """Names of the model's images that are not there."""
    _, images, poses = _model_of(folder)
    return [pose.name for pose in poses if not (images / pose.name).is_file()]


def _model_of(folder: Path) -> tuple[Path, Path, list[_Pose]]:
    """Where a model lies, where its images lie, and its poses by name."""
    model = find_model(folder)
    if model is None:
        raise UserError(f"{folder} holds no COLMAP model.", "Choose the folder that holds images and sparse/0.")
    poses = sorted(_read(model, "images", _images_binary, _images_text), key=lambda pose: pose.name)
    return model, _image_folder(folder, model, poses), poses


def _camera(lenses: dict[int, _Lens], pose: _Pose) -> Camera:
    if pose.camera_id not in lenses:
        raise UserError(f"{pose.name} refers to camera {pose.camera_id}, which the COLMAP model does not have.", "Export the model again.")
    lens = lenses[pose.camera_id]
    fl_x, fl_y, cx, cy, distortion = _intrinsics(lens)
    if not np.isfinite(lens.params).all() or min(fl_x, fl_y) <= 0 or min(lens.width, lens.height) < 1:
        raise UserError(f"Camera {pose.camera_id} of the COLMAP model has impossible intrinsics.", REDO)
    size = max(map(abs, pose.quat))
    if not (np.isfinite((*pose.quat, *pose.translation)).all() and 1e-3 < size < 1e3):
        raise UserError(f"{pose.name} has a pose that is no number.", REDO)
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = rotation_matrices(np.array([pose.quat]))[0]
    world_to_camera[:3, 3] = pose.translation
    return Camera(lens.width, lens.height, fl_x, fl_y, cx, cy, PLY_TO_BLENDER @ np.linalg.inv(world_to_camera) @ FLIP_YZ, distortion)


def _intrinsics(lens: _Lens) -> tuple[float, float, float, float, tuple[float, ...]]:
    """fl_x, fl_y, cx, cy and OpenCV's distortion of a COLMAP lens."""
    p = lens.params
    match lens.model:
        case "SIMPLE_PINHOLE":
            return p[0], p[0], p[1], p[2], ()
        case "PINHOLE":
            return p[0], p[1], p[2], p[3], ()
        case "SIMPLE_RADIAL" | "RADIAL":
            return p[0], p[0], p[1], p[2], _trimmed(p[3:])
        case "OPENCV" | "FULL_OPENCV":
            return p[0], p[1], p[2], p[3], _trimmed(p[4:])
        case other:
            raise UserError(f"The lens model {other} is not supported.", UNDISTORT)


def _trimmed(distortion: tuple[float, ...]) -> tuple[float, ...]:
    """Without zeros at the end; empty for a perfect pinhole."""
    while distortion and not distortion[-1]:
        distortion = distortion[:-1]
    return distortion


def _image_folder(folder: Path, model: Path, poses: list[_Pose]) -> Path:
    """The folder below which most of the images lie; when the model itself was chosen, also beside and above it."""
    roots = [folder, *([model.parent, model.parent.parent] if model == folder else [])]
    candidates = [root / name for root in roots for name in IMAGE_FOLDERS]
    return max(candidates, key=lambda path: sum((path / pose.name).is_file() for pose in poses))


def _file(model: Path, name: str) -> Path | None:
    return next((path for ending in (".bin", ".txt") if (path := model / (name + ending)).is_file()), None)


def _image_count(model: Path) -> int:
    """Images of a model, without reading all of it; 0 when it is damaged."""
    path = _file(model, "images")
    try:
        if path is None or path.suffix == ".txt":
            return len(_lines(path)) // 2 if path else 0
        with open(path, "rb") as file:
            return int.from_bytes(file.read(8), "little")
    except (OSError, ValueError):
        return 0


def _read(model: Path, name: str, binary: Callable[[_Bytes], T], text: Callable[[list[list[str]]], T]) -> T:
    """One of a model's files, binary or text; UserError when it is cut off or damaged."""
    path = _file(model, name) or model / f"{name}.bin"
    try:
        return text(_lines(path)) if path.suffix == ".txt" else binary(_Bytes(path.read_bytes()))
    except OSError as error:
        raise disk_error(path, error) from error
    except (StructError, ValueError, IndexError, MemoryError, OverflowError):
        raise UserError(f"{path} is cut off or damaged.", "Export the COLMAP model again.") from None


def _lines(path: Path) -> list[list[str]]:
    """Words of every line but comments; empty lines stay (an image without points has one)."""
    return [line.split() for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]


class _Bytes:
    """A binary file read from front to back; StructError at its end."""

    def __init__(self, data: bytes):
        self.data = data
        self.offset = 0

    def unpack(self, layout: Struct) -> tuple:
        values = layout.unpack_from(self.data, self.offset)
        self.offset += layout.size
        return values

    def skip(self, size: int) -> None:
        self.offset += size
        if self.offset > len(self.data):
            raise StructError("cut off")

    def name(self) -> str:
        end = self.data.index(b"\0", self.offset)
        text = self.data[self.offset : end].decode("utf-8")
        self.offset = end + 1
        return text


COUNT, CAMERA, IMAGE, POINT = Struct("<Q"), Struct("<iiQQ"), Struct("<i7di"), Struct("<Q3d3BdQ")


def _cameras_binary(file: _Bytes) -> dict[int, _Lens]:
    lenses = {}
    for _ in range(file.unpack(COUNT)[0]):
        number, model, width, height = file.unpack(CAMERA)
        name, count = MODELS.get(model, (f"number {model}", 0))
        if not count:
            raise UserError(f"The lens model {name} is not supported.", UNDISTORT)
        lenses[number] = _Lens(name, width, height, file.unpack(Struct(f"<{count}d")))
    return lenses


def _cameras_text(lines: list[list[str]]) -> dict[int, _Lens]:
    lenses = {int(words[0]): _Lens(words[1], int(words[2]), int(words[3]), tuple(map(float, words[4:]))) for words in lines if words}
    if any(len(lens.params) != PARAMETERS.get(lens.model, len(lens.params)) for lens in lenses.values()):
        raise ValueError("a wrong number of parameters")
    return lenses


def _images_binary(file: _Bytes) -> list[_Pose]:
    poses = []
    for _ in range(file.unpack(COUNT)[0]):
        _, *numbers, camera_id = file.unpack(IMAGE)
        name = file.name()
        file.skip(24 * file.unpack(COUNT)[0])  # the observations
        poses.append(_Pose(name, camera_id, tuple(numbers[:4]), tuple(numbers[4:])))
    return poses


def _images_text(lines: list[list[str]]) -> list[_Pose]:
    """Two lines an image: pose and name, then its observations (which may be an empty line)."""
    poses, rows = [], iter(lines)
    for words in rows:
        if not words:
            continue
        poses.append(_Pose(" ".join(words[9:]), int(words[8]), tuple(map(float, words[1:5])), tuple(map(float, words[5:8]))))
        next(rows, None)
    return poses


def _points_binary(file: _Bytes) -> PointCloud:
    count = file.unpack(COUNT)[0]
    if count * POINT.size > len(file.data):
        raise StructError("cut off")
    positions, colors, errors = np.empty((count, 3)), np.empty((count, 3), np.uint8), np.empty(count)
    for row in range(count):
        _, *values, tracks = file.unpack(POINT)
        positions[row], colors[row], errors[row] = values[:3], values[3:6], values[6]
        file.skip(8 * tracks)
    return _cleaned(positions, colors, errors)


def _points_text(lines: list[list[str]]) -> PointCloud:
    numbers = np.array([words[1:8] for words in lines if words], float).reshape(-1, 7)
    return _cleaned(numbers[:, :3], numbers[:, 3:6].clip(0, 255).astype(np.uint8), numbers[:, 6])


def _cleaned(positions: np.ndarray, colors: np.ndarray, errors: np.ndarray) -> PointCloud:
    """Points in Blender's world, without infinite and badly reconstructed ones."""
    with np.errstate(over="ignore", invalid="ignore"):
        ours = (positions @ PLY_TO_BLENDER[:3, :3].T).astype(np.float32)
    good = np.isfinite(ours).all(axis=1) & ~(errors > LARGEST_ERROR)
    return PointCloud(ours[good], colors[good])


def write_colmap_text(dataset: Dataset, folder: Path) -> Path:
    """Write a dataset as a COLMAP text model below `folder`/sparse/0; returns that folder. The images are not copied.

    Poses and points turn into COLMAP's frame (Y down); names are those of the views. Read back, it is the same dataset.
    UserError for names with blanks: COLMAP's text files end a name there.
    """
    blank = next((view.name for view in dataset.views if len(view.name.split()) != 1), None)
    if blank is not None:
        raise UserError(f'COLMAP\'s text files cannot hold the name "{blank}".', "Rename the image so that its name has no blanks.")
    model = make_folder(folder / "sparse" / "0")
    lenses = list(dict.fromkeys(_lens_words(view.camera) for view in dataset.views))
    numbers = {words: number for number, words in enumerate(lenses, 1)}
    write_text(model / "cameras.txt", "".join(f"{number} {words}\n" for words, number in numbers.items()))
    write_text(model / "images.txt", "".join(
        f"{number} {_pose_words(view.camera)} {numbers[_lens_words(view.camera)]} {view.name}\n\n"
        for number, view in enumerate(dataset.views, 1)))
    write_text(model / "points3D.txt", "".join(_point_lines(dataset.points)))
    return model


def _lens_words(camera: Camera) -> str:
    """Model, size and parameters of the simplest COLMAP lens that describes a camera."""
    model, count = next((model, count) for model, count in (("PINHOLE", 0), ("OPENCV", 4), ("FULL_OPENCV", 8))
                        if len(_trimmed(camera.distortion)) <= count)
    distortion = (*camera.distortion, *(0.0,) * 8)[:count]
    numbers = (camera.fl_x, camera.fl_y, camera.cx, camera.cy, *distortion)
    return f"{model} {camera.width} {camera.height} {_words(numbers)}"


def _pose_words(camera: Camera) -> str:
    """World to camera in COLMAP's frame: quaternion w x y z and translation."""
    matrix = camera.viewmat @ PLY_TO_BLENDER
    return f"{_words(quat_from_matrix(matrix[:3, :3]))} {_words(matrix[:3, 3])}"


def _point_lines(points: PointCloud | None) -> list[str]:
    """Points without tracks; their error is unknown (-1)."""
    if points is None:
        return []
    positions = points.positions.astype(np.float64) @ PLY_TO_BLENDER[:3, :3]
    return [f"{number} {_words(position)} {' '.join(map(str, color.tolist()))} -1\n"
            for number, (position, color) in enumerate(zip(positions, points.colors, strict=True), 1)]


def _words(numbers: Iterable[float]) -> str:
    return " ".join(repr(float(number)) for number in numbers)
