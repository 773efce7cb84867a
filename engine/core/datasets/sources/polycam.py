"""Polycam's raw data: keyframes with a JSON of its camera for each image.

t_00 to t_23 are the rows of the 3 x 4 matrix from the camera to ARKit's world, whose Y is up; the camera looks along its -Z
(polyform, "Polycam's data format"). Corrected images and cameras are used where they are there, depth maps in millimetres too.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ...cameras.camera import Camera
from ...errors import UserError
from ...files import read_json
from ...images.image_size import image_size
from ..dataset import Dataset
from .assemble import CameraFile, PosedImage, assemble

KEYFRAMES = "keyframes"
CAMERAS = (("corrected_cameras", "corrected_images"), ("cameras", "images"))
DEPTH = "depth"
MEND = "Export the raw data from Polycam again."
Y_UP_TO_Z_UP = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
SAME_SHAPE = 0.01


def find_keyframes(path: Path) -> Path | None:
    """The folder of cameras in an export, or in its folder keyframes; None when there is none."""
    if not path.is_dir():
        return None
    root = path / KEYFRAMES if (path / KEYFRAMES).is_dir() else path if path.name == KEYFRAMES else None
    if root is None:
        return None
    return next((root / name for name, _ in CAMERAS if any((root / name).glob("*.json"))), None)


def read_keyframes(cameras: Path) -> Dataset:
    """Read the cameras and the images beside them. A camera that is none is left out and named."""
    root = cameras.parent
    stems = sorted(file.stem for file in cameras.glob("*.json") if not file.name.startswith("."))

    def camera_of(stem: str, _: Path) -> PosedImage:
        camera = _camera(cameras / f"{stem}.json")
        return PosedImage(camera, depth=_depth(root / DEPTH / f"{stem}.png", camera))

    found = assemble(CameraFile.of(cameras, root / dict(CAMERAS)[cameras.name], stems), camera_of)
    return replace(found, folder=root.parent if root.name == KEYFRAMES else root)


def _camera(file: Path) -> Camera:
    values = read_json(file, "camera", MEND, foreign=True)
    try:
        pose = np.eye(4)
        pose[:3] = [[float(values[f"t_{row}{column}"]) for column in range(4)] for row in range(3)]
        fl_x, fl_y, cx, cy = (float(values[name]) for name in ("fx", "fy", "cx", "cy"))
        return Camera(round(float(values["width"])), round(float(values["height"])), fl_x, fl_y, cx, cy, Y_UP_TO_Z_UP @ pose)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file} is no camera: {error} is missing or no number.", MEND, "polycam.camera",
                        path=file, problem=error) from None


def _depth(file: Path, camera: Camera) -> Path | None:
    """A depth map that has the image's shape."""
    size = image_size(file)
    fits = size is not None and abs(size[0] * camera.height / (size[1] * camera.width) - 1) < SAME_SHAPE
    return file if fits else None
