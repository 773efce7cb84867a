"""The Gaussians that a training starts from."""

from __future__ import annotations

import math

import numpy as np

from ..core.camera import Camera
from ..core.config import TrainConfig
from ..core.dataset import Dataset, PointCloud
from ..core.gaussians import Gaussians, rgb_to_sh0
from .sky import sky_points
from .strategies.mcmc import logit

RANDOM_POINTS = 10_000
"""Start points where the dataset has none."""

NEIGHBOURS = 3
WINDOW = 8


def initial_gaussians(dataset: Dataset, config: TrainConfig) -> Gaussians:
    """Round Gaussians on the dataset's start points, as large as the mean distance to the three nearest neighbours."""
    rng = np.random.default_rng([config.seed, 2])
    points = dataset.points if dataset.points is not None and len(dataset.points) else random_points(dataset, rng)
    far = sky_points([view.camera for view in dataset.views], points.positions, min(config.sky, config.max_gaussians // 2))
    points = subset(points, config.max_gaussians - len(far), rng)
    size = np.concatenate([neighbour_distance(part.positions) for part in (points, far)]).clip(1e-6)
    points = joined(points, far)
    count = len(points)
    quats = np.zeros((count, 4), np.float32)
    quats[:, 0] = 1.0
    return Gaussians(
        means=points.positions.astype(np.float32),
        quats=quats,
        scales=np.repeat(np.log(size).astype(np.float32)[:, None], 3, axis=1),
        opacities=logit(np.full(count, config.initial_opacity)).astype(np.float32),
        sh0=rgb_to_sh0(points.colors.astype(np.float32) / 255.0)[:, None],
        shN=np.zeros((count, (config.sh_degree + 1) ** 2 - 1, 3), np.float32),
    )


def subset(points: PointCloud, most: int, rng: np.random.Generator) -> PointCloud:
    """At most `most` of the points, chosen evenly at random, without non-finite ones."""
    rows = np.flatnonzero(np.isfinite(points.positions).all(axis=1))
    if len(rows) > most:
        rows = np.sort(rng.choice(rows, most, replace=False))
    return PointCloud(points.positions[rows], points.colors[rows])


def random_points(dataset: Dataset, rng: np.random.Generator) -> PointCloud:
    """Grey points in the ball that the cameras look at, for datasets without start points."""
    cameras = [view.camera for view in dataset.views]
    centre = focus_point(cameras)
    radius = float(np.median([np.linalg.norm(camera.position - centre) for camera in cameras])) or 1.0
    directions = rng.standard_normal((RANDOM_POINTS, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    distances = radius * rng.random((RANDOM_POINTS, 1)) ** (1 / 3)
    positions = (centre + directions * distances).astype(np.float32)
    return PointCloud(positions, np.full((RANDOM_POINTS, 3), 128, np.uint8))


def joined(one: PointCloud, other: PointCloud) -> PointCloud:
    """Both sets of points."""
    return PointCloud(np.concatenate([one.positions, other.positions]), np.concatenate([one.colors, other.colors]))


def focus_point(cameras: list[Camera]) -> np.ndarray:
    """The point [3] nearest to all optical axes, by least squares."""
    normal, target = np.eye(3) * 1e-6, np.zeros(3)
    for camera in cameras:
        axis = camera.camera_to_world[:3, 2] / np.linalg.norm(camera.camera_to_world[:3, 2])
        projector = np.eye(3) - np.outer(axis, axis)
        normal += projector
        target += projector @ camera.position
    return np.linalg.solve(normal, target)


def scene_scale(dataset: Dataset) -> float:
    """The length that learning rates of positions are measured in.

    The larger of the cameras' spread and the typical distance from camera to start point: the spread alone is tiny
    for cameras that all stand on one side.
    """
    positions = np.stack([view.camera.position for view in dataset.views])
    spread = 1.1 * float(np.linalg.norm(positions - positions.mean(axis=0), axis=1).max())
    points = dataset.points.positions if dataset.points is not None and len(dataset.points) else focus_point(
        [view.camera for view in dataset.views])[None]
    sample = points[:: max(1, len(points) // 500)]
    distance = float(np.median(np.linalg.norm(positions[:, None] - sample[None], axis=2)))
    scale = max(spread, distance)
    return scale if math.isfinite(scale) and scale > 0 else 1.0


def neighbour_distance(points: np.ndarray) -> np.ndarray:
    """Mean distance [N] from each point [N, 3] to its nearest neighbours, close to exact.

    Candidates are the neighbours in three orders along a Z-order curve, each of a shifted grid: no tree is needed.
    """
    count = len(points)
    if count < 2:
        return np.full(count, 0.1, np.float32)
    low = points.min(axis=0)
    extent = float((points.max(axis=0) - low).max()) or 1.0
    unit = ((points - low) / extent).astype(np.float32)  # [N, 3] in [0, 1]
    squared = np.full((count, NEIGHBOURS), np.inf, np.float32)
    rows = np.full((count, NEIGHBOURS), -1)
    for shift in (0.0, 0.211, 0.377):
        order = np.argsort(_z_order((unit + shift) * 0.5), kind="stable")
        squared[order], rows[order] = _merge_window(squared[order], rows[order], unit[order], order)
    known = np.where(np.isfinite(squared), squared, np.nan)
    return (np.sqrt(np.nanmean(known, axis=1)) * extent).astype(np.float32)


def _merge_window(squared: np.ndarray, rows: np.ndarray, ordered: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Improve the nearest neighbours (squared distances and rows, [N, 3] each) by the points next in order."""
    distances, neighbours = [squared], [rows]
    for offset in range(1, min(WINDOW, len(ordered) - 1) + 1):
        between = ((ordered[offset:] - ordered[:-offset]) ** 2).sum(axis=1)
        for here, there in ((slice(None, -offset), slice(offset, None)), (slice(offset, None), slice(None, -offset))):
            distance = np.full((len(ordered), 1), np.inf, np.float32)
            neighbour = np.full((len(ordered), 1), -1)
            distance[here, 0], neighbour[here, 0] = between, order[there]
            distances.append(distance)
            neighbours.append(neighbour)
    return _smallest_distinct(np.concatenate(distances, axis=1), np.concatenate(neighbours, axis=1))


def _smallest_distinct(squared: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest NEIGHBOURS of each line, a neighbour that was met twice counted once."""
    by_row = np.argsort(rows, axis=1, kind="stable")
    rows, squared = np.take_along_axis(rows, by_row, 1), np.take_along_axis(squared, by_row, 1)
    squared[:, 1:][rows[:, 1:] == rows[:, :-1]] = np.inf
    nearest = np.argsort(squared, axis=1, kind="stable")[:, :NEIGHBOURS]
    return np.take_along_axis(squared, nearest, 1), np.take_along_axis(rows, nearest, 1)


def _z_order(unit: np.ndarray) -> np.ndarray:
    """Morton codes [N] of points [N, 3] in [0, 1), 21 bits an axis."""
    cells = np.clip(unit * 2**21, 0, 2**21 - 1).astype(np.uint64)
    return _spread(cells[:, 0]) | (_spread(cells[:, 1]) << np.uint64(1)) | (_spread(cells[:, 2]) << np.uint64(2))


def _spread(x: np.ndarray) -> np.ndarray:
    """Put two zero bits between the bits of 21-bit numbers."""
    for shift, mask in ((32, 0x1F00000000FFFF), (16, 0x1F0000FF0000FF), (8, 0x100F00F00F00F00F),
                        (4, 0x10C30C30C30C30C3), (2, 0x1249249249249249)):
        x = (x | (x << np.uint64(shift))) & np.uint64(mask)
    return x
