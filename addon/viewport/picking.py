"""Whose splats are seen at a place of a viewport.

The canvas keeps a number a pixel: 0 without splats, HIDDEN where something that Blender drew stands before them, else the number of a
placement, beginning with 1. Each splat has left its number with a chance of its alpha, so that of several pixels every object has the share
that is seen of it, however many faint splats that are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

HIDDEN = 65_535
REACH = 2
"""Pixels around the mouse that a click looks at, to each side."""
LEAST_SHARE = 0.25
"""Of these pixels an object must be seen in so many."""
MOST_HIDDEN = 2
"""More hidden pixels among the mouse's and its eight neighbours: what Blender drew there is as thin as a wire, and before the splats."""
LEAST_PIXELS = 4
"""Of an object that is seen in an area; fewer are a chance's."""


@dataclass(frozen=True)
class Area:
    """Pixels of a region, from its lower left corner."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def around(cls, x: int, y: int, reach: int) -> Area:
        """A square with a pixel in its middle."""
        return cls(x - reach, y - reach, 2 * reach + 1, 2 * reach + 1)

    def clipped(self, width: int, height: int) -> Area:
        """The part inside a region of this size; empty where there is none."""
        left, low = max(0, self.x), max(0, self.y)
        return Area(left, low, max(0, min(width, self.x + self.width) - left), max(0, min(height, self.y + self.height) - low))


@dataclass(frozen=True)
class Picked:
    """What is seen in an area."""

    owners: tuple[int, ...]  # by number less one: the session_uid of an object
    area: Area
    numbers: np.ndarray  # [h, w] int

    def at(self, x: int, y: int) -> int | None:
        """Whose splats are in front at a pixel, by most of the pixels around it; None where they are too faint or hidden."""
        rows, columns = np.ogrid[: self.area.height, : self.area.width]
        away = np.maximum(np.abs(columns + self.area.x - x), np.abs(rows + self.area.y - y))
        if (self.numbers[away <= 1] == HIDDEN).sum() > MOST_HIDDEN:
            return None
        counts = self._counts(away <= REACH)
        most = max(counts, key=lambda owner: counts[owner], default=None)
        return most if most is not None and counts[most] >= LEAST_SHARE * (2 * REACH + 1) ** 2 else None

    def within(self, mask: np.ndarray) -> set[int]:
        """Whose splats are seen in the pixels [h, w] of a mask."""
        return {owner for owner, count in self._counts(mask).items() if count >= LEAST_PIXELS}

    def _counts(self, mask: np.ndarray) -> dict[int, int]:
        """Pixels by owner; several placements may belong to one."""
        found, counts = np.unique(self.numbers[mask], return_counts=True)
        total: dict[int, int] = {}
        for number, count in zip(found.tolist(), counts.tolist(), strict=True):
            if 0 < number <= len(self.owners):
                owner = self.owners[number - 1]
                total[owner] = total.get(owner, 0) + count
        return total


def circle_mask(area: Area, x: float, y: float, radius: float) -> np.ndarray:
    """The pixels [h, w] of an area inside a circle."""
    rows, columns = np.ogrid[: area.height, : area.width]
    return (columns + area.x - x) ** 2 + (rows + area.y - y) ** 2 <= radius**2


def lasso_area(path: Sequence[tuple[float, float]]) -> Area:
    """The smallest area around a path."""
    low, high = np.floor(np.min(path, axis=0)).astype(int), np.ceil(np.max(path, axis=0)).astype(int)
    return Area(int(low[0]), int(low[1]), int(high[0] - low[0]) + 1, int(high[1] - low[1]) + 1)


def lasso_mask(area: Area, path: Sequence[tuple[float, float]]) -> np.ndarray:
    """The pixels [h, w] of an area inside a closed path, by the even-odd rule: line by line, where the path crosses it."""
    columns = np.arange(area.width) + area.x
    inside = np.zeros((area.height, area.width), bool)
    points = np.asarray(path, float)
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        low, high = sorted((y1, y2))
        for row in range(max(0, int(np.ceil(low)) - area.y), min(area.height, int(np.ceil(high)) - area.y)):
            crossing = x1 + (row + area.y - y1) * (x2 - x1) / (y2 - y1)
            inside[row] ^= columns > crossing
    return inside
