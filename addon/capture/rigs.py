"""Generated camera rigs: where cameras stand to see some points from all around. Pure geometry."""

from __future__ import annotations

import numpy as np

from ...engine.core.cameras.camera import look_at

GOLDEN_ANGLE = np.pi * (3.0 - np.sqrt(5.0))
MAX_ELEVATION = np.radians(85.0)


def dome(count: int, min_elevation: float) -> np.ndarray:
    """Directions [N, 3] evenly spread over the dome above an elevation (Fibonacci)."""
    low, high = np.sin(min_elevation), np.sin(MAX_ELEVATION)
    elevation = np.arcsin(low + (np.arange(count) + 0.5) / count * (high - low))
    return _directions(np.arange(count) * GOLDEN_ANGLE, elevation)


def orbit(count: int, elevation: float) -> np.ndarray:
    """Directions [N, 3] on a ring at one elevation."""
    return _directions(np.arange(count) * (2 * np.pi / count), np.full(count, elevation))


def looking_in(points: np.ndarray, directions: np.ndarray, slope_x: float, slope_y: float, margin: float = 1.0) -> np.ndarray:
    """camera_to_world [N, 4, 4]: cameras in all `directions` [N, 3] from the middle of `points` [P, 3], each as near as it can be.

    At margin 1 the distance is the smallest from which the camera sees every point; the slopes are the tangents of half the field
    of view.
    """
    center = (points.min(axis=0) + points.max(axis=0)) / 2
    views = np.stack([look_at(direction, np.zeros(3)) for direction in directions])
    distances = margin * _fitting_distances((points - center) @ views[:, :3, :3], slope_x, slope_y)
    views[:, :3, 3] = center + distances[:, None] * directions
    return views


def _fitting_distances(local: np.ndarray, slope_x: float, slope_y: float) -> np.ndarray:
    """[N] of `local` [N, P, 3]: the points as each camera sees them from the middle."""
    needed = local[..., 2] + np.maximum(np.abs(local[..., 0]) / slope_x, np.abs(local[..., 1]) / slope_y)
    distances = needed.max(axis=1)
    return np.where(distances > 0, distances, 1.0)  # one point alone has no size


def _directions(azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], axis=1)
