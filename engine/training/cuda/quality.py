"""PSNR and SSIM of an image, computed on the device."""

from __future__ import annotations

import torch
from torch import Tensor

from ..evaluate import decibels, masked_ssim
from .ssim import ssim


@torch.no_grad()
def quality(image: Tensor, truth: Tensor, mask: Tensor | None = None) -> tuple[float, float]:
    """PSNR in dB (100 for equal ones) and SSIM of images [H, W, 3] in [0, 1] where the mask [H, W] is 1; waits for the device."""
    image, share = image.clamp(0.0, 1.0), 1.0
    if mask is not None:
        kept = mask >= 0.5
        image, share = torch.where(kept[..., None], image, truth), float(kept.float().mean())
    error = float(((image - truth) ** 2).mean(dtype=torch.float64)) / share
    return decibels(error), masked_ssim(float(ssim(image, truth)), share)
