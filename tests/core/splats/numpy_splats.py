"""Splats drawn by numpy in float64 without any cut-off: slow, and smooth enough to compare pictures digit by digit."""

from __future__ import annotations

import numpy as np

from engine.core.cameras.camera import Camera
from engine.core.splats.gaussians import Gaussians
from engine.core.splats.sh import sh_basis
from engine.core.splats.transform import rotation_matrices

LOW_PASS = 0.3  # px²


def draw(gaussians: Gaussians, camera: Camera, antialiased: bool = False) -> np.ndarray:
    """Colour over black and alpha, [H, W, 4]; EWA splatting (Zwicker et al. 2002) as 3D Gaussian Splatting does it.

    Antialiased: opacities are lowered such that the low-pass keeps every Gaussian's integral (Yu et al. 2024).
    """
    viewmat = camera.viewmat
    local = gaussians.means.astype(np.float64) @ viewmat[:3, :3].T + viewmat[:3, 3]  # [N, 3]
    sharp = _image_covariances(gaussians, camera, local)
    shapes = sharp + LOW_PASS * np.eye(2)
    colors, opacities = seen_colors(gaussians, camera.position), 1 / (1 + np.exp(-gaussians.opacities.astype(np.float64)))
    if antialiased:
        opacities = opacities * np.sqrt(np.linalg.det(sharp) / np.linalg.det(shapes))
    pixels = np.stack(np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5), axis=2)
    centers = local[:, :2] / local[:, 2:] * [camera.fl_x, camera.fl_y] + [camera.cx, camera.cy]
    picture = np.zeros((camera.height, camera.width, 4))
    for row in np.argsort(-local[:, 2], kind="stable"):
        if local[row, 2] < 0.01:
            continue
        offset = pixels - centers[row]
        distance2 = np.einsum("hwi,ij,hwj->hw", offset, np.linalg.inv(shapes[row]), offset)
        alpha = (opacities[row] * np.exp(-0.5 * distance2))[..., None]
        picture = np.append(colors[row], 1.0) * alpha + picture * (1 - alpha)
    return picture


def seen_colors(gaussians: Gaussians, position: np.ndarray) -> np.ndarray:
    """Colours [N, 3] of the Gaussians from a place in the world [3]."""
    directions = gaussians.means.astype(np.float64) - position
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    coefficients = np.concatenate([gaussians.sh0, gaussians.shN], axis=1).astype(np.float64)
    return np.maximum(0.0, 0.5 + np.einsum("nk,nkc->nc", sh_basis(gaussians.sh_degree, directions), coefficients))


def covariances(gaussians: Gaussians) -> np.ndarray:
    """World covariances [N, 3, 3]."""
    axes = rotation_matrices(gaussians.quats) * np.exp(gaussians.scales.astype(np.float64))[:, None, :]
    return axes @ axes.transpose(0, 2, 1)


def _image_covariances(gaussians: Gaussians, camera: Camera, local: np.ndarray) -> np.ndarray:
    x, y, z = local.T
    zero = np.zeros_like(x)
    jacobian = np.stack([camera.fl_x / z, zero, -camera.fl_x * x / z**2, zero, camera.fl_y / z, -camera.fl_y * y / z**2], axis=1)
    to_image = jacobian.reshape(-1, 2, 3) @ camera.viewmat[:3, :3]
    return to_image @ covariances(gaussians) @ to_image.transpose(0, 2, 1)
