"""What a region asks of the Gaussians that a training begins with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...core.datasets.dataset import Dataset, PointCloud
from ...core.errors import UserError
from ...core.splats.gaussians import Gaussians
from ...core.splats.region import Region
from ..strategies.region import BACKGROUND
from .splat_start import seen_places

SAMPLES = 9
"""Places along each side of a region that are looked for in the cameras' images."""


def check_region(dataset: Dataset) -> None:
    """UserError when no camera that is trained on sees the dataset's region."""
    if dataset.region is None:
        return
    axis = np.linspace(-1, 1, SAMPLES)
    inside = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    if not seen_places(dataset.region.placed(inside), [view.camera for view in dataset.train_views]).any():
        raise UserError("No camera sees the region.", "Put the region around what the cameras look at, or train without one.",
                        "region.unseen")


def thinned_points(points: PointCloud, region: Region | None, most: int, rng: np.random.Generator) -> PointCloud:
    """Start points, of those outside of the region no more than the background's share of `most`."""
    rows, _ = kept_rows(points.positions, region, most, rng)
    return PointCloud(points.positions[rows], points.colors[rows])


def thinned_gaussians(gaussians: Gaussians, region: Region | None, most: int, rng: np.random.Generator) -> Gaussians:
    """The same of Gaussians; those outside that are kept cover what all of them did."""
    rows, wider = kept_rows(gaussians.means, region, most, rng)
    kept = gaussians.take(rows)
    return replace(kept, scales=(kept.scales + np.log(wider)[:, None]).astype(np.float32))


def kept_rows(places: np.ndarray, region: Region | None, most: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows [M] of places [N, 3] that a training with at most `most` Gaussians begins with, and how much wider each [M] becomes."""
    inside = np.ones(len(places), bool) if region is None else region.contains(places)
    outside = np.flatnonzero(~inside)
    room = int(BACKGROUND * most)
    if len(outside) <= room:
        return np.arange(len(places)), np.ones(len(places))
    rows = np.sort(np.concatenate([np.flatnonzero(inside), rng.choice(outside, room, replace=False)]))
    return rows, np.where(inside[rows], 1.0, np.sqrt(len(outside) / max(1, room)))
