"""Coloured start points: random pixels of the rendered views, put where their depth says the surface is.

Only what a camera sees is found, whatever it is made of (instances, displacement, hair), with the colour it renders in.
"""

from __future__ import annotations

import numpy as np

from ...engine.core.cameras.camera import Camera
from ...engine.core.datasets.dataset import PointCloud

OPAQUE = 0.5


def sample_points(camera: Camera, depth: np.ndarray, image: np.ndarray, count: int, rng: np.random.Generator) -> PointCloud:
    """At most `count` surface points of one view. `depth` [H, W] along the view axis, 0 where nothing is; `image` [H, W, 4] in 0 to 1."""
    rows, columns = np.nonzero((depth > 0) & (image[..., 3] > OPAQUE))
    chosen = rng.choice(len(rows), min(count, len(rows)), replace=False)
    rows, columns = rows[chosen], columns[chosen]
    positions = camera.unproject(np.stack([columns, rows], axis=1) + 0.5, depth[rows, columns])
    colors = np.round(image[rows, columns, :3] * 255).astype(np.uint8)
    return PointCloud(positions.astype(np.float32), colors)


def join(clouds: list[PointCloud]) -> PointCloud | None:
    """All points as one cloud; None when there are none."""
    clouds = [cloud for cloud in clouds if len(cloud)]
    if not clouds:
        return None
    return PointCloud(np.concatenate([cloud.positions for cloud in clouds]), np.concatenate([cloud.colors for cloud in clouds]))
