"""Where splats stand: what lies lowest, planes through three points, scales from distances, and maps found from moved points."""

from __future__ import annotations

import numpy as np

from ..errors import UserError
from .gaussians import Gaussians
from .transform import rotation_matrices

HALF_ALPHA = float(np.sqrt(2 * np.log(2)))
"""Standard deviations at which a Gaussian's alpha has fallen to half."""

SMALLEST_ANGLE = 1e-3  # radians
GROUND_TRIES, GROUND_SAMPLE = 600, 4000
GROUND_REACH = 0.02
"""How far from the ground its points may lie, as a share of the points' spread."""

GROUND_SHARE, FEWEST_ON_GROUND = 0.05, 12
"""A plane that holds less of the points, or fewer, is no ground."""

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
        raise UserError("There are no splats to place.", "Choose a splat object that is not empty.", "placing.no_splats")
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
        raise UserError("The three points lie on one line.", "Choose three corners of the ground.", "placing.one_line")
    z = normal / size
    z *= np.copysign(1.0, z @ (np.asarray(above, np.float64) - first))
    x /= np.linalg.norm(x)
    matrix = np.eye(4)
    matrix[:3, :3] = [x, np.cross(z, x), z]
    matrix[:3, 3] = -matrix[:3, :3] @ first
    return matrix


def ground_plane(points: np.ndarray, above: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray, float]:
    """The plane that most of the points [N, 3] lie on and few lie below: a point of it [3], its normal [3] on whose side `above` [3]
    lies, and the share of the points that it holds. RANSAC (Fischler and Bolles 1981), then least squares on what lies on it.

    UserError when the points have no such plane.
    """
    points = np.asarray(points, np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    rng = np.random.default_rng(seed)
    if len(points) > GROUND_SAMPLE:
        points = points[rng.choice(len(points), GROUND_SAMPLE, replace=False)]
    near = GROUND_REACH * np.median(np.linalg.norm(points - np.median(points, axis=0), axis=1)) if len(points) >= 3 else 0.0
    if not near > 0:
        raise _no_ground()
    place, normal = max(_planes(points, np.asarray(above, float), rng), key=lambda plane: _ground_score(points, *plane, near))
    for _ in range(3):
        held = points[np.abs((points - place) @ normal) <= near]
        place = held.mean(axis=0)
        axis = np.linalg.svd(held - place, full_matrices=False)[2][2]
        normal = axis * np.copysign(1.0, axis @ normal)
    share = float((np.abs((points - place) @ normal) <= near).mean())
    if share < GROUND_SHARE or len(points) * share < FEWEST_ON_GROUND:
        raise _no_ground()
    return place, normal, share


def _planes(points: np.ndarray, above: np.ndarray, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Planes through three random points, with normals towards `above`."""
    corners = points[rng.integers(0, len(points), (GROUND_TRIES, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sizes = np.linalg.norm(normals, axis=1)
    sound = sizes > 1e-12 * max(1e-12, float(sizes.max()))
    places, normals = corners[sound, 0], normals[sound] / sizes[sound, None]
    normals *= np.copysign(1.0, ((above - places) * normals).sum(axis=1))[:, None]
    if not len(places):
        raise _no_ground()
    return list(zip(places, normals, strict=True))


def _ground_score(points: np.ndarray, place: np.ndarray, normal: np.ndarray, near: float) -> int:
    """Points on a plane, less those below it."""
    heights = (points - place) @ normal
    return int((np.abs(heights) <= near).sum()) - int((heights < -near).sum())


def _no_ground() -> UserError:
    return UserError("The points show no ground.", "Align by three points of the ground instead.", "placing.no_ground")


def levelling(place: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """The rigid motion [4, 4] that brings the plane through `place` [3] with the unit normal [3] to z = 0, normal up.

    `place` moves straight up or down; the turn is the smallest one (Rodrigues' formula).
    """
    x, y, z = normal
    axis, sine = np.array([y, -x, 0.0]), float(np.hypot(x, y))
    matrix = np.eye(4)
    if sine > 1e-12:
        kx, ky, _ = axis / sine
        cross = np.array([[0, 0, ky], [0, 0, -kx], [-ky, kx, 0]])
        matrix[:3, :3] += sine * cross + (1 - z) * cross @ cross
    elif z < 0:
        matrix[:3, :3] = np.diag([1.0, -1.0, -1.0])
    matrix[:3, 3] = np.array([place[0], place[1], 0.0]) - matrix[:3, :3] @ place
    return matrix


def scale_factor(first: np.ndarray, second: np.ndarray, distance: float) -> float:
    """By how much to scale so that two points [3] are `distance` apart. UserError for one point twice or no distance."""
    measured = float(np.linalg.norm(np.asarray(second, np.float64) - np.asarray(first, np.float64)))
    if not np.isfinite(measured) or measured < 1e-9:
        raise UserError("The two points are the same.", APART, "placing.same_points")
    if not np.isfinite(distance) or distance <= 0:
        raise UserError("The real distance must be more than zero.", "Type what was measured.", "placing.distance")
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
