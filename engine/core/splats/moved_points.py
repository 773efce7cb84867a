"""Points that were moved in groups, each group by one affine map: found by comparing where they are with where they were.

Groups need not be known beforehand. Runs of neighbouring rows are tried first, as objects that were joined lie one after the other,
then points that lie near each other; a run that one map moved is grown to all rows that the map moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .placing import fit_affine

ROUNDING = 4e-6
"""Share of a coordinate that some turns in single precision may change it by."""

MOST_GROUPS = 1000
FEW = 100_000
"""So many rows that nothing else explains are searched for small groups."""

SPREAD = 3000.0
"""In multiples of the rounding: how far apart three points must lie before a map that fits them is no coincidence."""


@dataclass(frozen=True)
class MovedGroup:
    """The affine map [4, 4] that some rows [K] made."""

    matrix: np.ndarray
    rows: np.ndarray

    @property
    def turned(self) -> bool:
        """Whether the map does more than to shift."""
        return bool(np.abs(self.matrix[:3, :3] - np.eye(3)).max() > 0)


@dataclass(frozen=True)
class MovedPoints:
    """What happened to the points that are not where they were."""

    groups: list[MovedGroup] = field(default_factory=list)
    loose: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    """rows [K] that moved in no group of at least three: how they were turned cannot be known"""
    unknown: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    """rows [K] of which nobody noted where they were: their rest is zero, as attributes are where a joined object had none"""

    @property
    def turned(self) -> list[MovedGroup]:
        """The groups that were turned, scaled or sheared, and not only shifted."""
        return [group for group in self.groups if group.turned]


def moved_points(rest: np.ndarray, moved: np.ndarray) -> MovedPoints:
    """The maps that brought points [N, 3] from where they rested to where they are. Every row is looked at.

    Shifts count as maps. Rows that are not finite are left out.
    """
    finite = np.isfinite(rest).all(axis=1) & np.isfinite(moved).all(axis=1)
    elsewhere = finite & (rest != moved).any(axis=1)
    if not elsewhere.any():
        return MovedPoints()
    search = _Search(rest.astype(np.float64), moved.astype(np.float64), elsewhere)
    noted = elsewhere & (rest != 0).any(axis=1)
    for order, size, stride in _passes(search, np.flatnonzero(noted)):
        search.scan(order, size, stride)
    left = search.free
    return MovedPoints(search.groups, np.flatnonzero(left & noted), np.flatnonzero(left & ~noted))


def _passes(search: _Search, rows: np.ndarray) -> Iterator[tuple[np.ndarray, int, int]]:
    """Orders of the rows that are left, how many neighbours are tried together, and how far apart the tries are."""
    yield rows, 8, 8
    for places in (search.moved, search.rest):
        rows = rows[search.free[rows]]
        if len(rows) >= 8:
            yield rows[np.argsort(_morton(places[rows]), kind="stable")], 8, 8
    for size in (5, 3):
        rows = rows[search.free[rows]]
        if len(rows) <= FEW:
            yield rows, size, 1


class _Search:
    """The rows [N] that no group has yet, and the groups that are found."""

    def __init__(self, rest: np.ndarray, moved: np.ndarray, free: np.ndarray):
        self.rest, self.moved, self.free = rest, moved, free.copy()
        self.near = ROUNDING * np.maximum(np.abs(rest).max(axis=1), np.abs(moved).max(axis=1))  # [N]
        self.groups: list[MovedGroup] = []

    def scan(self, order: np.ndarray, size: int, stride: int) -> None:
        """Try windows of so many rows along an order."""
        rows, start, many = order, 0, 64
        while len(rows) - start >= size and len(self.groups) < MOST_GROUPS:
            starts = np.arange(start, len(rows) - size + 1, stride)[:many]
            fits = self._windows_fit(rows[starts[:, None] + np.arange(size)])
            if not fits.any():
                start, many = int(starts[-1]) + stride, min(2 * many, 16_384)
                continue
            first = int(starts[np.argmax(fits)])
            group = self._grown(rows[first:], size)
            if group is None:
                start = first + stride
                continue
            self.groups.append(group)
            self.free[group.rows] = False
            left = self.free[rows]
            start, rows, many = max(0, int(left[:first].sum()) - size + 1), rows[left], 64

    def _windows_fit(self, windows: np.ndarray) -> np.ndarray:
        """Mask [W] of the windows [W, K] of rows whose points one map moved: an affine one, a similarity where they are fewer than five."""
        before, after = self.rest[windows], self.moved[windows]
        before, after = before - before.mean(axis=1, keepdims=True), after - after.mean(axis=1, keepdims=True)
        values, axes = np.linalg.eigh(before.transpose(0, 2, 1) @ before)  # ascending
        if windows.shape[1] < 5:
            apart = np.sqrt(np.maximum(values[:, 1], 0)) > SPREAD * self.near[windows].max(axis=1)
            left = after - before @ _similarities(before, after)
        else:
            apart = values[:, 2] > 0
            inverse = np.where(values > 1e-10 * values[:, 2:], 1 / np.maximum(values, 1e-300), 0)
            change = (axes * inverse[:, None, :]) @ axes.transpose(0, 2, 1) @ before.transpose(0, 2, 1) @ (after - before)
            left = after - before - before @ change
        return apart & (np.abs(left).max(axis=2) <= self.near[windows]).all(axis=1)

    def _grown(self, rows: np.ndarray, size: int) -> MovedGroup | None:
        """The group of the window at the head of the rows; None where its points lie on a line, which turns unseen about itself."""
        found, count = self._fit(rows[:size]), size
        while found is not None and count < len(rows):
            longer = self._fit(rows[: 2 * count])
            if longer is None:
                break
            found, count = longer, min(2 * count, len(rows))
        members = rows[:count]
        for _ in range(12):
            if found is None:
                return None
            fitting = self._fitting(found)
            wider = self._fit(fitting) if len(fitting) > len(members) else None
            if wider is None:
                break
            found, members = wider, fitting
        return None if found is None else MovedGroup(found, members)

    def _fitting(self, matrix: np.ndarray) -> np.ndarray:
        """The free rows that a map moved."""
        rows = np.flatnonzero(self.free)
        return rows[self._distances(matrix, rows) <= self.near[rows]]

    def _fit(self, rows: np.ndarray) -> np.ndarray | None:
        """The simplest map of all the rows: a shift, a turn with an even scale, then any affine one. None where none fits."""
        before, after = self.rest[rows], self.moved[rows]
        center, there = before.mean(axis=0), after.mean(axis=0)
        spread = np.linalg.svd(before - center, compute_uv=False) if len(rows) < 64 else np.sqrt(
            np.maximum(np.linalg.eigvalsh((before - center).T @ (before - center))[::-1], 0))
        tries = [np.eye(3)]
        if spread[1] > max(1e-5 * spread[0], self.near[rows].max()):
            tries += _turns(before - center, after - there)
            if len(rows) >= 5:
                tries.append(_affine(before, after, flat=bool(spread[2] <= max(1e-5 * spread[0], self.near[rows].max()))))
        for linear in tries:
            matrix = np.eye(4)
            matrix[:3, :3], matrix[:3, 3] = linear, there - linear @ center
            if (self._distances(matrix, rows) <= self.near[rows]).all():
                return matrix
        return None

    def _distances(self, matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """How far the rows [K] are from where a map brings them, along the axis on which it is most."""
        return np.abs(self.rest[rows] @ matrix[:3, :3].T + matrix[:3, 3] - self.moved[rows]).max(axis=1)


def _similarities(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """For centred windows [W, K, 3] the turns with an even scale [W, 3, 3], as factors from the right (Umeyama 1991)."""
    left, values, right = np.linalg.svd(before.transpose(0, 2, 1) @ after)
    proper = np.ones_like(values)
    proper[:, 2] = np.sign(np.linalg.det(left @ right))
    size = np.maximum((before**2).sum(axis=(1, 2)), 1e-300)
    return (left * proper[:, None, :]) @ right * ((values * proper).sum(axis=1) / size)[:, None, None]


def _turns(before: np.ndarray, after: np.ndarray) -> list[np.ndarray]:
    """The best turn with an even scale [3, 3] for centred points [K, 3], and the best one that mirrors as well."""
    left, values, right = np.linalg.svd(before.T @ after)
    sign, size = np.sign(np.linalg.det(left @ right)), (before**2).sum()
    ends = ([1, 1, sign], [1, 1, -sign])
    return [((left * end) @ right).T * float((values * end).sum() / size) for end in ends]


def _affine(before: np.ndarray, after: np.ndarray, flat: bool) -> np.ndarray:
    """The best linear part [3, 3]; of points in a plane nobody sees what became of its normal: it stays one, of its length."""
    linear = fit_affine(before, after)[0][:3, :3]
    if not flat:
        return linear
    axes = np.linalg.svd(before - before.mean(axis=0), full_matrices=False)[2]
    normal = np.cross(linear @ axes[0], linear @ axes[1])
    size = np.linalg.norm(normal)
    if size > 0:
        normal *= np.linalg.det(axes) / size
    return np.stack([linear @ axes[0], linear @ axes[1], normal], axis=1) @ axes


def _morton(places: np.ndarray) -> np.ndarray:
    """Codes [N] by which points that lie near each other are sorted together."""
    low = places.min(axis=0)
    cells = ((places - low) / max(float((places - low).max()), 1e-300) * (2**20 - 1)).astype(np.uint64)
    code = np.zeros(len(places), np.uint64)
    for bit in range(20):
        for axis in range(3):
            code |= ((cells[:, axis] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(3 * bit + axis)
    return code
