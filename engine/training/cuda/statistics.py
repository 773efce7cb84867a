"""Image-space gradient norms and visibility of each Gaussian, summed on the device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...core.cameras.camera import Camera
from ..backend import Statistics
from ..group import Group
from .optimise import from_numpy, to_numpy
from .tensors import Footprint


class Gathered:
    """Sums of footprints over steps; see backend.Statistics."""

    def __init__(self, count: int, device: torch.device):
        self._gradient, self._seen, self._radius = torch.zeros(3, count, device=device).unbind()

    @staticmethod
    def restored(visibility_stats: np.ndarray, device: torch.device) -> Gathered:
        """What `visibility_stats` wrote."""
        made = Gathered(0, device)
        made._gradient, made._seen, made._radius = from_numpy(visibility_stats.T, device).unbind()
        return made

    def take(self, rows: Tensor) -> None:
        """Row i becomes old row rows[i]."""
        self._gradient, self._seen, self._radius = (sums.index_select(0, rows) for sums in (self._gradient, self._seen, self._radius))

    def visibility_stats(self) -> np.ndarray:
        """As both engines keep it in a state: gradient, number of visibility_stats and radius [N, 3]."""
        return to_numpy(torch.stack([self._gradient, self._seen, self._radius], dim=1))

    @torch.no_grad()
    def add(self, footprint: Footprint, camera: Camera) -> None:
        """Count one drawing whose way back is done."""
        pull = footprint.gradient()  # [M, 2]
        length = torch.hypot(pull[:, 0] * (camera.width / 2), pull[:, 1] * (camera.height / 2))
        drawn = (footprint.radius > 0).float()
        radius = footprint.radius / max(camera.width, camera.height)
        self._sum(footprint.rows, length * drawn, drawn, radius)

    def _sum(self, rows: Tensor | None, length: Tensor, drawn: Tensor, radius: Tensor) -> None:
        if rows is None:
            self._gradient += length
            self._seen += drawn
            self._radius = torch.maximum(self._radius, radius)
        else:
            self._gradient.index_add_(0, rows, length)
            self._seen.index_add_(0, rows, drawn)
            self._radius.scatter_reduce_(0, rows, radius, "amax")

    def result(self, group: Group) -> Statistics:
        """What all processes of the group gathered together."""
        group.add([self._gradient, self._seen])
        group.maximum([self._radius])
        return Statistics(to_numpy(self._gradient), to_numpy(self._seen).astype("int32"), to_numpy(self._radius))
