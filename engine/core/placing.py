"""Where splats stand: what lies lowest, planes through three points, scales from distances, and maps found from moved points."""

from __future__ import annotations

import numpy as np

from .errors import UserError
from .gaussians import Gaussians
from .transform import rotation_matrices

HALF_ALPHA = float(np.sqrt(2 * np.log(2)))
"""Standard deviations at which a Gaussian's alpha has fallen to half."""

SMALLEST_ANGLE = 1e-3  # radians
APART = "Choose points that lie farther apart."


def bottoms(gaussians: Gaussians, matrix: np.ndarray) -> np.ndarray:
    """Heights [N] down to which the Gaussians of an object at `matrix` [4, 4] keep half their alpha."""
    up = np.asarray(matrix, np.float64)[2]
    reach = (up[:3] @ rotation_matrices(gaussians.quats)) * np.exp(gaussians.scales.astype(np.float64))  # [N, 3]: along each axis
    return gaussians.means.astype(np.float64) @ up[:3] + up[3] - HALF_ALPHA * np.linalg.norm(reach, axis=1)


def lowest_height(heights: np.ndarray, opacities: np.ndarray, ignored: float = 0.01) -> float:
    """The height that splats stand on, from their bottoms [N] and logits [N]; each counts by its opacity.

    `ignored`: share of the opacity, 0 to 1, that may lie lower, so that some floaters below do no harm.
    UserError when there are no splats.
    """
    if not len(heights):
        raise UserError("There are no splats to place.", "Choose a splat object that is not empty.")
    order = np.argsort(heights)
    weights = np.cumsum(1 / (1 + np.exp(-opacities[order].astype(np.float64))))
    row = np.searchsorted(weights, ignored * weights[-1], side="right")
    return float(heights[order[min(row, len(order) - 1)]])


def three_point_alignment(points: np.ndarray, above: np.ndarray) -> np.ndarray:
    """The rigid motion [4, 4] that brings three points [3, 3] to the ground: the first to the origin, the second onto the X axis,
    the third into the plane z = 0. `above` [3] ends above the ground. UserError when the points lie on a line.
    """
    first, second, third = np.asarray(points, np.float64)
    x, other = second - first, third - first
    normal = np.cross(x, other)
    size = np.linalg.norm(normal)
    if not np.isfinite(points).all() or size <= SMALLEST_ANGLE * np.linalg.norm(x) * np.linalg.norm(other):
        raise UserError("The three points lie on one line.", "Choose three corners of the ground.")
    z = normal / size
    z *= np.copysign(1.0, z @ (np.asarray(above, np.float64) - first))
    x /= np.linalg.norm(x)
    matrix = np.eye(4)
    matrix[:3, :3] = [x, np.cross(z, x), z]
    matrix[:3, 3] = -matrix[:3, :3] @ first
    return matrix


def scale_factor(first: np.ndarray, second: np.ndarray, distance: float) -> float:
    """By how much to scale so that two points [3] are `distance` apart. UserError for one point twice or no distance."""
    measured = float(np.linalg.norm(np.asarray(second, np.float64) - np.asarray(first, np.float64)))
    if not np.isfinite(measured) or measured < 1e-9:
        raise UserError("The two points are the same.", APART)
    if not np.isfinite(distance) or distance <= 0:
        raise UserError("The real distance must be more than zero.", "Type what was measured.")
    return distance / measured


def scaling_about(center: np.ndarray, factor: float) -> np.ndarray:
    """The scaling [4, 4] that leaves `center` [3] where it is."""
    matrix = np.diag([factor, factor, factor, 1.0])
    matrix[:3, 3] = (1 - factor) * np.asarray(center, np.float64)
    return matrix


def fit_affine(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, float]:
    """The affine map [4, 4] that moves points [N, 3] best onto others, and the largest distance that it leaves; least squares.

    Directions in which the points do not spread (few points, a plane) are left as they are. N must be at least 1.
    """
    before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
    center, moved = before.mean(axis=0), after.mean(axis=0)
    spread = before - center
    change = np.linalg.lstsq(spread, (after - moved) - spread, rcond=1e-6)[0].T
    matrix = np.eye(4)
    matrix[:3, :3] += change
    matrix[:3, 3] = moved - matrix[:3, :3] @ center
    left = spread @ matrix[:3, :3].T + moved - after
    return matrix, float(np.linalg.norm(left, axis=1).max())
