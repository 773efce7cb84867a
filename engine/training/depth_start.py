"""Splats of a whole dataset from its depth maps, before anything is learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..core.dataset import View
from ..core.gaussians import Gaussians, concatenate
from ..core.instant import gaussians_from_depth
from .images import each_in_threads
from .maps import Wanted
from .targets import load_pyramid

SIDE = 800
"""Longest side in pixels that pictures are read at: a view gives far fewer Gaussians than it has pixels."""


def depth_gaussians(views: Sequence[View], most: int, tick: Callable[[], None] = lambda: None) -> Gaussians | None:
    """Gaussians on what the views see, at most `most`, as many from each; None when no view has a depth map."""
    with_depth = [view for view in views if view.depth]
    if not with_depth:
        return None
    share = max(1, most // len(with_depth))
    parts = []
    for part in each_in_threads(lambda view: _of_view(view, share), with_depth):
        tick()
        parts.append(part)
    made = concatenate(parts)
    return made.take(np.linspace(0, len(made) - 1, min(len(made), most)).astype(int)) if len(made) else made


def _of_view(view: View, most: int) -> Gaussians:
    target = load_pyramid(view, SIDE, Wanted(depth=True)).full
    depth = target.depth if target.mask is None else np.where(target.mask >= 128, target.depth, 0)
    assert depth is not None
    return gaussians_from_depth(target.camera, depth, target.image.astype(np.float32) / 255, most)
