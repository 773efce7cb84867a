"""Distances between neighbouring points."""

from __future__ import annotations

import numpy as np

NEIGHBOURS = 3
WINDOW = 8

LEAST, ALONE = 1e-6, 0.1
"""Distances in the scene's unit of points that lie on top of each other, which would make specks of nothing, and of one by itself."""

MIDDLE, STRAY = (0.01, 0.99), 100.0
"""The box around the middle points; where all points take up more than so many of its sides, the grid is three of them."""


def neighbour_distance(points: np.ndarray, unit: float = 1.0) -> np.ndarray:
    """Mean distance [N] from each point [N, 3] to its nearest neighbours, close to exact. `unit`: of the scene's length.

    Candidates are the neighbours in three orders along a Z-order curve, each of a shifted grid: no tree is needed.
    """
    count = len(points)
    if count < 2:
        return np.full(count, ALONE * unit, np.float32)
    low, extent = _grid(points)
    inside = ((points - low) / extent).astype(np.float32)  # [N, 3] in [0, 1], but for strays
    squared = np.full((count, NEIGHBOURS), np.inf, np.float32)
    rows = np.full((count, NEIGHBOURS), -1)
    for shift in (0.0, 0.211, 0.377):
        order = np.argsort(_z_order((inside + shift) * 0.5), kind="stable")
        squared[order], rows[order] = _merge_window(squared[order], rows[order], inside[order], order)
    known = np.where(np.isfinite(squared), squared, np.nan)
    return (np.sqrt(np.nanmean(known, axis=1)) * extent).astype(np.float32).clip(LEAST * unit)


def nearest_rows(points: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The row of points [N, 3], N > 0, that lies next to each query [M, 3], close to exact: found as neighbour_distance() does."""
    low, extent = _grid(points)
    best, rows = np.full(len(queries), np.inf), np.zeros(len(queries), np.int64)
    for shift in (0.0, 0.211, 0.377):
        codes, asked = (_z_order((((places - low) / extent).astype(np.float32) + shift) * 0.5) for places in (points, queries))
        order = np.argsort(codes, kind="stable")
        middle = np.searchsorted(codes[order], asked)
        for offset in range(-WINDOW, WINDOW):
            candidates = order[np.clip(middle + offset, 0, len(order) - 1)]
            distance = ((points[candidates] - queries) ** 2).sum(axis=1)
            nearer = distance < best
            best[nearer], rows[nearer] = distance[nearer], candidates[nearer]
    return rows


def _grid(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Corner [3] and side of the cube of all points [N, 3]; of the middle ones where a few strays would take its precision from them."""
    low, high = points.min(axis=0), points.max(axis=0)
    extent = float((high - low).max()) or 1.0
    inner_low, inner_high = np.quantile(points, MIDDLE, axis=0)
    inner = float((inner_high - inner_low).max())
    return ((inner_low - inner).astype(points.dtype), 3 * inner) if 0 < STRAY * inner < extent else (low, extent)


def _merge_window(squared: np.ndarray, rows: np.ndarray, ordered: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Improve the nearest neighbours (squared distances and rows, [N, 3] each) by the points next in order."""
    distances, neighbours = [squared], [rows]
    for offset in range(1, min(WINDOW, len(ordered) - 1) + 1):
        between = ((ordered[offset:] - ordered[:-offset]) ** 2).sum(axis=1)
        for here, there in ((slice(None, -offset), slice(offset, None)), (slice(offset, None), slice(None, -offset))):
            distance = np.full((len(ordered), 1), np.inf, np.float32)
            neighbour = np.full((len(ordered), 1), -1)
            distance[here, 0], neighbour[here, 0] = between, order[there]
            distances.append(distance)
            neighbours.append(neighbour)
    return _smallest_distinct(np.concatenate(distances, axis=1), np.concatenate(neighbours, axis=1))


def _smallest_distinct(squared: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest NEIGHBOURS of each line, a neighbour that was met twice counted once."""
    by_row = np.argsort(rows, axis=1, kind="stable")
    rows, squared = np.take_along_axis(rows, by_row, 1), np.take_along_axis(squared, by_row, 1)
    squared[:, 1:][rows[:, 1:] == rows[:, :-1]] = np.inf
    nearest = np.argsort(squared, axis=1, kind="stable")[:, :NEIGHBOURS]
    return np.take_along_axis(squared, nearest, 1), np.take_along_axis(rows, nearest, 1)


def _z_order(inside: np.ndarray) -> np.ndarray:
    """Morton codes [N] of points [N, 3] in [0, 1), 21 bits an axis."""
    cells = np.clip(inside * 2**21, 0, 2**21 - 1).astype(np.uint64)
    return _spread(cells[:, 0]) | (_spread(cells[:, 1]) << np.uint64(1)) | (_spread(cells[:, 2]) << np.uint64(2))


def _spread(x: np.ndarray) -> np.ndarray:
    """Put two zero bits between the bits of 21-bit numbers."""
    for shift, mask in ((32, 0x1F00000000FFFF), (16, 0x1F0000FF0000FF), (8, 0x100F00F00F00F00F),
                        (4, 0x10C30C30C30C30C3), (2, 0x1249249249249249)):
        x = (x | (x << np.uint64(shift))) & np.uint64(mask)
    return x
