"""Splats of a whole dataset from its depth maps, before anything is learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ...core.datasets.dataset import View
from ...core.splats.from_depth import SPREAD, gaussians_from_depth
from ...core.splats.gaussians import Gaussians, concatenate
from ..data.images import each_in_threads
from ..data.maps import MapSelection
from ..data.targets import load_pyramid
from .knn import neighbour_distance

SIDE = 800
"""Longest side in pixels that pictures are read at: a view gives far fewer Gaussians than it has pixels."""

THINNEST = 0.3
"""Size across the surface as a share of that along it: thinner ones vanish seen from the side, where depth is least sure."""


def depth_gaussians(views: Sequence[View], most: int, seed: int = 0, tick: Callable[[], None] = lambda: None) -> Gaussians | None:
    """Gaussians on what the views see, at most `most`, as many from each; None when no view has a depth map.

    They lie as the depth slopes, and are as large as it is far to the next ones, whichever view these come from.
    """
    with_depth = [view for view in views if view.depth]
    if not with_depth:
        return None
    share = max(1, most // len(with_depth))
    parts = []
    for part in each_in_threads(lambda numbered: _of_view(numbered[1], share, np.random.default_rng([seed, 4, numbered[0]])),
                                list(enumerate(with_depth))):
        tick()
        parts.append(part)
    return _sized(concatenate(parts).take(slice(0, most)))


def _of_view(view: View, most: int, rng: np.random.Generator) -> Gaussians:
    """Some of the pixels of a view."""
    target = load_pyramid(view, SIDE, MapSelection(depth=True)).full
    assert target.depth is not None
    depth = target.depth if target.mask is None else np.where(target.mask >= 128, target.depth, 0)
    found = gaussians_from_depth(target.camera, depth, target.image.astype(np.float32) / 255, depth.size)
    return found.take(np.sort(rng.choice(len(found), min(most, len(found)), replace=False)))


def _sized(gaussians: Gaussians) -> Gaussians:
    """The same, each as wide as it is far to its neighbours."""
    if not len(gaussians):
        return gaussians
    width = np.log(SPREAD * neighbour_distance(gaussians.means).clip(1e-6))
    scales = np.stack([width, width, width + np.log(THINNEST)], axis=1)
    return replace(gaussians, scales=scales.astype(np.float32))
