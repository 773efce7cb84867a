"""How many cameras see each part of a surface, and where more cameras would help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..cameras.camera import Camera, look_at

CELL_POINTS = 6
"""Points that a cell of the depth grid should hold on average, so that the nearest ones hide the others."""

SLACK = 0.1
"""Share of its distance by which a point may lie behind the nearest one of its cell and still be seen."""

DIRECTIONS = 64
FACING = 0.5
"""Cosine to a camera's direction up to which a part of the surface is looked at straight enough."""

NEEDED = 3
"""Views that a part of the surface needs: two make a depth, the third confirms it."""

FEWEST_GAINED = 0.01
"""Least share of the points that a suggested camera must improve."""

Sees = Callable[[Camera, np.ndarray], np.ndarray]
"""Which of the points [N, 3] a camera sees [N]."""


def inside_view(camera: Camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether points [N, 3] lie before the camera and inside its image [N], their pixels [N, 2] and depths [N]; no lens distortion."""
    pixels, depth = camera.project(points)
    inside = (depth > 0) & (pixels >= 0).all(axis=1) & (pixels < [camera.width, camera.height]).all(axis=1)
    return inside, pixels, depth


def seen_points(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Which of the points [N, 3] of a surface the camera sees [N]: inside its image and not behind others."""
    inside, pixels, depth = inside_view(camera, points)
    rows = np.flatnonzero(inside)
    if not len(rows):
        return inside
    side = max(camera.width, camera.height) / max(1.0, np.sqrt(len(rows) / CELL_POINTS))
    cells = (pixels[rows] // side).astype(int)
    cells = cells[:, 1] * (cells[:, 0].max() + 1) + cells[:, 0]
    nearest = np.full(cells.max() + 1, np.inf)
    np.minimum.at(nearest, cells, depth[rows])
    inside[rows] = depth[rows] <= nearest[cells] * (1.0 + SLACK)
    return inside


def view_counts(points: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    """By how many cameras each of the points [N, 3] is seen: int [N]."""
    counts = np.zeros(len(points), int)
    for camera in cameras:
        counts += seen_points(camera, points)
    return counts


def suggested_poses(points: np.ndarray, counts: np.ndarray, cameras: Sequence[Camera], normals: np.ndarray | None = None,
                    most: int = 6, sees: Sees = seen_points) -> list[np.ndarray]:
    """camera_to_world matrices [4, 4] of at most `most` further cameras for the points [N, 3] that are seen too rarely.

    `counts` [N] is what view_counts says; without `normals` [N, 3] the surface is taken to face away from the points' middle,
    or towards it when the cameras stand inside; `sees` may know the surface better than its points do.
    Greedy: each camera takes the direction from which most lacking views are made up.
    """
    if not len(points) or not cameras:
        return []
    facing = _facing(points, cameras) if normals is None else normals
    distance, lacking = _usual_distance(points, cameras), (NEEDED - counts).clip(0)
    tried = (_toward(points, facing, lacking, direction, distance) for direction in _evenly_spread(DIRECTIONS))
    candidates = [pose for pose in tried if pose is not None]
    seen = [sees(replace(cameras[0], camera_to_world=pose), points) & (((pose[:3, 3] - points) * facing).sum(axis=1) > 0)
            for pose in candidates]
    chosen: list[np.ndarray] = []
    while candidates and len(chosen) < most:
        best = int(np.argmax([lacking[mask].sum() for mask in seen]))
        mask, pose = seen.pop(best), candidates.pop(best)
        if (mask & (lacking > 0)).mean() < FEWEST_GAINED:
            break
        chosen.append(pose)
        lacking = np.where(mask, (lacking - 1).clip(0), lacking)
    return chosen


def _toward(points: np.ndarray, facing: np.ndarray, lacking: np.ndarray, direction: np.ndarray, distance: float) -> np.ndarray | None:
    """A pose that looks against `direction` [3] at the lacking points that face it; None when there are none."""
    rows = (lacking > 0) & (facing @ direction > FACING)
    target = points[rows].mean(axis=0) if rows.any() else None
    return None if target is None else look_at(target + distance * direction, target)


def _facing(points: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    """Outward unit directions [N, 3], or inward ones for cameras inside."""
    outward = points - np.median(points, axis=0)
    lengths = np.linalg.norm(outward, axis=1, keepdims=True)
    away = [np.linalg.norm(camera.position - np.median(points, axis=0)) for camera in cameras]
    inside = np.median(away) < np.median(lengths)
    return outward / np.maximum(lengths, 1e-9) * (-1.0 if inside else 1.0)


def _usual_distance(points: np.ndarray, cameras: Sequence[Camera]) -> float:
    """The median depth of points that cameras see."""
    depths = [depth[inside] for inside, _, depth in (inside_view(camera, points) for camera in cameras)]
    every = np.concatenate(depths)
    return float(np.median(every)) if len(every) else 1.0


def _evenly_spread(count: int) -> np.ndarray:
    """Directions [count, 3] over the sphere (Fibonacci lattice)."""
    height = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    angle = np.arange(count) * np.pi * (3.0 - np.sqrt(5.0))
    radius = np.sqrt(1.0 - height**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
