"""LLFF's poses_bounds.npy: a row of 17 numbers for each image, in the order of the images' names.

Fifteen are a 3 x 5 matrix row by row: the camera's down, right and backwards axes and its place in the world, then height, width and
focal length in pixels; two are the nearest and farthest depth, which are not needed (LLFF's README, "Already have poses").
The world is COLMAP's, Y down.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ...cameras.camera import Camera
from ...confinement import admitted
from ...errors import UserError
from ...files import disk_error
from ...formats.npy import parse_npy
from ...splats.transform import PLY_TO_BLENDER
from ..dataset import Dataset
from ..file_types import PHOTOS
from ..folder_index import visible
from .assemble import CameraFile, PosedImage, assemble, pose_of

FILE = "poses_bounds.npy"
COLUMNS = 17
MOST_BYTES = 64 << 20
MEND = "Make it again with LLFF's imgs2poses.py, or find the cameras anew: splatwright poses PHOTOS DATASET."


def find_poses_bounds(path: Path) -> Path | None:
    """The file that a path is or a folder holds."""
    file = path / FILE if path.is_dir() else path
    return file if file.name == FILE and file.is_file() else None


def read_poses_bounds(path: Path) -> Dataset:
    """Read the poses and the images beside them. A row that is no camera is left out and named; UserError when the numbers differ."""
    rows = _rows(path)
    images = _images(path.parent, len(rows))
    numbers = {image.name: number for number, image in enumerate(images)}

    def camera_of(name: str, _: Path) -> PosedImage:
        return PosedImage(_camera(rows[numbers[name]], f"Row {numbers[name] + 1} of {path.name}"))

    found = assemble(CameraFile.of(path, images[0].parent, numbers), camera_of)
    return replace(found, folder=path.parent)


def _camera(row: np.ndarray, where: str) -> Camera:
    matrix = row[:15].reshape(3, 5)
    down, right, back, place = matrix[:, :4].T
    height, width, focal = matrix[:, 4]
    if not np.isfinite(row).all() or min(height, width, focal) <= 0:
        raise UserError(f"{where} is no camera: its size or its focal length is zero.", MEND, "llff.row", where=where)
    pose = PLY_TO_BLENDER @ pose_of(np.stack([right, -down, back], axis=1), place)
    return Camera(round(width), round(height), focal, focal, width / 2, height / 2, pose)


def _rows(path: Path) -> np.ndarray:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("too large")
        rows = parse_npy(admitted(path).read_bytes())
    except OSError as error:
        raise disk_error(path, error) from error
    except ValueError:
        raise UserError(f"{path} is no array of numbers.", MEND, "llff.damaged", path=path) from None
    if rows.ndim != 2 or rows.shape[1] != COLUMNS or rows.dtype.kind not in "fiu" or not len(rows):
        raise UserError(f"{path} does not hold rows of {COLUMNS} numbers.", MEND, "llff.shape", path=path)
    return rows.astype(np.float64)


def _images(folder: Path, count: int) -> list[Path]:
    """The images, in the folder images, a smaller copy of it or beside the poses, of which there are as many as rows."""
    places = [folder / "images", *sorted(folder.glob("images_*")), folder]
    found = [sorted(place / name for name in visible([each.name for each in place.glob("*")]) if Path(name).suffix.lower() in PHOTOS)
             for place in places]
    matching = next((files for files in found if len(files) == count), None)
    if matching is None:
        there = ", ".join(f"{len(files)} in {place.name}" for files, place in zip(found, places, strict=True) if files) or "none"
        raise UserError(f"{FILE} holds {count} poses, and there are other numbers of images: {there}.",
                        f"Put just the images that the poses belong to into {folder / 'images'}.", "llff.count", count=count, there=there,
                        folder=folder / 'images')
    return matching
