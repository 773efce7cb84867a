"""How large a dataset's scene is, by its cameras and points: measures that one or a few stray cameras do not change.

Nothing here depends on the unit of length or on where the origin is. Every threshold of length counts against one of these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..cameras.camera import NEAREST, Camera
from .dataset import Dataset, View

FEWEST = 6
"""Of fewer cameras nobody can say which is the stray one."""

STRAY = 2.5
"""Times the median distance from their middle beyond which cameras may be strays."""

GAP = 1.5
"""Times the distance of the farthest camera that is none: a row of cameras that thins out holds no strays."""

MOST_STRAYS = 0.1
"""Share of the cameras, rounded up, that may be strays: more are a part of the scene."""

USUAL = 5.0
"""Length of a scene in the units that settings were tuned in."""

LEAST_WEIGHT, PARALLEL = 1e-6, 1e-4
"""Of a fixed point beside the axes, so that parallel ones meet somewhere; and their share of the weight in its direction."""

POINTS = 500
"""Start points that distances are measured to."""


def strays(positions: np.ndarray) -> np.ndarray:
    """Mask [N] of the few cameras at positions [N, 3] that stand far away from all others, beyond a gap."""
    count = len(positions)
    none = np.zeros(count, bool)
    if count < FEWEST:
        return none
    away = np.linalg.norm(positions - np.median(positions, axis=0), axis=1)
    limit = STRAY * float(np.median(away))
    inner = away[away <= limit].max()
    outer = np.sort(away[away > limit])
    kept = inner
    for distance in outer:  # from the nearest on, as long as there is no gap
        if distance > max(GAP * kept, limit):
            break
        kept = distance
    found = away > kept
    return found if 0 < found.sum() <= math.ceil(MOST_STRAYS * count) else none


def steady(views: Sequence[View]) -> list[Camera]:
    """The cameras of views, without strays."""
    cameras = [view.camera for view in views]
    return steady_cameras(cameras)


def steady_cameras(cameras: Sequence[Camera]) -> list[Camera]:
    """Cameras without strays."""
    if not cameras:
        return []
    stray = strays(np.stack([camera.position for camera in cameras]))
    return [camera for camera, out in zip(cameras, stray, strict=True) if not out]


def camera_spread(cameras: Sequence[Camera]) -> float:
    """The median distance of cameras from their middle; 0 for none, and where they all stand on one spot. Unsound poses do not count."""
    positions = np.array([camera.position for camera in cameras], np.float64).reshape(-1, 3)
    positions = positions[np.isfinite(positions).all(axis=1)]
    return float(np.median(np.linalg.norm(positions - np.median(positions, axis=0), axis=1))) if len(positions) else 0.0


def focus_point(cameras: Sequence[Camera]) -> np.ndarray:
    """The point [3] nearest to all optical axes, by least squares; where they are parallel the one nearest to the cameras."""
    normal, target = np.eye(3) * LEAST_WEIGHT, np.zeros(3)
    for camera in cameras:
        axis = camera.camera_to_world[:3, 2] / np.linalg.norm(camera.camera_to_world[:3, 2])
        projector = np.eye(3) - np.outer(axis, axis)
        normal += projector
        target += projector @ camera.position
    if np.linalg.eigvalsh(normal)[0] < PARALLEL * len(cameras):
        start = np.mean([camera.position for camera in cameras], axis=0)
        return start + np.linalg.solve(normal, target - (normal - np.eye(3) * LEAST_WEIGHT) @ start)
    return np.linalg.solve(normal, target)


def scene_scale(dataset: Dataset) -> float:
    """The length that learning rates of positions are measured in.

    The larger of the cameras' spread and the typical distance from camera to start point: the spread alone is tiny
    for cameras that all stand on one side.
    """
    cameras = steady(dataset.views)
    positions = np.stack([camera.position for camera in cameras])
    spread = 1.1 * float(np.linalg.norm(positions - positions.mean(axis=0), axis=1).max())
    points = dataset.points.positions if dataset.points is not None and len(dataset.points) else focus_point(cameras)[None]
    sample = points[:: max(1, len(points) // POINTS)]
    distance = float(np.median(np.linalg.norm(positions[:, None] - sample[None], axis=2)))
    scale = max(spread, distance)
    return scale if math.isfinite(scale) and scale > 0 else 1.0


def unit_of(scale: float) -> float:
    """The unit that settings of length count in, for a scene of that scale: 1 for usual ones.

    A power of two, so that arithmetic with it is exact and a scene trains the same at other sizes.
    """
    return 2.0 ** round(math.log2(scale / USUAL))


def with_near_planes(dataset: Dataset) -> Dataset:
    """The dataset whose cameras draw nothing nearer than its scene's unit says; the same object where that is the usual distance."""
    sound = [view for view in dataset.views if np.isfinite(view.camera.camera_to_world).all()]
    if not sound:
        return dataset
    near = NEAREST * unit_of(scene_scale(replace(dataset, views=tuple(sound))))
    if all(view.camera.near == near for view in dataset.views):
        return dataset
    return replace(dataset, views=tuple(replace(view, camera=replace(view.camera, near=near)) for view in dataset.views))
