"""RealEstate10K's camera files: one line a frame, with times and with intrinsics as shares of the image's size.

The first line is the address of the video, then come 19 columns: timestamp in microseconds, fl_x / width, fl_y / height, cx / width,
cy / height, two zeros, and the 3 x 4 matrix from the world to an OpenCV camera, row by row
(google.github.io/realestate10k/download.html). Its world is any; it is read and written as COLMAP's (Y down).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..cameras.camera import FLIP_YZ, Camera
from ..confinement import admitted
from ..errors import UserError
from ..files import disk_error, read_text, write_text
from ..images.image_size import image_size
from ..splats.transform import PLY_TO_BLENDER
from .dataset import Dataset, LeftOut, PointCloud, View, held_out_names
from .folder_index import FolderIndex, visible
from .mask_search import find_masks
from .name_spelling import readable
from .start_points import points_beside

COLUMNS = 19
MEND = "Each line after the first holds a time, four intrinsics, two zeros and a 3 x 4 matrix."
ANY_SIZE = (1280, 720)
"""Pixels for cameras whose images nobody has: most of the data set's videos have this shape."""

ORTHONORMAL = 1e-3


@dataclass(frozen=True)
class Shots:
    """The frames of one video with their cameras, all of one image size."""

    url: str
    times: tuple[int, ...]  # microseconds
    cameras: tuple[Camera, ...]


def is_camera_file(path: Path) -> bool:
    """Whether a text file looks like one of RealEstate10K's, by its first two lines."""
    try:
        with open(admitted(path), encoding="utf-8-sig") as file:
            lines = [file.readline(4096) for _ in range(2)]
    except (OSError, UnicodeDecodeError):
        return False
    return any(len(line.split()) == COLUMNS for line in lines)


def find_camera_file(folder: Path) -> Path | None:
    """The one camera file of a folder; None when there is none, or more than one."""
    found = [path for path in sorted(folder.glob("*.txt")) if is_camera_file(path)]
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True)
class _Line:
    """A line of a camera file: its numbers, or what is wrong with it."""

    where: str
    row: tuple[float, ...] = ()
    error: UserError | None = None

    @property
    def time(self) -> int | None:
        """Microseconds; None for a line that is no camera."""
        return int(self.row[0]) if self.row else None


def read_cameras(path: Path, size: tuple[int, int] = ANY_SIZE) -> Shots:
    """Read a camera file for images of `size` pixels. UserError names the first line that is wrong."""
    url, lines = _read_lines(path)
    rows = [_sound_row(line) for line in lines]
    cameras = tuple(_camera(row, size, line.where) for row, line in zip(rows, lines, strict=True))
    return Shots(url, tuple(int(row[0]) for row in rows), cameras)


def read_real_estate(path: Path) -> Dataset:
    """Read a camera file and its frames: images named by their time, in a folder of the file's name, in images/ or beside it, else in
    whatever folder below holds most of them.

    Where no name is a time and there are as many images as cameras, they follow each other in the order of their names. Lines that are no
    camera are left out and named. UserError when no image is there, or no line is a camera.
    """
    _, lines = _read_lines(path)
    _cameras(lines, ANY_SIZE)  # tells lines of which none is a camera
    folder, images = _images(path, [line.time for line in lines])
    if not images:
        first = next(line.time for line in lines if line.row)
        raise UserError(f"None of the {len(lines)} frames of {path} is there. {FolderIndex(path.parent).contents()}.",
                        f"Put images that are named by their time, such as {first}.png, into {path.with_suffix('')}.",
                        "realestate.no_images", count=len(lines), path=path, contents=FolderIndex(path.parent).contents(), first=first,
                        folder=path.with_suffix(""))
    size = next(filter(None, map(image_size, images.values())), None)
    if size is None:
        raise UserError(f"The size of {next(iter(images.values()))} is not known.", "Convert the images to PNG or JPEG.",
                        "realestate.size", next=next(iter(images.values())))
    sound, errors = _cameras(lines, size)
    cameras = {index: camera for index, camera in sound.items() if index in images}
    left_out = [LeftOut(images[index].name if index in images else lines[index].where, error.message) for index, error in errors.items()]
    ending = next((image.suffix for image in images.values()), "")
    held_out = held_out_names([images[index].name if index in images else f"{line.time or line.where}{ending}"
                               for index, line in enumerate(lines)])
    masks = find_masks(path.parent, [images[index] for index in cameras])
    views = tuple(View(images[index].name, images[index], camera, images[index].name in held_out, mask=masks.paths.get(images[index]))
                  for index, camera in cameras.items())
    missing = tuple(str(line.time) for index, line in enumerate(lines) if line.row and index not in images)
    return Dataset(folder, views, _points(folder, path.parent), missing=missing, left_out=(*left_out, *masks.notes))


def _points(*folders: Path) -> PointCloud | None:
    """Start points of a PLY beside the cameras, in their frame, turned into Blender's world."""
    points = points_beside(list(dict.fromkeys(folders)))
    return points and PointCloud((points.positions @ PLY_TO_BLENDER[:3, :3].T).astype(np.float32), points.colors)


def _cameras(lines: Sequence[_Line], size: tuple[int, int]) -> tuple[dict[int, Camera], dict[int, UserError]]:
    """Cameras by the place of their line, and what is wrong with the other lines; UserError when none is left."""
    cameras: dict[int, Camera] = {}
    errors: dict[int, UserError] = {}
    for index, line in enumerate(lines):
        try:
            cameras[index] = _camera(_sound_row(line), size, line.where)
        except UserError as error:
            errors[index] = error
    if not cameras:
        raise errors[0]
    return cameras, errors


def write_real_estate(path: Path, shots: Shots) -> None:
    """Write a camera file. UserError for lenses that it cannot hold."""
    for camera in shots.cameras:
        if camera.orthographic or camera.distortion:
            raise UserError("RealEstate10K's files hold neither lens distortion nor orthographic cameras.", "Undistort the images first.",
                            "realestate.lens")
    lines = [_line(time, camera) for time, camera in zip(shots.times, shots.cameras, strict=True)]
    write_text(path, "".join(f"{line}\n" for line in (shots.url, *lines)))


def _line(time: int, camera: Camera) -> str:
    intrinsics = (camera.fl_x / camera.width, camera.fl_y / camera.height, camera.cx / camera.width, camera.cy / camera.height, 0.0, 0.0)
    matrix = (camera.viewmat @ PLY_TO_BLENDER)[:3]
    return " ".join([str(time), *(repr(float(value)) for value in (*intrinsics, *matrix.ravel()))])


def _read_lines(path: Path) -> tuple[str, list[_Line]]:
    """The video's address, and the lines after it; UserError when there are none."""
    try:
        texts = read_text(path).splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text file.", MEND, "realestate.no_text", path=path) from None
    except OSError as error:
        raise disk_error(path, error) from error
    url = texts[0].strip() if texts and len(texts[0].split()) != COLUMNS else ""
    lines = [_line_of(path, number, text.split()) for number, text in enumerate(texts, 1) if text.strip() and not (number == 1 and url)]
    if not lines:
        raise UserError(f"{path} holds no cameras.", MEND, "realestate.no_cameras", path=path)
    return readable(url), lines


def _line_of(path: Path, number: int, words: list[str]) -> _Line:
    where = f"Line {number} of {path}"
    try:
        row = tuple(float(word) for word in words)
        if len(row) == COLUMNS and np.isfinite(row).all():
            return _Line(where, row)
    except ValueError:
        pass
    shown = readable(" ".join(words))[:200]
    return _Line(where, error=UserError(f"{where} is no camera: it does not hold {COLUMNS} numbers: {shown}.", MEND, "realestate.columns",
                                        where=where, shown=shown))


def _sound_row(line: _Line) -> tuple[float, ...]:
    if line.error:
        raise line.error
    return line.row


def _camera(row: Sequence[float], size: tuple[int, int], where: str) -> Camera:
    fl_x, fl_y, cx, cy = np.multiply(row[1:5], (*size, *size)).tolist()
    world_to_camera = np.eye(4)
    world_to_camera[:3] = np.reshape(row[7:], (3, 4))
    rotation = world_to_camera[:3, :3]
    if min(fl_x, fl_y) <= 0:
        raise UserError(f"{where} has impossible intrinsics.", MEND, "realestate.intrinsics", where=where)
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > ORTHONORMAL or np.linalg.det(rotation) < 0:
        raise UserError(f"{where} has a pose that is no rotation.", MEND, "realestate.pose", where=where)
    return Camera(*size, fl_x, fl_y, cx, cy, PLY_TO_BLENDER @ np.linalg.inv(world_to_camera) @ FLIP_YZ)


def _images(path: Path, times: Sequence[int | None]) -> tuple[Path, dict[int, Path]]:
    """The folder of the images, and where they are, by the places of their lines."""
    usual = [path.with_suffix(""), path.parent / "images", path.parent]
    best, found = _fullest({folder: [file for file in sorted(folder.glob("*")) if visible([file.name])] for folder in usual}, times)
    if found:
        return best, found
    below: dict[Path, list[Path]] = {}
    for photo in FolderIndex(path.parent).photos:
        below.setdefault((path.parent / photo).parent, []).append(path.parent / photo)
    return _fullest(below, times)


def _fullest(folders: Mapping[Path, Sequence[Path]], times: Sequence[int | None]) -> tuple[Path, dict[int, Path]]:
    """The folder that holds most of the images, and these."""
    found = {folder: _by_time(files, times) or (dict(enumerate(files)) if len(files) == len(times) else {})
             for folder, files in folders.items()}
    best = max(found, key=lambda folder: len(found[folder]), default=Path())
    return best, found.get(best, {})


def _by_time(files: Sequence[Path], times: Sequence[int | None]) -> dict[int, Path]:
    """Images whose name ends with a time."""
    named = {int(match[1]): file for file in files if (match := re.search(r"(\d+)$", file.stem))}
    return {index: named[time] for index, time in enumerate(times) if time is not None and time in named}
