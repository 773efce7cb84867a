"""Which start points a training keeps where there are more than it may begin with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.cameras.camera import Camera
from ...core.datasets.dataset import PointCloud
from .knn import neighbour_distance

MOST_CAMERAS = 40
"""Of those asked, spread evenly, whether they see a point."""

UNSEEN = 0.01
"""What a point in no image counts, as part of an image."""

EVENNESS = 2.0
"""Power of the spacing on the images by which a point is more likely kept than one in a dense place: 0 keeps what is dense as dense as it
is, 2 covers the images evenly, which measured best."""


def chosen_points(points: PointCloud, most: int, cameras: Sequence[Camera], rng: np.random.Generator) -> PointCloud:
    """At most `most` of the points, without non-finite ones: the more likely the farther its neighbours are from it on the images, and the
    more images it lies in.

    Weighted drawing without putting back: Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006.
    """
    rows = np.flatnonzero(np.isfinite(points.positions).all(axis=1))
    if len(rows) > most:
        keys = rng.exponential(size=len(rows)) / weights(points.positions[rows], cameras)
        rows = np.sort(rows[np.argsort(keys, kind="stable")[:most]])
    return PointCloud(points.positions[rows], points.colors[rows])


def weights(positions: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    """How much each of positions [N, 3] is worth, above 0: its spacing on the nearest image to the power of EVENNESS, times the images
    that it lies in."""
    asked = [cameras[row] for row in np.unique(np.linspace(0, len(cameras) - 1, min(len(cameras), MOST_CAMERAS)).astype(int))]
    seen, nearest = np.zeros(len(positions)), np.full(len(positions), np.inf)
    for camera in asked:
        pixels, depth = camera.project(positions)
        inside = (depth > 0) & ((pixels >= 0) & (pixels < (camera.width, camera.height))).all(axis=1)
        seen += inside
        nearest[inside] = np.minimum(nearest[inside], depth[inside] / camera.fl_x)
    spacing = neighbour_distance(positions) / np.where(np.isfinite(nearest), nearest, 1.0)
    return np.maximum(seen, UNSEEN) * spacing**EVENNESS
