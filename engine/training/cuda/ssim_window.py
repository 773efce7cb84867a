"""The Gaussian window and the constants of structural similarity (Wang et al. 2004)."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

RADIUS, SIGMA = 5, 1.5
"""Gaussian window of 11 pixels."""

C1, C2 = 0.01**2, 0.03**2
"""Wang's K1 = 0.01 and K2 = 0.03 for values in [0, 1]."""


@lru_cache(maxsize=8)
def window(kind: torch.dtype, device: torch.device) -> Tensor:
    """Weights [11] that add up to one."""
    offsets = torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float64)
    weights = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    return (weights / weights.sum()).to(device, kind)
