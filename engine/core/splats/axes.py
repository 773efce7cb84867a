"""Which way a file's axes point. Blender's are right, forward, up."""

from __future__ import annotations

from typing import Literal

import numpy as np

from .gaussians import Gaussians
from .transform import transform_gaussians

Axes = Literal["SUPERSPLAT", "OPENGL", "BLENDER"]
AxesOrAuto = Literal["AUTO", "SUPERSPLAT", "OPENGL", "BLENDER"]

LETTERS: dict[str, str] = {"SUPERSPLAT": "RDF", "OPENGL": "RUB", "BLENDER": "RFU"}
"""Directions of x, y and z, in the letters of SPZ: Right or Left, Up or Down, Forward or Back."""

UPRIGHT = 1e-6
"""Cosines this near to 1 are no turn."""

DIRECTIONS = {"R": (1, 0, 0), "L": (-1, 0, 0), "F": (0, 1, 0), "B": (0, -1, 0), "U": (0, 0, 1), "D": (0, 0, -1)}


def into_blender(gaussians: Gaussians, axes: str) -> Gaussians:
    """Gaussians of a file in `axes` (a name of LETTERS, or three letters), in Blender's; all values must be finite."""
    return transform_gaussians(gaussians, axes_matrix(axes))


def out_of_blender(gaussians: Gaussians, axes: str) -> Gaussians:
    """The inverse of into_blender."""
    return transform_gaussians(gaussians, axes_matrix(axes).T)


def axes_matrix(axes: str) -> np.ndarray:
    """The orthogonal matrix [4, 4] from a file's axes to Blender's; a reflection where the file is left-handed."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([DIRECTIONS[letter] for letter in LETTERS.get(axes, axes)]).T
    return matrix


def turn_upright(gaussians: Gaussians, up: tuple[float, float, float], axes: str) -> Gaussians:
    """Gaussians in Blender's world, turned by the smallest angle so that `up`, a direction in a file's `axes`, points up.

    The same object where it does so already.
    """
    return transform_gaussians(gaussians, upright_turn(up, axes))


def upright_turn(up: tuple[float, float, float], axes: str) -> np.ndarray:
    """The smallest turn [4, 4] of Blender's world by which `up`, a direction in a file's `axes`, points up."""
    direction = axes_matrix(axes)[:3, :3] @ np.asarray(up, np.float64)
    direction /= np.linalg.norm(direction)
    matrix = np.eye(4)
    if direction[2] <= 1 - UPRIGHT:
        matrix[:3, :3] = _to_vertical(direction)
    return matrix


def _to_vertical(direction: np.ndarray) -> np.ndarray:
    """The smallest turn [3, 3] that brings a unit vector to (0, 0, 1); from straight below half a turn about x."""
    if direction[2] < UPRIGHT - 1:
        return np.diag([1.0, -1.0, -1.0])
    x, y, z = direction
    cross = np.array([[0, 0, -x], [0, 0, -y], [x, y, 0.0]])  # of the axis (y, -x, 0) that it turns about
    return np.eye(3) + cross + cross @ cross / (1 + z)
