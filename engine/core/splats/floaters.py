"""Floaters: splats that a training leaves in empty space. Found by opacity, by size, and by how few others are near.

Lengths are shares of the scene's extent or multiples of its usual spacing, so the same limits fit a scene in metres and one of
unknown scale, a small and a large one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import UserError
from .gaussians import Gaussians

MIDDLE = (0.05, 0.95)
MOST_CELLS = 2**20
"""Cells along one axis: three of these numbers fit an int64."""


@dataclass(frozen=True)
class FloaterLimits:
    """Limits beyond which a splat is a floater; a limit of 0 is not applied."""

    opacity: float = 0.02  # splats that are fainter
    size: float = 0.3  # splats whose longest axis (standard deviation) is a larger share of the extent
    neighbors: int = 4  # splats that have fewer others within `distance`
    distance: float = 10.0  # in usual spacings, see `spacing`

    def validate(self) -> FloaterLimits:
        """The limits themselves; UserError when one is negative or the opacity is above 1."""
        if not (0 <= self.opacity <= 1 and self.size >= 0 and self.neighbors >= 0 and self.distance >= 0):
            raise UserError("A limit for floaters is negative, or the opacity is above 1.", "Choose limits of 0 or more.",
                            "floaters.limits")
        return self


def floaters(gaussians: Gaussians, limits: FloaterLimits) -> np.ndarray:
    """Mask [N] of the splats that are floaters by any of the limits; all values must be finite."""
    limits.validate()
    size = extent(gaussians.means)
    found = np.zeros(len(gaussians), bool)
    if limits.opacity:
        found |= 1 / (1 + np.exp(-gaussians.opacities.astype(np.float64))) < limits.opacity
    if limits.size and size:
        found |= gaussians.scales.max(axis=1, initial=-np.inf) > np.log(limits.size * size)
    if limits.neighbors and limits.distance and size:
        # Faint and huge splats do not count as neighbours.
        company = np.flatnonzero(~found)
        found[company] = neighbor_counts(gaussians.means[company], limits.distance * spacing(gaussians.means)) < limits.neighbors
    return found


def extent(means: np.ndarray) -> float:
    """The longest side of the box around the middle nine tenths of the points [N, 3] along each axis; 0 without points."""
    if not len(means):
        return 0.0
    low, high = np.quantile(means.astype(np.float64), MIDDLE, axis=0)
    return float((high - low).max())


def spacing(means: np.ndarray) -> float:
    """How far apart neighbours would be if all points [N, 3] lay evenly on a surface as large as the scene; 0 without points."""
    return extent(means) / max(1, len(means)) ** 0.5


def neighbor_counts(means: np.ndarray, distance: float) -> np.ndarray:
    """How many others each point [N, 3] has in its own and the 26 neighbouring cells of a grid of `distance`; int64 [N].

    A count without a search tree: all others within `distance` are in, some up to 2 √3 times as far too.
    """
    if not len(means):
        return np.zeros(0, np.int64)
    cells = _cells(means, distance)
    keys, first, rows, counts = np.unique(_key(cells), return_index=True, return_inverse=True, return_counts=True)
    before = np.concatenate([[0], np.cumsum(counts)])  # points in the cells before each
    total = np.zeros(len(keys), np.int64)
    for x, y in np.ndindex(3, 3):
        middle = _key(cells[first] + np.array([x - 1, y - 1, 0]))
        # Cells above each other have numbers in a row.
        total += before[np.searchsorted(keys, middle + 1, "right")] - before[np.searchsorted(keys, middle - 1)]
    return total[rows] - 1


def _cells(means: np.ndarray, distance: float) -> np.ndarray:
    """Cell [N, 3] of each point, counted from 1. What lies too far out for the numbers shares the last cells."""
    low = np.quantile(means.astype(np.float64), 0.5, axis=0) - 0.5 * MOST_CELLS * distance
    return np.floor((means - low) / distance).clip(1, MOST_CELLS - 2).astype(np.int64)


def _key(cells: np.ndarray) -> np.ndarray:
    """One number [N] for each cell [N, 3]."""
    return (cells[:, 0] * MOST_CELLS + cells[:, 1]) * MOST_CELLS + cells[:, 2]
