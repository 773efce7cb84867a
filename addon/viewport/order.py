"""In which order splats are drawn: from the farthest to the nearest, over all objects at once.

Sorting runs in a thread that touches numpy alone. A viewport asks at every redraw, gets the newest order that is finished, and
never has more than one sort under way.
"""

from __future__ import annotations

from collections.abc import Hashable
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import numpy as np

NEAREST_SHARE = 0.002
"""Share of the usual depth before which the order does not matter."""

SAMPLE = 1000

SORTED_AT_ONCE = 100_000
"""Of more splats the first order is made in the thread too."""

LEVELS = 65_535
"""numpy sorts 16-bit keys by radix: four times quicker than floats."""


@dataclass(frozen=True)
class SortedPart:
    """The splats of one object that stands in the view."""

    means: np.ndarray  # [N, 3] float32, in the object's frame
    first_row: int  # of these splats in the textures
    depth_row: np.ndarray  # [4]: depth = depth_row · (mean, 1)


@dataclass(frozen=True)
class SortRequest:
    """What to sort. Orders of the same layout fit each other's splats and objects, even when those have moved."""

    layout: Hashable
    parts: tuple[SortedPart, ...]
    perspective: bool

    def __len__(self) -> int:
        return sum(len(part.means) for part in self.parts)

    def has_same_depths(self, other: SortRequest) -> bool:
        """Whether nothing moved since `other`, which has the same layout."""
        pairs = zip(self.parts, other.parts, strict=True)
        return self.perspective == other.perspective and all(np.array_equal(one.depth_row, two.depth_row) for one, two in pairs)


@dataclass(frozen=True, eq=False)
class Order:
    """The order in which splats are drawn; each is equal to itself alone."""

    request: SortRequest
    entries: np.ndarray  # [M, 2] float32: row in the textures, part; the farthest first


class DepthSorter:
    """The order of one viewport."""

    def __init__(self, executor: Executor):
        self._executor = executor
        self._order: Order | None = None
        self._wanted: Hashable = None
        self._pending: Future[Order] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a sort is under way, or finished and not taken yet."""
        return self._pending is not None

    def take(self) -> bool:
        """Take over the order that the thread has finished; whether there was one."""
        if self._pending is None or not self._pending.done():
            return False
        found, self._pending = self._pending.result(), None
        if found.request.layout == self._wanted:
            self._order = found
        return True

    def newest(self, request: SortRequest) -> Order | None:
        """The newest order that fits the request; a fresher one is begun where things have moved.

        Without an order that fits, one is made at once of few splats; of many in the thread, and None says that it is under way.
        """
        self._wanted = request.layout
        self.take()
        order = self._order if self._order is not None and self._order.request.layout == request.layout else None
        if order is None and len(request) <= SORTED_AT_ONCE:
            self._order = order = sort(request)
        elif self._pending is None and (order is None or not order.request.has_same_depths(request)):
            self._pending = self._executor.submit(sort, request)
        return order


def sort(request: SortRequest) -> Order:
    """Sort all parts together."""
    depths = np.concatenate([part.means @ part.depth_row[:3].astype(np.float32) + np.float32(part.depth_row[3]) for part in request.parts])
    rows = np.concatenate([np.arange(part.first_row, part.first_row + len(part.means), dtype=np.float32) for part in request.parts])
    owners = np.repeat(np.arange(len(request.parts), dtype=np.float32), [len(part.means) for part in request.parts])
    order = depth_order(depths, request.perspective)
    entries = np.empty((len(order), 2), np.float32)
    entries[:, 0], entries[:, 1] = rows[order], owners[order]
    return Order(request, entries)


def depth_order(depths: np.ndarray, perspective: bool) -> np.ndarray:
    """Indices [N] from the farthest to the nearest of float32 depths [N], to 16 bits.

    In perspective by the logarithm, so that a single splat far away does not make all others equal.
    """
    if not len(depths):
        return np.zeros(0, np.int64)
    values = np.log(np.maximum(depths, nearest_depth(depths))) if perspective else depths
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return np.arange(len(depths))
    keys = ((np.float32(high) - values) / np.float32(high - low) * LEVELS).astype(np.uint16)
    return np.argsort(keys, kind="stable")


def nearest_depth(depths: np.ndarray) -> np.float32:
    """The depth before which splats are not told apart, by a sample of those before the camera; what is drawn lies behind."""
    sample = depths[:: max(1, len(depths) // SAMPLE)]
    before = sample[sample > 0]
    return np.float32(NEAREST_SHARE * np.median(before)) if len(before) else np.float32(1.0)
