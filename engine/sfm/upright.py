"""A frame for photos, which have none: Z up, the scene around the origin, cameras about three metres from what they see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.cameras.camera import Camera
from ..core.datasets.dataset import PointCloud

DISTANCE = 3.0
"""Median distance in metres from the cameras to the points; photos tell no scale, so this one suits Blender's default grid."""
LEVEL = 0.1
"""How much less the cameras' own up counts than the rule that photographers hold the horizon level."""


@dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation @ x + shift."""

    scale: float
    rotation: np.ndarray  # [3, 3]
    shift: np.ndarray  # [3]

    def points(self, positions: np.ndarray) -> np.ndarray:
        """Points [N, 3] in the other frame."""
        return self.scale * positions @ self.rotation.T + self.shift

    def camera(self, camera: Camera) -> Camera:
        """A camera in the other frame; its own axes keep their length."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.rotation @ camera.camera_to_world[:3, :3]
        matrix[:3, 3] = self.points(camera.position[None])[0]
        return replace(camera, camera_to_world=matrix)


def upright(cameras: Sequence[Camera], points: PointCloud | None) -> Similarity:
    """The similarity that brings cameras and points into the frame described above."""
    rotation = turn_to_z(up_direction(cameras))
    places = np.array([camera.position for camera in cameras])
    seen = points.positions.astype(np.float64) if points is not None and len(points) else places
    middle = np.median(seen, axis=0)
    distance = float(np.median(np.linalg.norm(places - middle, axis=1)))
    scale = DISTANCE / distance if distance > 1e-9 else 1.0
    return Similarity(scale, rotation, -scale * rotation @ middle)


def up_direction(cameras: Sequence[Camera]) -> np.ndarray:
    """The direction [3] that lies across all cameras' right axes: level horizons. Its sign is where the cameras' tops point.

    Cameras that look straight down have tops all around: then up is where they look from.
    """
    axes = np.array([camera.camera_to_world[:3, :3] for camera in cameras])  # [N, 3, 3]: right, up, back
    right, up, back = (axes[:, :, column] for column in range(3))
    spread = right.T @ right - LEVEL * up.T @ up
    direction = np.linalg.eigh(spread)[1][:, 0]
    sign = direction @ (up.mean(axis=0) + 0.5 * back.mean(axis=0))
    return direction if sign >= 0 else -direction


def turn_to_z(up: np.ndarray) -> np.ndarray:
    """The smallest rotation [3, 3] that takes a direction to +Z (Rodrigues)."""
    cosine = float(up[2])
    if cosine < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    x, y, z = np.cross(up, [0.0, 0.0, 1.0])
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + cross + cross @ cross / (1 + cosine)
