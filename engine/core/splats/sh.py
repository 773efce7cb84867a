"""Real spherical harmonics up to degree 3, in the order and with the signs of 3D Gaussian Splatting."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

MAX_DEGREE = 3


def sh_basis(degree: int, directions: np.ndarray) -> np.ndarray:
    """The (degree + 1)² basis functions at unit directions [N, 3] -> [N, (degree + 1)²], float64.

    Sloan, "Efficient Spherical Harmonic Evaluation", JCGT 2013; coefficient order m = -l ... l within each degree.
    """
    x, y, z = np.asarray(directions, np.float64).T
    basis = [np.full_like(x, 0.28209479177387814)]
    if degree >= 1:
        basis += [-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x]
    if degree >= 2:
        basis += [1.0925484305920792 * x * y, -1.0925484305920792 * y * z, 0.31539156525252005 * (3 * z * z - 1),
                  -1.0925484305920792 * x * z, 0.5462742152960396 * (x * x - y * y)]
    if degree >= 3:
        basis += [-0.5900435899266435 * y * (3 * x * x - y * y), 2.890611442640554 * x * y * z,
                  -0.4570457994644658 * y * (5 * z * z - 1), 0.3731763325901154 * z * (5 * z * z - 3),
                  -0.4570457994644658 * x * (5 * z * z - 1), 1.445305721320277 * z * (x * x - y * y),
                  -0.5900435899266435 * x * (x * x - 3 * y * y)]
    return np.stack(basis, axis=1)


def sh_rotation(degree: int, rotation: np.ndarray) -> np.ndarray:
    """The matrix [2l+1, 2l+1] that turns one degree's coefficients with an orthogonal matrix [3, 3].

    A colour seen from direction d before is seen from rotation @ d after. Found by evaluating the basis at more
    directions than unknowns, which holds for reflections as well.
    """
    directions = _directions()
    own = slice(degree * degree, (degree + 1) ** 2)
    before = sh_basis(degree, directions @ rotation)[:, own]  # rows are (rotation^T d)^T
    after = sh_basis(degree, directions)[:, own]
    matrix = np.linalg.lstsq(after, before, rcond=None)[0]
    matrix[np.abs(matrix) < 1e-14] = 0.0
    return matrix


def rotate_sh(shN: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Turn the coefficients of degree 1 and up, [N, K-1, 3] float32, with an orthogonal matrix [3, 3]; degree 3 at most."""
    count = shN.shape[1]
    if not count:
        return shN
    whole = np.zeros((count, count))
    for degree in range(1, MAX_DEGREE + 1):
        own = slice(degree * degree - 1, (degree + 1) ** 2 - 1)
        if own.stop <= count:
            whole[own, own] = sh_rotation(degree, rotation)
    # All coefficients of a row in one product: rows of 3 (K-1) numbers times a matrix that treats the channels alike.
    matrix = np.kron(whole.T, np.eye(3)).astype(np.float32)
    return (np.ascontiguousarray(shN, np.float32).reshape(len(shN), 3 * count) @ matrix).reshape(shN.shape)


@lru_cache(maxsize=1)
def _directions() -> np.ndarray:
    """Unit directions [64, 3] spread over the sphere (Fibonacci lattice)."""
    index = np.arange(64) + 0.5
    z = 1 - 2 * index / 64
    angle = np.pi * (1 + 5**0.5) * index
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)
