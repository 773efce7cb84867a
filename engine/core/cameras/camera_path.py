"""Camera animations as nerfstudio's viewer and `ns-render camera-path` read them: camera_path.json."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..files import disk_error, write_text
from ..parsing import parse_object
from .camera import Camera

CENTRED = 1e-3
"""Pixels by which a centre may be off the middle, and relative difference of both focal lengths."""


@dataclass(frozen=True)
class ModelFrame:
    """Where a nerfstudio model has its scene: the world turned, moved and then scaled before training."""

    world_to_model: np.ndarray  # [3, 4]
    scale: float

    def pose(self, camera_to_world: np.ndarray) -> np.ndarray:
        """A pose [4, 4] of the world in the model."""
        moved = np.array(camera_to_world, float)
        moved[:3] = self.world_to_model[:, :3] @ moved[:3]
        moved[:3, 3] = self.scale * (moved[:3, 3] + self.world_to_model[:, 3])
        return moved


WORLD = ModelFrame(np.eye(4)[:3], 1.0)


def write_camera_path(path: Path, cameras: Sequence[Camera], fps: float, frame: ModelFrame = WORLD) -> None:
    """Write the animation of a camera, one entry a frame; poses are camera to world, row by row, the angle is the vertical one.

    `frame` is the one of the model that will be rendered. UserError for cameras that the format cannot hold: it knows neither lens
    shift nor changing sizes.
    """
    _check(cameras)
    first = cameras[0]
    values = {"camera_type": "perspective", "render_height": first.height, "render_width": first.width, "fps": fps,
              "seconds": len(cameras) / fps, "smoothness_value": 0, "is_cycle": False, "crop": None, "keyframes": [],
              "camera_path": [_entry(camera, frame) for camera in cameras]}
    write_text(path, json.dumps(values, indent=1))


def read_model_frame(path: Path) -> ModelFrame:
    """The frame of a nerfstudio training, from its dataparser_transforms.json."""
    try:
        values = parse_object(path.read_text(encoding="utf-8"))
        matrix, scale = np.array(values["transform"], float), float(values["scale"])
        if matrix.shape not in ((3, 4), (4, 4)) or not (np.isfinite(matrix).all() and scale > 0):
            raise ValueError
    except OSError as error:
        raise disk_error(path, error) from error
    except (ValueError, KeyError, TypeError, OverflowError):
        raise UserError(f"{path} is no dataparser_transforms.json.", "Choose the file that lies beside the model's config.yml.",
                        "camera_path.no_model_frame", path=path) from None
    return ModelFrame(matrix[:3], scale)


def _check(cameras: Sequence[Camera]) -> None:
    if not cameras:
        raise UserError("There are no frames to write.", "Choose a range of frames with at least one.", "camera_path.no_frames")
    if len({(camera.width, camera.height) for camera in cameras}) > 1:
        raise UserError("The cameras have different image sizes, which a camera path cannot hold.", "Give all the same size.",
                        "camera_path.sizes")
    for camera in cameras:
        shifted = max(abs(camera.cx - camera.width / 2), abs(camera.cy - camera.height / 2)) > CENTRED
        if camera.orthographic or camera.distortion or shifted or abs(camera.fl_x / camera.fl_y - 1) > CENTRED:
            raise UserError("nerfstudio's camera paths hold perspective cameras without shift, distortion and stretched pixels alone.",
                            "Set the camera's shift to 0 and the pixel aspect to 1, or write a RealEstate10K file.", "camera_path.lens")


def _entry(camera: Camera, frame: ModelFrame) -> dict[str, Any]:
    fov = math.degrees(2 * math.atan(camera.height / (2 * camera.fl_y)))
    pose = frame.pose(camera.camera_to_world)
    return {"camera_to_world": pose.ravel().tolist(), "fov": fov, "aspect": camera.width / camera.height}
