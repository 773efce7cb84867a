"""Small corrections to the photos' poses: a turn and a shift of each camera in the world."""

from __future__ import annotations

import torch
from torch import Tensor

TINY = 1e-24
"""Keeps the length of no rotation differentiable."""


def unmoved(views: int) -> Tensor:
    """What every photo starts with, [views, 6]: rotation vector in radians, then a shift in units of the cameras' spread."""
    return torch.zeros(views, 6)


def spread(positions: Tensor) -> float:
    """Root mean square distance of cameras [views, 3] from their middle; 1 where they all stand on one spot."""
    return float((positions - positions.mean(dim=0)).square().sum(dim=1).mean().sqrt()) or 1.0


def refined(viewmat: Tensor, corrections: Tensor, view: int, unit: float) -> Tensor:
    """The world-to-camera matrix [4, 4] of a photo: its camera turned about its own centre, and shifted by `unit` times its correction."""
    turn, shift = corrections[view, :3], corrections[view, 3:] * unit
    rotation = viewmat[:3, :3] @ rotation_matrix(turn).T
    position = -viewmat[:3, :3].T @ viewmat[:3, 3] + shift
    top = torch.cat([rotation, -(rotation @ position)[:, None]], dim=1)
    return torch.cat([top, viewmat[3:]])


def rotation_matrix(vector: Tensor) -> Tensor:
    """Of a rotation vector [3] (Rodrigues), differentiable at zero too."""
    angle = (vector.square().sum() + TINY).sqrt()
    x, y, z = vector.unbind()
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)
    half = torch.sinc(angle / (2 * torch.pi))
    return torch.eye(3, dtype=cross.dtype, device=cross.device) + torch.sinc(angle / torch.pi) * cross + 0.5 * half**2 * (cross @ cross)


@torch.no_grad()
def anchor_(corrections: Tensor, positions: Tensor) -> None:
    """Take out, in place, what all corrections share: a turn, a shift and a growth of the whole scene, which no image can tell.

    `positions` [views, 3] are the cameras' places in units of their spread. Without this the splats would slowly leave the
    dataset's frame.
    """
    corrections -= corrections.mean(dim=0, keepdim=True)
    outward = positions - positions.mean(dim=0)
    growth = (corrections[:, 3:] * outward).sum() / outward.square().sum().clamp_min(1e-12)
    corrections[:, 3:] -= growth * outward
