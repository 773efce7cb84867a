"""Structural similarity (Wang et al. 2004): fused on a GPU, plain torch elsewhere."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from .ssim_window import C1, C2, RADIUS, window


def ssim(image: Tensor, truth: Tensor) -> Tensor:
    """Mean similarity of two images [H, W, C] in [0, 1], zeros beyond the border; differentiable by the first."""
    if image.is_cuda and _has_triton():
        from .ssim_triton import fused_ssim

        return fused_ssim(image, truth)
    return plain_ssim(image, truth)


def plain_ssim(image: Tensor, truth: Tensor) -> Tensor:
    """The same in plain torch, on any device."""
    x, y = image.permute(2, 0, 1), truth.permute(2, 0, 1)
    mean_x, mean_y, squares, product = blurred(torch.stack([x, y, x * x + y * y, x * y])).unbind(0)
    both, means = 2 * mean_x * mean_y, mean_x**2 + mean_y**2
    return ((both + C1) * (2 * product - both + C2) / ((means + C1) * (squares - means + C2))).mean()


def blurred(maps: Tensor) -> Tensor:
    """Maps [..., H, W] under the window: once along rows, once along columns."""
    line = window(maps.dtype, maps.device)
    flat = maps.reshape(-1, 1, *maps.shape[-2:])
    flat = torch.nn.functional.conv2d(flat, line[None, None, None], padding=(0, RADIUS))
    return torch.nn.functional.conv2d(flat, line[None, None, :, None], padding=(RADIUS, 0)).reshape(maps.shape)


@lru_cache(maxsize=1)
def _has_triton() -> bool:
    try:
        import triton  # noqa: F401  # pyright: ignore[reportMissingImports]  # comes with PyTorch for CUDA
    except ImportError:
        return False
    return True
