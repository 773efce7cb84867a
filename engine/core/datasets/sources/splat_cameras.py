"""cameras.json, which trainers write beside their splats and web viewers read.

A list of {img_name, width, height, position, rotation, fx, fy}: `position` is the camera's place and `rotation` the 3 x 3 matrix from the
camera (x right, y down, z forward) to the world, row by row; the world is COLMAP's, Y down (the viewer antimatter15/splat, main.js).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...cameras.camera import FLIP_YZ, Camera
from ...errors import UserError
from ...splats.transform import PLY_TO_BLENDER
from ..dataset import Dataset, LeftOut
from .assemble import CameraFile, PosedImage, assemble, pose_of
from .json_list import begins_a_list, read_list
from .points import exported_points

FILE = "cameras.json"
KEYS = ("img_name", "position", "rotation")
MEND = "Each camera needs img_name, width, height, position, rotation, fx and fy."


def find_cameras_json(path: Path) -> Path | None:
    """The list of cameras that a path is or a folder holds; None when there is none."""
    file = path / FILE if path.is_dir() else path
    return file if file.suffix.lower() == ".json" and file.is_file() and begins_a_list(file, *KEYS) else None


def read_cameras_json(path: Path) -> Dataset:
    """Read the cameras; the images lie beside the file or below its folder. What is no camera is left out and named."""
    listed = [(f"Camera {number} of {path.name}", values) for number, values in enumerate(read_list(path, "cameras", MEND), 1)]
    named = [(str(values["img_name"]), where, values) for where, values in listed if values.get("img_name")]
    by_name = {name: (where, values) for name, where, values in reversed(named)}
    nameless = [LeftOut(where, f"{where} lacks its img_name") for where, values in listed if not values.get("img_name")]

    def camera_of(name: str, _: Path) -> PosedImage:
        where, values = by_name[name]
        return PosedImage(_camera(values, where))

    return assemble(CameraFile.of(path, path.parent, [name for name, *_ in named], nameless), camera_of,
                    exported_points(path.parent, PLY_TO_BLENDER[:3, :3]))


def _camera(values: dict[str, Any], where: str) -> Camera:
    try:
        width, height, fl_x, fl_y = (float(values[name]) for name in ("width", "height", "fx", "fy"))
        rotation, position = np.array(values["rotation"], float).reshape(3, 3), np.array(values["position"], float).reshape(3)
        cx, cy = float(values.get("cx", width / 2)), float(values.get("cy", height / 2))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where} lacks a value, or holds one that is no number: {error}.", MEND, "cameras_json.camera",
                        where=where, problem=error) from None
    return Camera(round(width), round(height), fl_x, fl_y, cx, cy, PLY_TO_BLENDER @ pose_of(rotation, position) @ FLIP_YZ)
