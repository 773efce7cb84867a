"""Cameras to render through: those of a dataset, a camera path that nerfstudio's viewer saved, or an orbit around the splats."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.cameras.camera import NEAREST, Camera, look_at
from ..core.cameras.distortion import undistorted_camera
from ..core.datasets.read import read_dataset
from ..core.datasets.recentring import moved_pose
from ..core.datasets.spread import unit_of
from ..core.datasets.transforms_json import read_cameras
from ..core.errors import UserError
from ..core.files import read_json
from ..core.splats.gaussians import Gaussians
from ..core.splats.offset import NO_OFFSET, Offset
from ..core.splats.transform import quats_from_matrices, rotation_matrices

Named = tuple[str, Camera]

CHOOSE = "Choose a transforms.json, or a camera path of nerfstudio's viewer."
SAVE_AGAIN = "Save the camera path again."

ELEVATION = math.radians(20)
FIELD_OF_VIEW = math.radians(45)
CORE = 0.9
"""Share of the splats, the innermost ones, that an orbit looks at: floaters do not push the camera away."""


def read_path(path: Path, all_views: bool = True) -> list[Named]:
    """Cameras without distortion by name: of a dataset's folder, a transforms.json with or without its images, or a camera path.

    Places are those of the files. `all_views`: of a dataset not only the held-out ones, where there are any. UserError for anything else.
    """
    if path.suffix != ".json":
        return _dataset_cameras(path, all_views)
    values = read_json(path, "cameras", CHOOSE)
    if "camera_path" in values:
        return camera_path(values, path)
    if "frames" in values:
        return [(name, undistorted_camera(camera)) for name, camera in read_cameras(path)]
    raise UserError(f"{path.name} holds neither frames nor a camera_path.", CHOOSE)


def beside_splats(cameras: list[Named], gaussians: Gaussians, offset: Offset) -> list[Named]:
    """Cameras in the frame of splats, with a near plane that fits them.

    An offset was taken from the splats' coordinates: it is taken from cameras in those of the source, others are there already.
    """
    if not cameras:
        return []
    middle, near = np.median([camera.position for _, camera in cameras], axis=0), near_plane(gaussians)
    by = np.zeros(3) if np.linalg.norm(middle) < np.linalg.norm(middle - offset) else -np.array(offset)
    return [(name, replace(camera, camera_to_world=moved_pose(camera.camera_to_world, by), near=near)) for name, camera in cameras]


def near_plane(gaussians: Gaussians) -> float:
    """Distance before which cameras draw nothing of splats whose cameras are not known."""
    return NEAREST * unit_of(bounds(gaussians)[1])


def _dataset_cameras(path: Path, all_views: bool) -> list[Named]:
    found = read_dataset(path, offset=NO_OFFSET)
    views = found.views if all_views or not found.eval_views else found.eval_views
    return [(Path(view.name).stem, undistorted_camera(view.camera)) for view in views]


def camera_path(values: dict[str, Any], path: Path) -> list[Named]:
    """nerfstudio's camera_path.json: row-major 4 x 4 poses and vertical fields of view in degrees, in the world of the splats."""
    kind = values.get("camera_type", "perspective")
    if kind != "perspective":
        raise UserError(f"{path.name} is a path of {kind} cameras.", "Save it with perspective cameras.")
    try:
        size = round(float(values["render_width"])), round(float(values["render_height"]))
        cameras = [_path_camera(frame, *size) for frame in values["camera_path"]]
    except (KeyError, TypeError, ValueError, OverflowError):
        raise UserError(f"{path.name} has frames without a valid pose, field of view or image size.", SAVE_AGAIN) from None
    if not cameras:
        raise UserError(f"{path.name} holds no frames.", "Add keyframes and save the camera path again.")
    return [(f"{index:05d}", camera) for index, camera in enumerate(cameras)]


def _path_camera(frame: dict[str, Any], width: int, height: int) -> Camera:
    pose = np.array(frame["camera_to_world"], float).reshape(4, 4)
    pose[:3, :3] /= np.cbrt(np.linalg.det(pose[:3, :3]))
    angle = math.radians(float(frame["fov"]))
    if not (np.isfinite(pose).all() and 0 < angle < math.pi and min(width, height) > 0):
        raise ValueError
    focal = 0.5 * height / math.tan(angle / 2)
    return Camera(width, height, focal, focal, width / 2, height / 2, pose)


def orbit(gaussians: Gaussians, count: int, width: int, height: int) -> list[Named]:
    """`count` cameras on a ring around the splats, Z up, far enough away to see nearly all of them."""
    centre, radius = bounds(gaussians)
    focal = 0.5 * min(width, height) / math.tan(FIELD_OF_VIEW / 2)
    distance = radius / math.sin(FIELD_OF_VIEW / 2)
    angles = np.arange(count) * (2 * math.pi / count) - math.pi / 2  # from the front
    level, up = math.cos(ELEVATION), math.sin(ELEVATION)
    places = centre + distance * np.stack([level * np.cos(angles), level * np.sin(angles), np.full(count, up)], axis=1)
    return [(f"{index:05d}", Camera(width, height, focal, focal, width / 2, height / 2, look_at(place, centre), near=near_plane(gaussians)))
            for index, place in enumerate(places)]


def bounds(gaussians: Gaussians) -> tuple[np.ndarray, float]:
    """Centre [3] and radius of the ball that holds most of the splats, those that hide much counting more."""
    opacity = 1 / (1 + np.exp(-gaussians.opacities.astype(np.float64).clip(-30, 30)))
    rows = np.flatnonzero(opacity >= np.median(opacity))
    centre = np.median(gaussians.means[rows].astype(np.float64), axis=0)
    distances = np.linalg.norm(gaussians.means[rows] - centre, axis=1)
    radius = float(np.quantile(distances, CORE) + np.exp(np.median(gaussians.scales[rows])))
    return centre, radius or 1.0


def flight(cameras: list[Named], count: int) -> list[Named]:
    """A smooth flight of `count` frames past all cameras: Catmull-Rom in place, straight in orientation, all with the first one's lens."""
    places = np.stack([camera.position for _, camera in cameras])
    quats = _continuous(quats_from_matrices(np.stack([camera.camera_to_world[:3, :3] for _, camera in cameras])))
    frames = []
    for index, time in enumerate(np.linspace(0, len(cameras) - 1, count)):
        before = min(int(time), max(0, len(cameras) - 2))
        pose = np.eye(4)
        pose[:3, 3] = _catmull_rom(places, before, time - before)
        pose[:3, :3] = rotation_matrices(_blend(quats, before, time - before)[None])[0]
        frames.append((f"{index:05d}", replace(cameras[0][1], camera_to_world=pose)))
    return frames


def _continuous(quats: np.ndarray) -> np.ndarray:
    """The same turns [N, 4] with signs that make neighbours near each other."""
    flips = np.where(np.einsum("nk,nk->n", quats[1:], quats[:-1]) < 0, -1.0, 1.0)
    return quats * np.concatenate([[1.0], np.cumprod(flips)])[:, None]


def _blend(quats: np.ndarray, before: int, share: float) -> np.ndarray:
    after = min(before + 1, len(quats) - 1)
    return quats[before] * (1 - share) + quats[after] * share


def _catmull_rom(points: np.ndarray, before: int, t: float) -> np.ndarray:
    """Catmull and Rom 1974, uniform: through every point, ends repeated."""
    p0, p1, p2, p3 = (points[min(max(before + offset, 0), len(points) - 1)] for offset in (-1, 0, 1, 2))
    return p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))


def fitted(camera: Camera, resolution: int, even: bool = False) -> Camera:
    """The camera with no more than `resolution` pixels on its longest side; with even sides where a film needs them."""
    factor = min(1.0, resolution / max(camera.width, camera.height))
    width, height = (max(1, round(side * factor)) for side in (camera.width, camera.height))
    return camera.resized(max(2, width // 2 * 2), max(2, height // 2 * 2)) if even else camera.resized(width, height)
