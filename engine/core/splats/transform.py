"""Moving, turning, scaling, shearing and mirroring Gaussians exactly."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .gaussians import Gaussians
from .sh import rotate_sh

PLY_TO_BLENDER = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""Trainers' PLY files are Y-down: Blender's (x, y, z) is written as (x, -z, y)."""

BLENDER_TO_PLY = PLY_TO_BLENDER.T

SMALLEST_SCALE = 1e-13
BLOCK = 1 << 15
"""Gaussians decomposed at a time: what a processor's cache holds."""
UNIFORM = 1e-5
"""Relative difference of scales that Blender's float32 matrices of a chain of parents may show."""


def transform_gaussians(gaussians: Gaussians, matrix: np.ndarray) -> Gaussians:
    """Bake a 4x4 matrix into means, scales, quats and SH. Row order is kept; all values must be finite.

    A uniform scale s, mirrored or not: log scales + ln s, quats turned. Anything else: Σ' = A Σ Aᵀ, decomposed again.
    SH turn by the orthogonal factor of A's polar decomposition, which for a mirror is a reflection.
    """
    matrix = np.asarray(matrix, np.float64)
    if np.array_equal(matrix, np.eye(4)):
        return gaussians
    linear, shift = matrix[:3, :3], matrix[:3, 3]
    orthogonal, size = polar(linear)
    if size is not None:
        rotation = orthogonal * np.sign(np.linalg.det(orthogonal))  # a Gaussian looks the same after x -> -x
        scales = gaussians.scales + np.float32(np.log(size)) if size != 1.0 else gaussians.scales
        quats = multiply_quats(quat_from_matrix(rotation), gaussians.quats.astype(np.float64)).astype(np.float32)
    else:
        scales, quats = _decompose(linear, gaussians)
    return Gaussians(
        means=(gaussians.means.astype(np.float64) @ linear.T + shift).astype(np.float32),
        quats=quats, scales=scales, opacities=gaussians.opacities, sh0=gaussians.sh0,
        shN=rotate_sh(gaussians.shN, orthogonal),
    )


def rebase_gaussians(gaussians: Gaussians, before: np.ndarray, after: np.ndarray) -> Gaussians:
    """The Gaussians that look the same in an object at matrix `after` [4, 4] as these do in one at `before`. `after` is not flat.

    Harmonics turn by the polar factors of both matrices: that of their quotient differs where one of them stretches.
    """
    before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
    if np.array_equal(before, after):
        return gaussians
    moved = transform_gaussians(gaussians.with_sh_degree(0), np.linalg.inv(after) @ before)
    turn = polar(after[:3, :3])[0].T @ polar(before[:3, :3])[0]
    return Gaussians(**{**moved.arrays(), "shN": rotate_sh(gaussians.shN, turn)})


def polar(linear: np.ndarray) -> tuple[np.ndarray, float | None]:
    """The nearest orthogonal matrix [3, 3], and the scale when it is the same in all directions (else None)."""
    u, singular, vt = np.linalg.svd(linear)
    mean = float(singular.mean())
    uniform = bool(np.ptp(singular) <= UNIFORM * mean) and mean > 0
    if uniform and abs(mean - 1.0) < 1e-7:
        mean = 1.0
    orthogonal = u @ vt
    orthogonal[np.abs(orthogonal) < 1e-15] = 0.0
    return orthogonal, mean if uniform else None


def _decompose(linear: np.ndarray, gaussians: Gaussians) -> tuple[np.ndarray, np.ndarray]:
    """Log scales [N, 3] and quats [N, 4] of the covariances after a linear map. Blocks share the cores: numpy lets go of Python's lock."""
    scales, quats = np.empty_like(gaussians.scales), np.empty_like(gaussians.quats)

    def decompose(start: int) -> None:
        rows = slice(start, start + BLOCK)
        axes = linear @ rotation_matrices(gaussians.quats[rows]) * np.exp(gaussians.scales[rows].astype(np.float64))[:, None, :]
        u, singular, _ = np.linalg.svd(axes)  # [B, 3, 3], [B, 3]
        u[:, :, 2] *= np.sign(np.linalg.det(u))[:, None]
        scales[rows] = np.log(np.maximum(singular, SMALLEST_SCALE))
        quats[rows] = quats_from_matrices(u)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(decompose, range(0, len(scales), BLOCK)))
    return scales, quats


def rotation_matrices(quats: np.ndarray) -> np.ndarray:
    """Rotation matrices [N, 3, 3] of quaternions w x y z [N, 4] of any length; float64."""
    quats = np.asarray(quats, np.float64)
    w, x, y, z = (quats / np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), 1e-30)).T
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
    return np.stack(rows, axis=1).reshape(-1, 3, 3)


def quats_from_matrices(matrices: np.ndarray) -> np.ndarray:
    """Unit quaternions w x y z [N, 4] of rotation matrices [N, 3, 3], by the largest component (Shepperd 1978)."""
    m = np.asarray(matrices, np.float64)
    trace = np.trace(m, axis1=1, axis2=2)
    diagonal = np.stack([trace, m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]], axis=1)
    squares = np.maximum(0.0, np.concatenate([1 + trace[:, None], 1 + 2 * diagonal[:, 1:] - trace[:, None]], axis=1))
    products = np.empty((len(m), 4, 4))
    products[:, range(4), range(4)] = squares
    pairs = {(0, 1): m[:, 2, 1] - m[:, 1, 2], (0, 2): m[:, 0, 2] - m[:, 2, 0], (0, 3): m[:, 1, 0] - m[:, 0, 1],
             (1, 2): m[:, 1, 0] + m[:, 0, 1], (1, 3): m[:, 0, 2] + m[:, 2, 0], (2, 3): m[:, 2, 1] + m[:, 1, 2]}
    for (i, j), value in pairs.items():
        products[:, i, j] = products[:, j, i] = value
    chosen = products[np.arange(len(m)), squares.argmax(axis=1)]
    return chosen / np.linalg.norm(chosen, axis=1, keepdims=True)


def quat_from_matrix(matrix: np.ndarray) -> np.ndarray:
    """Unit quaternion w x y z [4] of a rotation matrix [3, 3]."""
    return quats_from_matrices(matrix[None])[0]


def multiply_quats(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Hamilton product of one quaternion [4] with many [N, 4]: first `right` turns, then `left`."""
    w, x, y, z = left
    matrix = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return right @ matrix.T
