"""Spherical harmonics: values, and what a rotation or a mirror does to them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.core.splats.sh import rotate_sh, sh_basis, sh_rotation


def directions(count: int = 50, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).standard_normal((count, 3))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def random_rotation(seed: int, mirrored: bool) -> np.ndarray:
    rotation = Rotation.random(random_state=seed).as_matrix()
    return rotation @ np.diag([-1.0, 1.0, 1.0]) if mirrored else rotation


def test_basis_is_orthonormal() -> None:
    """Exact quadrature: Gauss-Legendre in z, even steps around it."""
    z, weights = np.polynomial.legendre.leggauss(8)
    angles = np.arange(16) * 2 * np.pi / 16
    radius = np.sqrt(1 - z * z)
    grid = np.stack([np.outer(radius, np.cos(angles)), np.outer(radius, np.sin(angles)), np.outer(z, np.ones(16))], axis=2)
    basis = sh_basis(3, grid.reshape(-1, 3))
    gram = (basis * np.repeat(weights, 16)[:, None] * 2 * np.pi / 16).T @ basis
    assert np.allclose(gram, np.eye(16), atol=1e-12)


def test_signs_and_order_are_those_of_3d_gaussian_splatting() -> None:
    """Its constants C1, C2, C3 written out for one direction (graphdeco-inria, utils/sh_utils.py)."""
    x, y, z = 0.36, -0.48, 0.8
    xx, yy, zz = x * x, y * y, z * z
    expected = [
        0.28209479177387814,
        -0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x,
        1.0925484305920792 * x * y, -1.0925484305920792 * y * z, 0.31539156525252005 * (2 * zz - xx - yy),
        -1.0925484305920792 * x * z, 0.5462742152960396 * (xx - yy),
        -0.5900435899266435 * y * (3 * xx - yy), 2.890611442640554 * x * y * z, -0.4570457994644658 * y * (4 * zz - xx - yy),
        0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy), -0.4570457994644658 * x * (4 * zz - xx - yy),
        1.445305721320277 * z * (xx - yy), -0.5900435899266435 * x * (xx - 3 * yy),
    ]
    assert np.allclose(sh_basis(3, np.array([[x, y, z]]))[0], expected, atol=1e-12)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_lower_degrees_begin_the_higher_ones(degree: int) -> None:
    assert np.array_equal(sh_basis(degree, directions()), sh_basis(3, directions())[:, : (degree + 1) ** 2])


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_turned_harmonics_are_seen_from_turned_directions(degree: int, mirrored: bool) -> None:
    rotation, seen = random_rotation(3, mirrored), directions()
    shN = np.random.default_rng(1).standard_normal((4, (degree + 1) ** 2 - 1, 3)).astype(np.float32)
    turned = rotate_sh(shN, rotation)
    assert turned.dtype == np.float32 and turned.shape == shN.shape
    before = np.einsum("dk,nkc->ndc", sh_basis(degree, seen)[:, 1:], shN)
    after = np.einsum("dk,nkc->ndc", sh_basis(degree, seen @ rotation.T)[:, 1:], turned)
    assert np.abs(after - before).max() < 1e-5


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_rotation_matrices_are_orthogonal_and_compose(degree: int) -> None:
    first, second = random_rotation(1, False), random_rotation(2, True)
    matrix = sh_rotation(degree, first)
    assert np.allclose(matrix @ matrix.T, np.eye(2 * degree + 1), atol=1e-12)
    assert np.allclose(sh_rotation(degree, second @ first), sh_rotation(degree, second) @ matrix, atol=1e-12)


def test_point_reflection_changes_the_sign_of_odd_degrees() -> None:
    for degree, sign in ((1, -1), (2, 1), (3, -1)):
        assert np.allclose(sh_rotation(degree, -np.eye(3)), sign * np.eye(2 * degree + 1), atol=1e-12)


def test_nothing_to_turn() -> None:
    assert rotate_sh(np.zeros((5, 0, 3), np.float32), random_rotation(0, False)).shape == (5, 0, 3)
    assert rotate_sh(np.zeros((0, 15, 3), np.float32), random_rotation(0, False)).shape == (0, 15, 3)
