"""A posed camera: pinhole intrinsics in pixels, optional lens distortion, and its place in Blender's world."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

FLIP_YZ = np.diag([1.0, -1.0, -1.0, 1.0])
"""Blender's and OpenGL's camera (looks along -Z, +Y up) to OpenCV's (looks along +Z, +Y down), and back."""


NEAREST = 0.01
"""Distance before which nothing is drawn, in a scene of usual length."""


@dataclass(frozen=True)
class Camera:
    """One view of the scene.

    `camera_to_world` is [4, 4] in Blender's convention (Z-up world, camera looks along its -Z).
    Pixel (0, 0) is the top left corner of the image; pixel centres lie at +0.5.
    `distortion` holds OpenCV's k1, k2, p1, p2, k3, k4 ...; empty for a perfect pinhole.
    `orthographic` cameras see along parallel rays: fl_x and fl_y are pixels for each metre.
    Nothing nearer than `near` is drawn.
    """

    width: int
    height: int
    fl_x: float
    fl_y: float
    cx: float
    cy: float
    camera_to_world: np.ndarray  # [4, 4] float64
    distortion: tuple[float, ...] = ()
    orthographic: bool = False
    near: float = NEAREST

    @cached_property
    def viewmat(self) -> np.ndarray:
        """World to OpenCV camera, [4, 4] float64: what rasterizers take."""
        return FLIP_YZ @ np.linalg.inv(self.camera_to_world)

    @property
    def K(self) -> np.ndarray:
        """Intrinsic matrix, [3, 3] float64."""
        return np.array([[self.fl_x, 0.0, self.cx], [0.0, self.fl_y, self.cy], [0.0, 0.0, 1.0]])

    @property
    def position(self) -> np.ndarray:
        """Camera centre in the world, [3]."""
        return np.asarray(self.camera_to_world[:3, 3])

    def resized(self, width: int, height: int) -> Camera:
        """The same view at another image size."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self, width=width, height=height,
            fl_x=self.fl_x * sx, fl_y=self.fl_y * sy, cx=self.cx * sx, cy=self.cy * sy,
        )

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project world points [N, 3] without distortion -> pixels [N, 2] and depths [N] (negative: behind)."""
        viewmat = self.viewmat
        local = points @ viewmat[:3, :3].T + viewmat[:3, 3]
        depth = local[:, 2]
        safe = np.ones_like(depth) if self.orthographic else np.where(np.abs(depth) < 1e-12, 1e-12, depth)
        pixels = local[:, :2] / safe[:, None] * [self.fl_x, self.fl_y] + [self.cx, self.cy]
        return pixels, depth

    def unproject(self, pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """World points [N, 3] at `pixels` [N, 2] and distances `depth` [N] along the view axis: the inverse of project."""
        local = (pixels - [self.cx, self.cy]) / [self.fl_x, self.fl_y]
        local = local if self.orthographic else local * depth[:, None]
        matrix = self.camera_to_world @ FLIP_YZ
        return np.column_stack([local, depth]) @ matrix[:3, :3].T + matrix[:3, 3]


def look_at(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """camera_to_world [4, 4] in Blender's convention at `position` looking at `target`, upright where that is possible."""
    back = (position - target) / np.linalg.norm(position - target)
    up = np.array([0.0, 0.0, 1.0]) if abs(back[2]) < 0.9999 else np.array([0.0, 1.0, 0.0])
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3] = np.stack([right, np.cross(back, right), back, position], axis=1)
    return matrix
