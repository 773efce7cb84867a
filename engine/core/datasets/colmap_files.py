"""The files of a COLMAP model, text and binary: lenses, poses, points. Values are COLMAP's own; nothing is turned or checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from struct import error as StructError
from typing import TypeVar

import numpy as np

from ..cameras.lenses import MODELS, PARAMETERS, UNDISTORT, Lens
from ..errors import UserError
from ..files import disk_error

T = TypeVar("T")

POSE_WORDS = 9
"""Words of an image's line before its name: number, quaternion, translation, camera."""


@dataclass(frozen=True)
class Pose:
    """An image of the model: COLMAP's world to its camera."""

    name: str
    camera_id: int
    quat: tuple[float, ...]  # w x y z
    translation: tuple[float, ...]


@dataclass(frozen=True)
class Points:
    """The model's points in its own frame."""

    positions: np.ndarray  # [N, 3] float64
    colors: np.ndarray  # [N, 3] uint8
    errors: np.ndarray  # [N] pixels; negative: unknown


def read_lenses(model: Path) -> dict[int, Lens]:
    """Lenses by their number. UserError for damaged files and unknown lenses."""
    return _read(model, "cameras", _cameras_binary, _cameras_text)


def read_poses(model: Path) -> list[Pose]:
    """The images in the file's order. UserError for damaged files."""
    return _read(model, "images", _images_binary, _images_text)


def read_points(model: Path) -> Points | None:
    """The points; None when the model has no file of them. UserError for damaged files."""
    return _read(model, "points3D", _points_binary, _points_text) if file_of(model, "points3D") else None


def file_of(model: Path, name: str) -> Path | None:
    return next((path for ending in (".bin", ".txt") if (path := model / (name + ending)).is_file()), None)


def image_count(model: Path) -> int:
    """Images of a model, without reading all of it; 0 when it is damaged."""
    path = file_of(model, "images")
    try:
        if path is None or path.suffix == ".txt":
            return len(_lines(path)) // 2 if path else 0
        with open(path, "rb") as file:
            return int.from_bytes(file.read(8), "little")
    except (OSError, ValueError):
        return 0


def _read(model: Path, name: str, binary: Callable[[_Bytes], T], text: Callable[[list[list[str]]], T]) -> T:
    """One of a model's files, binary or text; UserError when it is cut off or damaged."""
    path = file_of(model, name) or model / f"{name}.bin"
    try:
        return text(_lines(path)) if path.suffix == ".txt" else binary(_Bytes(path.read_bytes()))
    except OSError as error:
        raise disk_error(path, error) from error
    except (StructError, ValueError, IndexError, MemoryError, OverflowError):
        raise UserError(f"{path} is cut off or damaged.", "Export the COLMAP model again.", "colmap.damaged", path=path) from None


def _lines(path: Path) -> list[list[str]]:
    """Words of every line but comments; empty lines stay (an image without points has one)."""
    return [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines() if not line.lstrip().startswith("#")]


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


def _cameras_binary(file: _Bytes) -> dict[int, Lens]:
    lenses = {}
    for _ in range(file.unpack(COUNT)[0]):
        number, model, width, height = file.unpack(CAMERA)
        name, count = MODELS.get(model, (f"number {model}", 0))
        if not count:
            raise UserError(f"The lens model {name} is not supported.", UNDISTORT, "colmap.lens", model=name)
        lenses[number] = Lens(name, width, height, file.unpack(Struct(f"<{count}d")))
    return lenses


def _cameras_text(lines: list[list[str]]) -> dict[int, Lens]:
    lenses = {int(words[0]): Lens(words[1], int(words[2]), int(words[3]), tuple(map(float, words[4:]))) for words in lines if words}
    if any(len(lens.params) != PARAMETERS.get(lens.model, len(lens.params)) for lens in lenses.values()):
        raise ValueError("a wrong number of parameters")
    return lenses


def _images_binary(file: _Bytes) -> list[Pose]:
    poses = []
    for _ in range(file.unpack(COUNT)[0]):
        _, *numbers, camera_id = file.unpack(IMAGE)
        name = file.name()
        file.skip(24 * file.unpack(COUNT)[0])  # the observations
        poses.append(Pose(name, camera_id, tuple(numbers[:4]), tuple(numbers[4:])))
    return poses


def _images_text(lines: list[list[str]]) -> list[Pose]:
    """Two lines an image: pose and name, then its observations, an empty line in exports without them, or (against the format) none."""
    poses: list[Pose] = []
    observations = False
    for words in lines:
        if observations and not _tells_a_pose(words):
            observations = False
        elif words:
            name = " ".join(words[POSE_WORDS:])
            poses.append(Pose(name, int(words[8]), tuple(map(float, words[1:5])), tuple(map(float, words[5:8]))))
            observations = True
    return poses


def _tells_a_pose(words: list[str]) -> bool:
    """Whether a line that should hold observations, which are numbers alone, names an image."""
    return len(words) > POSE_WORDS and not all(map(_is_number, words[POSE_WORDS:]))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _points_binary(file: _Bytes) -> Points:
    count = file.unpack(COUNT)[0]
    if count * POINT.size > len(file.data):
        raise StructError("cut off")
    positions, colors, errors = np.empty((count, 3)), np.empty((count, 3), np.uint8), np.empty(count)
    for row in range(count):
        _, *values, tracks = file.unpack(POINT)
        positions[row], colors[row], errors[row] = values[:3], values[3:6], values[6]
        file.skip(8 * tracks)
    return Points(positions, colors, errors)


def _points_text(lines: list[list[str]]) -> Points:
    numbers = np.array([words[1:8] for words in lines if words], float).reshape(-1, 7)
    return Points(numbers[:, :3], numbers[:, 3:6].clip(0, 255).astype(np.uint8), numbers[:, 6])
