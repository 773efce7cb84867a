"""Quality of a picture, measured on the device."""

from __future__ import annotations

import torch
from torch import Tensor

from .ssim import ssim


@torch.no_grad()
def quality(image: Tensor, truth: Tensor) -> tuple[float, float]:
    """PSNR in dB (100 for equal ones) and SSIM of images [H, W, 3] in [0, 1]; waits for the device."""
    image = image.clamp(0.0, 1.0)
    error = float(((image - truth) ** 2).mean(dtype=torch.float64))
    psnr = min(100.0, -10.0 * float(torch.log10(torch.tensor(error)))) if error > 0 else 100.0
    return psnr, float(ssim(image, truth))
