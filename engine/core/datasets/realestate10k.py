"""RealEstate10K's camera files: one line a frame, with times and with intrinsics as shares of the image's size.

The first line is the address of the video, then come 19 columns: timestamp in microseconds, fl_x / width, fl_y / height, cx / width,
cy / height, two zeros, and the 3 x 4 matrix from the world to an OpenCV camera, row by row
(google.github.io/realestate10k/download.html). Its world is any; it is read and written as COLMAP's (Y down).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..cameras.camera import FLIP_YZ, Camera
from ..errors import UserError
from ..files import disk_error, write_text
from ..images.image_size import image_size
from ..splats.transform import PLY_TO_BLENDER
from .dataset import Dataset, View, held_out_names
from .file_types import PHOTOS

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
        with open(path, encoding="utf-8-sig") as file:
            lines = [file.readline(4096) for _ in range(2)]
    except (OSError, UnicodeDecodeError):
        return False
    return any(len(line.split()) == COLUMNS for line in lines)


def find_camera_file(folder: Path) -> Path | None:
    """The one camera file of a folder; None when there is none, or more than one."""
    found = [path for path in sorted(folder.glob("*.txt")) if is_camera_file(path)]
    return found[0] if len(found) == 1 else None


def read_cameras(path: Path, size: tuple[int, int] = ANY_SIZE) -> Shots:
    """Read a camera file for images of `size` pixels. UserError names the first line that is wrong."""
    lines = _lines(path)
    url = lines[0].strip() if lines and len(lines[0].split()) != COLUMNS else ""
    numbered = [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip() and not (number == 1 and url)]
    if not numbered:
        raise UserError(f"{path} holds no cameras.", MEND)
    rows = [_numbers(path, number, words) for number, words in numbered]
    cameras = tuple(_camera(row, size, f"Line {number} of {path}") for (number, _), row in zip(numbered, rows, strict=True))
    return Shots(url, tuple(int(row[0]) for row in rows), cameras)


def read_real_estate(path: Path) -> Dataset:
    """Read a camera file and its frames: images named by their time, in a folder of the file's name, in images/ or beside it.

    Where no name is a time and there are as many images as cameras, they follow each other in the order of their names. UserError
    when no image is there.
    """
    times = read_cameras(path).times
    folder, images = _images(path, times)
    if not images:
        raise UserError(f"None of the {len(times)} frames of {path} is there.",
                        f"Put images that are named by their time, such as {times[0]}.png, into {path.with_suffix('')}.")
    size = image_size(next(iter(images.values())))
    if size is None:
        raise UserError(f"The size of {next(iter(images.values()))} is not known.", "Convert the images to PNG or JPEG.")
    shots = read_cameras(path, size)
    held_out = held_out_names([image.name for image in images.values()])
    views = tuple(View(images[time].name, images[time], camera, images[time].name in held_out)
                  for time, camera in zip(shots.times, shots.cameras, strict=True) if time in images)
    return Dataset(folder, views, missing=tuple(str(time) for time in times if time not in images))


def write_real_estate(path: Path, shots: Shots) -> None:
    """Write a camera file. UserError for lenses that it cannot hold."""
    for camera in shots.cameras:
        if camera.orthographic or camera.distortion:
            raise UserError("RealEstate10K's files hold neither lens distortion nor orthographic cameras.", "Undistort the images first.")
    lines = [_line(time, camera) for time, camera in zip(shots.times, shots.cameras, strict=True)]
    write_text(path, "".join(f"{line}\n" for line in (shots.url, *lines)))


def _line(time: int, camera: Camera) -> str:
    intrinsics = (camera.fl_x / camera.width, camera.fl_y / camera.height, camera.cx / camera.width, camera.cy / camera.height, 0.0, 0.0)
    matrix = (camera.viewmat @ PLY_TO_BLENDER)[:3]
    return " ".join([str(time), *(repr(float(value)) for value in (*intrinsics, *matrix.ravel()))])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text file.", MEND) from None
    except OSError as error:
        raise disk_error(path, error) from error


def _numbers(path: Path, number: int, words: list[str]) -> list[float]:
    try:
        row = [float(word) for word in words]
    except ValueError:
        row = []
    if len(row) != COLUMNS or not np.isfinite(row).all():
        raise UserError(f"Line {number} of {path} is no camera: it does not hold {COLUMNS} numbers.", MEND)
    return row


def _camera(row: Sequence[float], size: tuple[int, int], where: str) -> Camera:
    fl_x, fl_y, cx, cy = np.multiply(row[1:5], (*size, *size)).tolist()
    world_to_camera = np.eye(4)
    world_to_camera[:3] = np.reshape(row[7:], (3, 4))
    rotation = world_to_camera[:3, :3]
    if min(fl_x, fl_y) <= 0:
        raise UserError(f"{where} has impossible intrinsics.", MEND)
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > ORTHONORMAL or np.linalg.det(rotation) < 0:
        raise UserError(f"{where} has a pose that is no rotation.", MEND)
    return Camera(*size, fl_x, fl_y, cx, cy, PLY_TO_BLENDER @ np.linalg.inv(world_to_camera) @ FLIP_YZ)


def _images(path: Path, times: tuple[int, ...]) -> tuple[Path, dict[int, Path]]:
    """The folder of the images, and by time where they are."""
    found: dict[Path, dict[int, Path]] = {}
    for folder in (path.with_suffix(""), path.parent / "images", path.parent):
        files = sorted(file for file in folder.glob("*") if file.suffix.lower() in PHOTOS)
        found[folder] = _by_time(files, times) or (dict(zip(times, files, strict=True)) if len(files) == len(times) else {})
    best = max(found, key=lambda folder: len(found[folder]))
    return best, found[best]


def _by_time(files: Sequence[Path], times: tuple[int, ...]) -> dict[int, Path]:
    """Images whose name ends with a time."""
    named = {int(match[1]): file for file in files if (match := re.search(r"(\d+)$", file.stem))}
    return {time: named[time] for time in times if time in named}
