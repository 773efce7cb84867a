"""The photos of a training, decoded: all of them while memory lasts, the others ahead of their step, again each time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from threading import Lock

from ...core.cameras.distortion import forget_samples
from ...core.datasets.dataset import View
from ...core.errors import UserError
from ...core.protocol.config import TrainConfig
from ..backend import Target
from ..host_memory import free_memory
from .images import MOST_READERS, each_in_threads
from .maps import selected_maps
from .targets import TargetPyramid, pyramid_of
from .view_files import ViewFiles

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
        self._numbers = {id(view): number for number, view in enumerate(views)}
        self._keeping = Lock()
        self._readers = ThreadPoolExecutor(min(MOST_READERS, os.cpu_count() or 1), "photos")
        self.held = 0

    def __len__(self) -> int:
        return len(self._views)

    @property
    def views(self) -> Sequence[View]:
        """In their order."""
        return self._views

    @property
    def names(self) -> tuple[str, ...]:
        """Of the views, in their order."""
        return tuple(view.name for view in self._views)

    @property
    def whole(self) -> bool:
        """Whether every photo is kept."""
        return len(self._kept) == len(self._views)

    def offer(self, files: ViewFiles) -> None:
        """Keep a view that is decoded anyway, if the budget allows and it is one of these; whatever is wrong with it fill() tells."""
        index = self._numbers.get(id(files.view))
        if index is None or index in self._kept or self.held >= self._budget:
            return
        with suppress(UserError):
            self._keep(index, self._made(files, index))

    def fill(self, tick: Callable[[], None]) -> None:
        """Decode photos until all are kept or the budget is used up; `tick` is called for each, in the caller's thread."""
        missing = [index for index in range(len(self._views)) if index not in self._kept]
        with closing(each_in_threads(self._read, missing)) as pyramids:
            for index, pyramid in zip(missing, pyramids, strict=True):
                tick()
                if not self._keep(index, pyramid):
                    break
        forget_samples()

    def _keep(self, index: int, pyramid: TargetPyramid) -> bool:
        """Keep it; False when the budget does not allow that."""
        size = bytes_of(pyramid)
        with self._keeping:
            if self.held + size > self._budget:
                return False
            self._kept[index] = pyramid
            self.held += size
        return True

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

    def pyramid(self, index: int) -> TargetPyramid:
        """The targets of a view that is kept."""
        return self._kept[index]

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
        return self._made(ViewFiles(self._views[index]), index)

    def _made(self, files: ViewFiles, index: int) -> TargetPyramid:
        return pyramid_of(files, self._config.resolution, selected_maps(self._config), index if self._numbered else -1)


def bytes_of(pyramid: TargetPyramid) -> int:
    """Memory of a view's targets."""
    targets = (pyramid.full, pyramid.half, pyramid.quarter)
    arrays = (array for target in targets for array in (target.image, target.mask, target.depth, target.normals))
    return sum(array.nbytes for array in arrays if array is not None)


def empty_store(views: Sequence[View], config: TrainConfig, share: float, numbered: bool = True) -> Photos:
    """Photos within a share of the memory that the settings allow, none of them decoded yet."""
    return Photos(views, config, share * (config.image_memory * GIGABYTE or free_memory() / 2), numbered)


def open_photos(views: Sequence[View], config: TrainConfig, share: float, tick: Callable[[], None], numbered: bool = True) -> Photos:
    """Photos within a share of the memory that the settings allow, filled."""
    photos = empty_store(views, config, share, numbered)
    photos.fill(tick)
    return photos
