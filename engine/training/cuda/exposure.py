"""Brightness and tint of each photo: an affine map of its own, so that the splats need not imitate the camera's automatic exposure."""

from __future__ import annotations

import torch
from torch import Tensor


def neutral(views: int) -> Tensor:
    """The identity exposure of every photo, [views, 3, 4]: factors of red, green and blue, then an offset."""
    return torch.zeros(views, 3, 4)


def exposed(rgb: Tensor, alpha: Tensor, exposures: Tensor, view: int) -> Tensor:
    """Colours [H, W, 3], premultiplied by alpha [H, W], as photo `view` would show them: (1 + A) rgb + b alpha."""
    change = exposures[view]
    return rgb + rgb @ change[:, :3].T + alpha[..., None] * change[:, 3]


@torch.no_grad()
def center_(exposures: Tensor) -> None:
    """Take the mean over the photos out, in place: a cast that all photos share belongs into the splats' colours."""
    exposures -= exposures.mean(dim=0, keepdim=True)
