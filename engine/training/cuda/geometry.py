"""Directions of Gaussians: rotations, exploration along the own axes, normals."""

from __future__ import annotations

import torch
from torch import Tensor

from .tensors import Parameters, TensorCamera

EXPLORING_OPACITY, GATE_STEEPNESS, GATE_CLOSED = 0.005, 100.0, 1e-4
"""Exploration fades in below this opacity (3DGS-MCMC, equation 9); the same constants as the built-in kernels'."""

BITS = 21
"""Of each coordinate in a place's number of 63 bits."""

SPREADING = ((32, 0x1F00000000FFFF), (16, 0x1F0000FF0000FF), (8, 0x100F00F00F00F00F), (4, 0x10C30C30C30C30C3), (2, 0x1249249249249249))
"""Puts two zero bits between the bits of a number."""


def rotated(quats: Tensor, vectors: Tensor) -> Tensor:
    """Vectors [N, 3] turned by unit quaternions w x y z [N, 4]."""
    w, axis = quats[:, :1], quats[:, 1:]
    twice = 2.0 * torch.linalg.cross(axis, vectors)
    return vectors + w * twice + torch.linalg.cross(axis, twice)


def conjugate(quats: Tensor) -> Tensor:
    """The inverse rotations of unit quaternions [N, 4]."""
    return torch.cat([quats[:, :1], -quats[:, 1:]], dim=1)


@torch.no_grad()
def order_of_places(means: Tensor) -> Tensor:
    """Rows [N] along a Z-order curve through points [N, 3] (Morton 1966): neighbours in space become neighbours in memory."""
    finite = means.nan_to_num(0.0, 0.0, 0.0)
    low, high = finite.amin(dim=0), finite.amax(dim=0)
    cells = ((finite - low) / (high - low).amax().clamp_min(1e-12) * (2**BITS - 1)).long()  # [N, 3]
    for shift, mask in SPREADING:
        cells = (cells | (cells << shift)) & mask
    return torch.argsort(cells[:, 0] | (cells[:, 1] << 1) | (cells[:, 2] << 2), stable=True)


@torch.no_grad()
def explore_(parameters: Parameters, noise: float, generator: torch.Generator) -> None:
    """Shake nearly transparent Gaussians along their own covariance, in place (3DGS-MCMC, Kheradmand et al. 2024, equation 8)."""
    means, quats = parameters["means"], torch.nn.functional.normalize(parameters["quats"], dim=1)
    opacity = parameters["opacities"].sigmoid()
    gate = (GATE_STEEPNESS * (EXPLORING_OPACITY - opacity)).sigmoid()
    gate = torch.where(gate > GATE_CLOSED, gate, torch.zeros_like(gate))
    normal = torch.randn(means.shape, generator=generator, device=means.device)
    along = rotated(conjugate(quats), normal) * (2.0 * parameters["scales"]).exp()
    means += rotated(quats, along) * (noise * gate)[:, None]


def facing_normals(parameters: Parameters, camera: TensorCamera) -> Tensor:
    """Unit normals [N, 3] in the world: each Gaussian's shortest axis, on the side that the camera sees."""
    quats = torch.nn.functional.normalize(parameters["quats"], dim=1)
    axes = torch.arange(3, device=quats.device)
    shortest = (axes == parameters["scales"].detach().argmin(dim=1, keepdim=True)).to(quats)
    normals = rotated(quats, shortest)
    away = (normals.detach() * view_directions(parameters["means"].detach(), camera)).sum(dim=1, keepdim=True) > 0
    return torch.where(away, -normals, normals)


def view_directions(means: Tensor, camera: TensorCamera) -> Tensor:
    """From the camera to points [N, 3], of any length; parallel for orthographic cameras."""
    if camera.orthographic:
        return camera.viewmat[2, :3].expand_as(means)
    return means - camera.position
