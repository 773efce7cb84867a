"""Start points for the sky and for what is too far away to have any."""

from __future__ import annotations

import math

import numpy as np

from ...core.cameras.camera import Camera
from ...core.datasets.dataset import PointCloud

DOME = 10.0
"""Radius of the dome, in distances from the middle to the farthest camera or start point."""

MOST = 95
"""Percentage of the start points that lie inside; the rest may be strays."""


def sky_points(cameras: list[Camera], near: np.ndarray, count: int) -> PointCloud:
    """About `count` grey points on a dome far behind cameras and near points [N, 3], in the directions that cameras see.

    They become the sky and what is distant. Without them the sky is painted with floaters close to the cameras. As Gaussians they
    are part of the file and of every viewer.
    """
    if not count:
        return PointCloud(np.empty((0, 3), np.float32), np.empty((0, 3), np.uint8))
    centre, radius = dome(cameras, near)
    directions = even_directions(4 * count)
    seen = directions[seen_by_any(centre + radius * directions, cameras)]
    share = len(seen) / len(directions)
    directions = even_directions(round(count / share)) if share else directions[:0]
    points = centre + radius * directions
    points = points[seen_by_any(points, cameras)].astype(np.float32)
    return PointCloud(points, np.full(points.shape, 128, np.uint8))


def dome(cameras: list[Camera], points: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre [3] and radius of a dome far behind cameras, none of which is a stray, and points [N, 3], of which a few may be."""
    positions = np.stack([camera.position for camera in cameras])
    points = points[np.isfinite(points).all(axis=1)]
    centre = np.median(np.concatenate([positions, points]), axis=0)
    reach = float(np.linalg.norm(positions - centre, axis=1).max())
    if len(points):
        reach = max(reach, float(np.percentile(np.linalg.norm(points - centre, axis=1), MOST)))
    return centre, DOME * (reach or 1.0)


def even_directions(count: int) -> np.ndarray:
    """Unit vectors [count, 3] spread evenly (Fibonacci lattice)."""
    height = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (3 - math.sqrt(5)) * np.arange(count)
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)


def seen_by_any(points: np.ndarray, cameras: list[Camera]) -> np.ndarray:
    """Mask [N] of the points [N, 3] that lie inside the image of at least one camera."""
    seen = np.zeros(len(points), bool)
    for camera in cameras:
        pixels, depth = camera.project(points)
        seen |= (depth > 0) & (pixels >= 0).all(axis=1) & (pixels < [camera.width, camera.height]).all(axis=1)
    return seen
