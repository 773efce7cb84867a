"""RealityScan's and RealityCapture's registration "Internal/External camera parameters": a CSV, and a PLY of points beside it.

Columns: name, x, y, alt, heading, pitch, roll in degrees, f in millimetres of 35 mm film, px and py, the principal point's distance from
the middle as a share of the longer side, and Brown's k1 to k4, t1, t2. The turn from the camera (OpenGL's axes) to the world (Z up) is
Rz(-heading) Rx(pitch) Ry(roll); the program's own published matrix, world to camera, says the same.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from ...cameras.camera import Camera
from ...cameras.lenses import brown_lens
from ...confinement import admitted
from ...errors import UserError
from ...files import disk_error, read_text
from ...images.image_size import image_size
from ..dataset import Dataset
from .assemble import CameraFile, PosedImage, assemble, pose_of, the_one
from .points import exported_points

POSE = ("name", "x", "y", "alt", "heading", "pitch", "roll")
REQUIRED = (*POSE, "f")
NUMBERS = {*REQUIRED[1:], "px", "py", "k1", "k2", "k3", "k4", "t1", "t2"}
FILM = 36.0
"""Millimetres of the longer side."""
MEND = "Export the registration again: Internal/External camera parameters."
HEAD = 4096


def find_registration(path: Path) -> Path | None:
    """The CSV of cameras that a path is or a folder holds; None when there is none. UserError for more than one."""
    if path.is_file():
        return path if path.suffix.lower() == ".csv" and _header(path) else None
    found = [file for file in sorted(path.glob("*.[cC][sS][vV]")) if not file.name.startswith(".") and _header(file)]
    return the_one(path, found)


def read_registration(path: Path) -> Dataset:
    """Read the CSV; the images lie beside it or below its folder. Lines that are no camera are left out and named."""
    columns, rows = _header(path), _rows(path)
    assert columns is not None, path
    if "f" not in columns:
        raise UserError(f"{path.name} holds poses without focal lengths (column f).", MEND, "realityscan.focal", path=path, file=path.name)
    named = [(words[columns.index("name")].strip(), number, words) for number, words in rows if len(words) > columns.index("name")]
    by_name = {name: (number, words) for name, number, words in reversed(named)}

    def camera_of(name: str, image: Path) -> PosedImage:
        number, words = by_name[name]
        return PosedImage(_camera(_row(columns, words, f"Line {number} of {path.name}"), image))

    return assemble(CameraFile.of(path, path.parent, [name for name, *_ in named]), camera_of, exported_points(path.parent))


def rotation(heading: float, pitch: float, roll: float) -> np.ndarray:
    """The turn [3, 3] from the camera in OpenGL's axes to the world, of angles in degrees."""
    (ch, cp, cr), (sh, sp, sr) = (tuple(f(math.radians(angle)) for angle in (heading, pitch, roll)) for f in (math.cos, math.sin))
    about_z = np.array([[ch, sh, 0], [-sh, ch, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_y = np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]])
    return about_z @ about_x @ about_y


def _camera(n: dict[str, float], image: Path) -> Camera:
    size = image_size(image)
    if size is None:
        raise UserError(f"The size of {image} is not known.", "Convert the images to PNG or JPEG.", "source.image_size", path=image)
    width, height = size
    longer = max(size)
    focal = n["f"] * longer / FILM
    pinhole = (focal, focal, width / 2 + n.get("px", 0.0) * longer, height / 2 + n.get("py", 0.0) * longer)
    radial, tangential = tuple(n.get(f"k{i}", 0.0) for i in range(1, 5)), (n.get("t1", 0.0), n.get("t2", 0.0))
    (fl_x, fl_y, cx, cy), distortion = brown_lens(size, pinhole, radial, tangential)
    pose = pose_of(rotation(n["heading"], n["pitch"], n["roll"]), np.array([n["x"], n["y"], n["alt"]]))
    return Camera(width, height, fl_x, fl_y, cx, cy, pose, distortion)


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Numbers and words of the lines that are neither comments nor the header."""
    try:
        lines = read_text(path).splitlines()
    except OSError as error:
        raise disk_error(path, error) from error
    return [(number, words) for number, words in enumerate(csv.reader(lines), 1)
            if words and not words[0].lstrip().startswith("#") and _columns(words) is None]


def _row(columns: list[str], words: list[str], where: str) -> dict[str, float]:
    try:
        values = {column: word for column, word in zip(columns, words, strict=True) if column in NUMBERS and word.strip()}
        numbers = {column: float(word) for column, word in values.items()}
    except ValueError:
        numbers = {}
    if not all(column in numbers for column in REQUIRED[1:]):
        raise UserError(f"{where} is no camera: it does not hold the {len(columns)} values that the header names: {','.join(words)[:200]}.",
                        MEND, "realityscan.row", where=where, count=len(columns), words=",".join(words)[:200])
    return numbers


def _header(path: Path) -> list[str] | None:
    """The columns, by the first lines of the file; None when it holds no cameras."""
    try:
        with open(admitted(path), encoding="utf-8-sig", errors="replace") as file:
            lines = file.read(HEAD).splitlines()
    except OSError:
        return None
    return next((columns for line in lines[:3] if (columns := _columns(line.split(",")))), None)


def _columns(words: list[str]) -> list[str] | None:
    names = [word.strip().lstrip("#").strip().lower() for word in words]
    return names if all(name in names for name in POSE) else None


