"""The files of a COLMAP model, text and binary: lenses, poses, points. Values are COLMAP's own; nothing is turned.

An entry that cannot be used is told with its file, line and values, and costs that entry alone."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from struct import error as StructError
from typing import TypeVar

import numpy as np

from ..cameras.lenses import MODELS, PARAMETERS, UNDISTORT, Lens
from ..confinement import admitted
from ..errors import UserError
from ..files import disk_error, read_text
from .name_spelling import readable

T = TypeVar("T")
Line = tuple[int, str]
"""Number of a line of a text file, and the line."""

FoundLens = tuple[int, "Lens | UserError"]
"""Number of a camera, and the camera or what is wrong with it."""

POSE_WORDS = 9
"""Words of an image's line before its name: number, quaternion, translation, camera."""

LACKING = {0: "is no point and is left out", 3: "has no colour", 6: "has no reprojection error", 7: ""}
"""What a point of so many numbers lacks."""

NOT_TOLD = (0.0, 0.0, 0.0, 128.0, 128.0, 128.0, -1.0)
"""Colour and error of points that tell none."""

REDO = "Remove its images from the model, or run COLMAP again."
NO_NUMBER = re.compile(r"[+-]?(nan|inf|1\.#)\S*", re.IGNORECASE)
"""How libraries of C write numbers that are none: -nan(ind), 1.#QNAN."""


@dataclass(frozen=True)
class Pose:
    """An image of the model: COLMAP's world to its camera. `where` is its place in the file."""

    name: str
    camera_id: int
    quat: tuple[float, ...]  # w x y z
    translation: tuple[float, ...]
    where: str = ""


@dataclass(frozen=True)
class Points:
    """The model's points in its own frame. `notes` say what is unusual about some of them."""

    positions: np.ndarray  # [N, 3] float64
    colors: np.ndarray  # [N, 3] uint8
    errors: np.ndarray  # [N] pixels; negative: unknown
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BadPose:
    """An image of which the file says nothing that can be understood."""

    name: str
    error: UserError


def read_lenses(model: Path) -> dict[int, Lens | UserError]:
    """Lenses by their number, and what is wrong with those that cannot be used. UserError for damaged files and unknown lenses."""
    return dict(_read(_path(model, "cameras"), _cameras_binary, _cameras_text))


def read_poses(model: Path) -> list[Pose | BadPose]:
    """The images in the file's order. UserError for damaged files."""
    return _read(_path(model, "images"), _images_binary, _images_text)


def read_points(model: Path) -> Points | None:
    """The points; None when the model has no file of them. UserError for damaged files."""
    return _read(_path(model, "points3D"), _points_binary, _points_text) if file_of(model, "points3D") else None


def file_of(model: Path, name: str) -> Path | None:
    return next((path for ending in (".bin", ".txt") if (path := model / (name + ending)).is_file()), None)


def image_count(model: Path) -> int:
    """Images of a model, without reading all of it; 0 when it is damaged."""
    path = file_of(model, "images")
    try:
        if path is None or path.suffix == ".txt":
            return len(_lines(path)) // 2 if path else 0
        with open(admitted(path), "rb") as file:
            return int.from_bytes(file.read(8), "little")
    except (OSError, ValueError):
        return 0


def _path(model: Path, name: str) -> Path:
    return file_of(model, name) or model / f"{name}.bin"


def _read(path: Path, binary: Callable[[_Bytes], T], text: Callable[[Path], T]) -> T:
    """One of a model's files, binary or text; UserError when it is cut off or damaged."""
    try:
        return text(path) if path.suffix == ".txt" else binary(_Bytes(path))
    except OSError as error:
        raise disk_error(path, error) from error
    except (StructError, ValueError, IndexError, MemoryError, OverflowError):
        raise UserError(f"{path} is cut off or damaged.", "Export the COLMAP model again.", "colmap.damaged", path=path) from None


def _lines(path: Path) -> list[Line]:
    """Every line but comments, with its number; empty lines stay (an image without points has one)."""
    return [(number, line) for number, line in enumerate(read_text(path).splitlines(), 1) if not line.lstrip().startswith("#")]


def _at(path: Path, number: int) -> str:
    return f"{path.name}, line {number}"


def number_in(word: str) -> float:
    """A number as programs write it, the NaN and infinity of Windows' among them; ValueError for what is none."""
    try:
        return float(word)
    except ValueError:
        if NO_NUMBER.fullmatch(word):
            return math.nan
        raise


def _sound(number: int, lens: Lens, where: str, shown: str) -> Lens | UserError:
    """The lens, or what is wrong with its parameters; `shown` are these as the file has them."""
    usual = PARAMETERS.get(lens.model, len(lens.params))
    if len(lens.params) != usual:
        return UserError(f"{where}: camera {number} is {lens.model}, which has {usual} parameters, and not {len(lens.params)}: {shown}.",
                         "Write its parameters as COLMAP does, or name the model that has so many.",
                         "colmap.parameters", camera=number, model=lens.model, usual=usual, count=len(lens.params), where=where,
                         shown=shown)
    finite = all(map(math.isfinite, lens.params))
    if min(lens.width, lens.height) < 1 or not finite or (lens.params and min(lens.pinhole[:2]) <= 0):
        return UserError(f"{where}: camera {number} ({lens.model}) has impossible intrinsics: {lens.width} x {lens.height}, {shown}.", REDO,
                         "colmap.intrinsics", camera=number, where=where, model=lens.model, width=lens.width, height=lens.height,
                         shown=shown)
    return lens


class _Bytes:
    """A binary file read from front to back; StructError at its end."""

    def __init__(self, path: Path):
        self.path, self.data, self.offset = path, admitted(path).read_bytes(), 0

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
        text = self.data[self.offset : end].decode("utf-8", "surrogateescape")
        self.offset = end + 1
        return text


COUNT, CAMERA, IMAGE, POINT = Struct("<Q"), Struct("<iiQQ"), Struct("<i7di"), Struct("<Q3d3BdQ")


def _cameras_binary(file: _Bytes) -> list[FoundLens]:
    lenses: list[FoundLens] = []
    for row in range(file.unpack(COUNT)[0]):
        number, model, width, height = file.unpack(CAMERA)
        name, count = MODELS.get(model, (f"number {model}", 0))
        if not count:
            raise UserError(f"The lens model {name} is not supported.", UNDISTORT, "colmap.lens", model=name)
        lens = Lens(name, width, height, file.unpack(Struct(f"<{count}d")))
        shown = " ".join(f"{value:g}" for value in lens.params)
        lenses.append((number, _sound(number, lens, f"{file.path.name}, entry {row + 1}", shown)))
    return lenses


def _cameras_text(path: Path) -> list[FoundLens]:
    lenses: list[FoundLens] = []
    for line, text in _lines(path):
        if words := text.split():
            where = _at(path, line)
            try:
                lens = Lens(words[1], int(words[2]), int(words[3]), tuple(map(number_in, words[4:])))
                lenses.append((int(words[0]), _sound(int(words[0]), lens, where, " ".join(words[4:]))))
            except (ValueError, IndexError):
                error = UserError(f"{where} is no camera: {readable(text.strip())}.",
                                  "A number, a model, width, height and parameters belong there.",
                                  "colmap.camera_line", where=where, line=readable(text.strip()))
                lenses.append((int(words[0]) if words[0].isdecimal() else -1 - line, error))
    return lenses


def _images_binary(file: _Bytes) -> list[Pose | BadPose]:
    poses: list[Pose | BadPose] = []
    for row in range(file.unpack(COUNT)[0]):
        _, *numbers, camera_id = file.unpack(IMAGE)
        name = file.name()
        file.skip(24 * file.unpack(COUNT)[0])  # the observations
        poses.append(Pose(name, camera_id, tuple(numbers[:4]), tuple(numbers[4:]), f"{file.path.name}, image {row + 1}"))
    return poses


def _images_text(path: Path) -> list[Pose | BadPose]:
    """Two lines an image: pose and name, then its observations, an empty line in exports without them, or (against the format) none."""
    poses: list[Pose | BadPose] = []
    observations = False
    for number, text in _lines(path):
        words = text.split()
        if observations and not _tells_a_pose(words):
            observations = False
        elif words:
            poses.append(_pose_in(text, _at(path, number)))
            observations = True
    return poses


def _pose_in(line: str, where: str) -> Pose | BadPose:
    words = line.strip().split(None, POSE_WORDS)
    name = "".join(words[POSE_WORDS:])
    try:
        numbers = tuple(map(number_in, words[1:8]))
        if len(numbers) < 7 or not name:
            raise ValueError
        return Pose(name, int(words[8]), numbers[:4], numbers[4:], where)
    except (ValueError, IndexError):
        error = UserError(f"{where} is no image: {readable(line.strip())}.",
                          "A number, a quaternion, a translation, a camera's number and a name belong there.",
                          "colmap.image_line", where=where, line=readable(line.strip()))
        return BadPose(name or where, error)


def _tells_a_pose(words: list[str]) -> bool:
    """Whether a line that should hold observations, which are numbers alone, names an image."""
    return len(words) > POSE_WORDS and not all(map(_is_number, words[POSE_WORDS:]))


def _is_number(word: str) -> bool:
    try:
        number_in(word)
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


def _points_text(path: Path) -> Points:
    lines = [(number, words) for number, line in _lines(path) if (words := line.split())]
    notes: tuple[str, ...] = ()
    try:
        numbers = np.array([words[1:8] for _, words in lines], float).reshape(-1, 7)
    except ValueError:
        numbers, notes = _unusual_points(path, lines)
    with np.errstate(invalid="ignore"):
        return Points(numbers[:, :3], numbers[:, 3:6].clip(0, 255).astype(np.uint8), numbers[:, 6], notes)


def _unusual_points(path: Path, lines: Sequence[tuple[int, list[str]]]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Points [N, 7], of lines that are not all as COLMAP writes them, and sentences about what the first line of each kind lacks."""
    rows, first, counts = list[list[float]](), dict[str, str](), Counter[str]()
    for number, words in lines:
        row = _point_in(words)
        lacks = LACKING[len(row)]
        counts[lacks] += 1
        first.setdefault(lacks, f"{_at(path, number)} {lacks}: {' '.join(words[:9])}")
        if row:
            rows.append([*row, *NOT_TOLD[len(row):]])
    said = (note + (f" (and {counts[lacks] - 1} more lines)" if counts[lacks] > 1 else "") for lacks, note in first.items() if lacks)
    return np.array(rows, float).reshape(-1, 7), tuple(said)


def _point_in(words: list[str]) -> list[float]:
    """Place, colour and error of a line, as far as it tells them: 7, 6, 3 or no numbers."""
    try:
        numbers = [number_in(word) for word in words[1:8]]
    except ValueError:
        return []
    return numbers[: next((count for count in (7, 6, 3) if len(numbers) >= count), 0)]
