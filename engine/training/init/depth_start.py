"""Splats of a whole dataset from its depth maps, before anything is learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from threading import Lock

import numpy as np

from ...core.datasets.dataset import View
from ...core.errors import UserError
from ...core.splats.from_depth import SPREAD, gaussians_from_depth
from ...core.splats.gaussians import Gaussians, concatenate
from ..backend import Target
from ..data.images import each_in_threads
from ..data.maps import MapSelection
from ..data.targets import pyramid_of
from ..data.view_files import ViewFiles
from .knn import neighbour_distance

SIDE = 400
"""Longest side in pixels that pictures are read at: a view gives far fewer Gaussians than it has pixels."""

CANDIDATES = 16
"""Cells of a view that are looked at for each Gaussian that it gives: each has the mean colour of its pixels."""

THINNEST = 0.3
"""Size across the surface as a share of that along it: thinner ones vanish seen from the side, where depth is least sure."""


def start_target(files: ViewFiles) -> Target:
    """Colours and depth of a view at the size that its splats are made at."""
    return pyramid_of(files, SIDE, MapSelection(depth=True)).full


class DepthTargets:
    """What splats of depth maps are made from, taken from views that are decoded anyway while `budget` bytes last."""

    def __init__(self, budget: float):
        self._budget, self._kept, self._keeping = budget, dict[int, tuple[View, Target]](), Lock()

    def offer(self, files: ViewFiles) -> None:
        """Keep what is needed of a view that is trained on and has depth; whatever is wrong with it is told when it is read again."""
        if files.view.depth is None or files.view.held_out or self._budget <= 0:
            return
        with suppress(UserError):
            target = start_target(files)
            with self._keeping:
                self._budget -= sum(array.nbytes for array in (target.image, target.mask, target.depth) if array is not None)
                self._kept[id(files.view)] = (files.view, target)

    def clear(self) -> None:
        """Free all; the splats are made."""
        self._kept.clear()

    def of(self, view: View) -> Target:
        """The target of a view, read where it was not kept; UserError names a bad file."""
        kept = self._kept.get(id(view))
        return start_target(ViewFiles(view)) if kept is None else kept[1]


def depth_gaussians(views: Sequence[View], most: int, seed: int = 0, tick: Callable[[], None] = lambda: None,
                    targets: DepthTargets | None = None, unit: float = 1.0) -> Gaussians | None:
    """Gaussians on what the views see, at most `most`, as many from each; None when no view has a depth map.

    They lie as the depth slopes, and are as large as it is far to the next ones, whichever view these come from. `unit`: of the
    scene's length.
    """
    with_depth = [view for view in views if view.depth]
    if not with_depth:
        return None
    share, read = max(1, most // len(with_depth)), (targets or DepthTargets(0)).of
    parts = []
    for part in each_in_threads(lambda numbered: _of_target(read(numbered[1]), share, np.random.default_rng([seed, 4, numbered[0]])),
                                list(enumerate(with_depth))):
        tick()
        parts.append(part)
    return _sized(concatenate(parts).take(slice(0, most)), unit)


def _of_target(target: Target, most: int, rng: np.random.Generator) -> Gaussians:
    """Some of the cells of a view."""
    assert target.depth is not None
    depth = target.depth if target.mask is None else np.where(target.mask >= 128, target.depth, 0)
    found = gaussians_from_depth(target.camera, depth, target.image.astype(np.float32) / 255, CANDIDATES * most)
    return found.take(np.sort(rng.choice(len(found), min(most, len(found)), replace=False)))


def _sized(gaussians: Gaussians, unit: float) -> Gaussians:
    """The same, each as wide as it is far to its neighbours."""
    if not len(gaussians):
        return gaussians
    width = np.log(SPREAD * neighbour_distance(gaussians.means, unit))
    scales = np.stack([width, width, width + np.log(THINNEST)], axis=1)
    return replace(gaussians, scales=scales.astype(np.float32))
