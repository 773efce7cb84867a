"""What densification may do outside of a region: little, so that the budget goes where the training is about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.splats.region import Region

BACKGROUND = 0.1
"""Share of the cap that Gaussians outside of the region may take."""

COARSE = 0.02
"""Gaussians outside whose largest axis is below this share of the scene are made no finer."""


@dataclass(frozen=True)
class Growth:
    """Where Gaussians may be added."""

    region: Region
    max_gaussians: int
    scene_scale: float

    def allowed(self, means: np.ndarray, scales: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Mask [M] of rows [M], the most urgent first, that may become two: all inside, and outside coarse ones while there is room.

        `means` and `scales` (logarithms) [N, 3] are those of all Gaussians.
        """
        outside = ~self.region.contains(means)
        room = int(BACKGROUND * self.max_gaussians) - int(outside.sum())
        coarse = np.exp(scales[rows].max(axis=1)) > COARSE * self.scene_scale
        there = outside[rows]
        beside = there & coarse
        return ~there | (beside & (np.cumsum(beside) <= room))

    def sources(self, means: np.ndarray) -> np.ndarray | None:
        """Mask [N] of Gaussians that others may be moved onto or copied from; None: all.

        Outside of the region none while the background has its share: what is freed there goes inside.
        """
        inside = self.region.contains(means)
        full = int((~inside).sum()) >= int(BACKGROUND * self.max_gaussians)
        return inside if full and inside.any() else None
