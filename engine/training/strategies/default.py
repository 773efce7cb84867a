"""Densification by gradients: split what the images pull at, prune what is transparent or huge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.splats.transform import rotation_matrices
from ..backend import Model, Statistics
from .mcmc import DEAD_OPACITY, logit, sigmoid
from .region import Growth

HUGE = 0.1
"""Gaussians larger than this share of the scene are given up once opacities were reset for the first time."""

FAR = 5.0
"""Farther away than this many times the scene's length they may be as large as they like: sky and mountains are."""

APART = 0.5
"""Standard deviations along its longest axis by which each half of a split Gaussian lies from its middle."""

HALF_OPACITY = 0.6
"""Of the opacity of a Gaussian, that of each of its halves. They overlap, and are a little thinner together than the one was: what lies
behind learns where it had been hidden. Measured by `make sweep`."""

RESET_OPACITY = 2 * DEAD_OPACITY
"""What a reset leaves of every opacity: those that matter recover, the others are pruned."""

HOPELESS = 3.0
"""A Gaussian whose reach on the image is this many times the limit is given up instead of being split."""


@dataclass(frozen=True)
class DefaultStrategy:
    """Densification by image-space gradients, pruning, and a hard cap.

    Kerbl et al., "3D Gaussian Splatting for Real-Time Radiance Field Rendering", 2023, section 5.2, with the gradients of
    Ye et al., "AbsGS", 2024: absolute values are added up over the pixels, so that pulls to opposite sides do not cancel.
    A Gaussian is split along its longest axis into halves that together have its place and size: halves at random places cost a short
    training more than it gains by them.

        DefaultStrategy(max_gaussians=40_000, scene_scale=2.0).refine(model, np.random.default_rng(0), step=600)
    """

    max_gaussians: int
    scene_scale: float
    grow_gradient: float = 4e-4
    max_radius_2d: float = 0.0
    reset_every: int = 3000
    refine_every: int = 100
    growth: Growth | None = None

    def refine(self, model: Model, rng: np.random.Generator, step: int) -> int:
        """Grow, prune, and now and then reset opacities. Returns how many Gaussians were added or removed."""
        statistics = model.take_statistics()
        to_prune = self._doomed(model, statistics, step)
        grown = self._grow(model, self._chosen(model, statistics), to_prune)
        if self.reset_every <= step and step % self.reset_every < self.refine_every:
            reset_opacities(model)
        return grown + int(to_prune.sum())

    def _chosen(self, model: Model, statistics: Statistics) -> np.ndarray:
        """Rows to split, int [M]: the largest mean gradients first, no more than the cap allows."""
        mean = statistics.gradient / np.maximum(statistics.seen, 1)
        wanted = mean > self.grow_gradient
        if self.max_radius_2d:
            wanted |= statistics.radius > self.max_radius_2d
        rows = np.flatnonzero(wanted)
        room = max(0, self.max_gaussians - model.count)
        rows = rows[np.argsort(-mean[rows], kind="stable")]
        if self.growth:
            rows = rows[self.growth.allowed(model.read("means"), model.read("scales"), rows)]
        return np.sort(rows[:room])

    def _doomed(self, model: Model, statistics: Statistics, step: int) -> np.ndarray:
        """Mask [N] of the rows to prune: transparent ones, and after the first opacity reset also those huge in space or on the image."""
        to_prune = sigmoid(model.read("opacities")) < DEAD_OPACITY
        if step >= self.reset_every:
            means = model.read("means")
            near = np.linalg.norm(means - np.median(means, axis=0), axis=1) < FAR * self.scene_scale
            to_prune |= near & (np.exp(model.read("scales").max(axis=1)) > HUGE * self.scene_scale)
            if self.max_radius_2d:
                to_prune |= statistics.radius > HOPELESS * self.max_radius_2d
        return to_prune

    def _grow(self, model: Model, chosen: np.ndarray, to_prune: np.ndarray) -> int:
        """Split each chosen row and prune `to_prune`. Returns how many rows were split."""
        chosen = chosen[~to_prune[chosen]]
        kept = np.flatnonzero(~to_prune)
        if not len(kept):
            return 0  # a model without Gaussians could never learn again
        first, second = np.searchsorted(kept, chosen), np.arange(len(kept), len(kept) + len(chosen))
        rows = np.concatenate([kept, chosen])
        if not np.array_equal(rows, np.arange(model.count)):
            model.rebuild(rows, np.concatenate([first, second]))
        split(model, first, second)
        return len(chosen)


def split(model: Model, first: np.ndarray, second: np.ndarray) -> None:
    """Move two copies of each Gaussian apart along its longest axis, as halves: both together keep its mean and its covariance."""
    scales = model.read("scales")[first]
    lines, longest = np.arange(len(first)), scales.argmax(axis=1)
    offset = np.zeros_like(scales)
    offset[lines, longest] = APART * np.exp(scales[lines, longest])
    scales[lines, longest] += np.float32(0.5 * np.log(1 - APART**2))
    turned = np.einsum("nij,nj->ni", rotation_matrices(model.read("quats")[first]), offset)
    means, opacity = model.read("means")[first], HALF_OPACITY * sigmoid(model.read("opacities")[first].astype(np.float64))
    for rows, side in ((first, 1), (second, -1)):
        model.write("means", rows, (means + side * turned).astype(np.float32))
        model.write("scales", rows, scales)
        model.write("opacities", rows, logit(np.clip(opacity, 1e-6, 1 - 1e-6)).astype(np.float32))


def reset_opacities(model: Model) -> None:
    """Make everything nearly transparent, so that only what the images need comes back (3D Gaussian Splatting, section 5.2)."""
    opacities = np.minimum(model.read("opacities"), logit(np.array(RESET_OPACITY)).astype(np.float32))
    model.write("opacities", np.arange(model.count), opacities)
    model.forget("opacities")
