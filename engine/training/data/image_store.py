"""The photos of a training, decoded: all of them while memory lasts, the others ahead of their step, again each time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

from ...core.cameras.distortion import forget_samples
from ...core.datasets.dataset import View
from ...core.protocol.config import TrainConfig
from ..backend import Target
from ..host_memory import free_memory
from .images import MOST_READERS, each_in_threads
from .maps import selected_maps
from .targets import TargetPyramid, load_pyramid

AHEAD = 2 * MOST_READERS
"""Photos that are being decoded before their step, where they cannot all be kept."""

GIGABYTE = 1e9


class Photos:
    """Hands out targets and keeps as many of them decoded as `budget` bytes hold.

    The views come in a new random order each round, so keeping those that were used last would gain nothing over keeping
    any: the first ones stay. `numbered`: targets carry the number of their view, for what is learned about each photo.
    """

    def __init__(self, views: Sequence[View], config: TrainConfig, budget: float, numbered: bool = True):
        self._views = views
        self._config = config
        self._budget = budget
        self._numbered = numbered
        self._kept: dict[int, TargetPyramid] = {}
        self._coming: dict[int, Future[TargetPyramid]] = {}
        self._readers = ThreadPoolExecutor(min(MOST_READERS, os.cpu_count() or 1), "photos")
        self.held = 0

    def __len__(self) -> int:
        return len(self._views)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the views, in their order."""
        return tuple(view.name for view in self._views)

    @property
    def whole(self) -> bool:
        """Whether every photo is kept."""
        return len(self._kept) == len(self._views)

    def fill(self, tick: Callable[[], None]) -> None:
        """Decode photos until all are kept or the budget is used up; `tick` is called for each, in the caller's thread."""
        with closing(each_in_threads(self._read, range(len(self._views)))) as pyramids:
            for index, pyramid in enumerate(pyramids):
                tick()
                if self.held + bytes_of(pyramid) > self._budget:
                    return
                self._kept[index] = pyramid
                self.held += bytes_of(pyramid)
        forget_samples()

    def expect(self, index: int) -> None:
        """Begin to decode a photo that will be asked for."""
        if index not in self._kept and index not in self._coming and len(self._coming) < AHEAD:
            self._coming[index] = self._readers.submit(self._read, index)

    def ready(self, index: int) -> bool:
        """Whether the photo can be had without waiting."""
        return index in self._kept or (index in self._coming and self._coming[index].done())

    def at(self, index: int, reduction: int) -> Target:
        """The target of a view at 1, 1/2 or 1/4 of the size."""
        kept = self._kept.get(index)
        if kept is None:
            coming = self._coming.pop(index, None)
            kept = coming.result() if coming else self._read(index)
        return kept.at(reduction)

    def peek(self, index: int, reduction: int) -> Target:
        """As at(), for a photo that is ready and will be asked for again."""
        return (self._kept.get(index) or self._coming[index].result()).at(reduction)

    def each(self) -> Iterator[Target]:
        """Every target in full size, in the order of the views."""
        for index in range(len(self._views)):
            for ahead in range(index, min(index + MOST_READERS, len(self._views))):
                self.expect(ahead)
            yield self.at(index, 1)

    def close(self) -> None:
        """End the threads and free all."""
        self._readers.shutdown(wait=True, cancel_futures=True)
        self._coming.clear()
        self._kept.clear()

    def _read(self, index: int) -> TargetPyramid:
        return load_pyramid(self._views[index], self._config.resolution, selected_maps(self._config), index if self._numbered else -1)


def bytes_of(pyramid: TargetPyramid) -> int:
    """Memory of a view's targets."""
    targets = (pyramid.full, pyramid.half, pyramid.quarter)
    arrays = (array for target in targets for array in (target.image, target.mask, target.depth, target.normals))
    return sum(array.nbytes for array in arrays if array is not None)


def open_photos(views: Sequence[View], config: TrainConfig, share: float, tick: Callable[[], None], numbered: bool = True) -> Photos:
    """Photos within a share of the memory that the settings allow, filled."""
    allowed = config.image_memory * GIGABYTE or free_memory() / 2
    photos = Photos(views, config, share * allowed, numbered)
    photos.fill(tick)
    return photos
