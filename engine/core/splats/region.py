"""A box around what a training is about: outside of it only the background grows, of fewer and larger Gaussians."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import UserError
from ..parsing import finite
from .transform import rotation_matrices

CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)  # [8, 3], of the cube that is the box's inside
EDGES = ((0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (0, 4), (1, 5), (2, 6), (3, 7))
"""Pairs of corners."""

LEAST = 1e-9
"""A box whose shortest half side is this share of its longest is flat."""


@dataclass(frozen=True)
class Region:
    """An oriented box in a dataset's axes: `matrix`, by rows, brings the cube from -1 to 1 onto it."""

    matrix: tuple[tuple[float, ...], ...]

    @property
    def corners(self) -> np.ndarray:
        """[8, 3], in the order that EDGES counts in."""
        return self.placed(CORNERS)

    def placed(self, inside: np.ndarray) -> np.ndarray:
        """Places [N, 3] of the cube in the dataset's axes."""
        matrix = np.array(self.matrix, float)
        return inside @ matrix[:3, :3].T + matrix[:3, 3]

    def contains(self, places: np.ndarray) -> np.ndarray:
        """Mask [N] of the places [N, 3] that lie inside."""
        matrix = np.array(self.matrix, float)
        return (np.abs((places - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T) <= 1).all(axis=1)

    def moved(self, by: Sequence[float] | np.ndarray) -> Region:
        """The same box elsewhere."""
        matrix = np.array(self.matrix, float)
        matrix[:3, 3] += by
        return region_of(matrix)


def region_of(matrix: np.ndarray | Sequence[Sequence[float]]) -> Region:
    """The region that a matrix [4, 4] makes of the cube from -1 to 1. UserError for one without any room in it."""
    matrix = np.asarray(matrix, float)
    sides = np.linalg.svd(matrix[:3, :3], compute_uv=False) if np.isfinite(matrix).all() else np.zeros(3)
    if not sides[2] > LEAST * sides[0]:
        raise UserError("The region has no room in it.", "Give it a width, a depth and a height.", "region.flat")
    return Region((*(tuple(row) for row in matrix[:3].tolist()), (0.0, 0.0, 0.0, 1.0)))


def region_from_words(text: str) -> Region:
    """The region that people write: middle and sides, "x y z  sx sy sz", and where it is turned a quaternion "w x y z" after them.

    UserError for anything else.
    """
    try:
        numbers = [finite(float(word)) for word in text.replace(",", " ").split()]
    except ValueError:
        numbers = []
    if len(numbers) not in (6, 10) or (len(numbers) == 10 and not any(numbers[6:])):
        raise UserError(f"{text!r} is no region.", "Give its middle and its sides, \"x y z  sx sy sz\", and a quaternion \"w x y z\" after "
                        "them where it is turned.", "region.words", text=text)
    quat = np.array([numbers[6:] or [1.0, 0.0, 0.0, 0.0]])
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_matrices(quat)[0] * (np.array(numbers[3:6]) / 2)
    matrix[:3, 3] = numbers[:3]
    return region_of(matrix)
