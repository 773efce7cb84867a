"""Densification as sampling, and the mathematics of opacities that strategies share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..backend import Model
from .region import Growth

DEAD_OPACITY = 0.005
"""A Gaussian below this opacity contributes nothing and may be moved (3DGS-MCMC, section 3.3)."""

MOST_COPIES = 51
"""Largest number of Gaussians that one is shared among at once."""


@dataclass(frozen=True)
class MCMCStrategy:
    """Densification as sampling: dead Gaussians move onto living ones, and the set grows up to a hard cap.

    Kheradmand et al., "3D Gaussian Splatting as Markov Chain Monte Carlo", 2024. A Gaussian that receives copies
    shares its opacity and size with them such that the image stays nearly the same (equation 9).

        MCMCStrategy(max_gaussians=40_000, grow_rate=0.05).refine(model, np.random.default_rng(0), step=600)
    """

    max_gaussians: int
    grow_rate: float
    growth: Growth | None = None

    def refine(self, model: Model, rng: np.random.Generator, step: int) -> int:
        """Relocate dead Gaussians and add new ones. Returns how many were moved or added."""
        opacity = sigmoid(model.read("opacities"))  # [N]
        alive = np.flatnonzero(opacity > DEAD_OPACITY)
        dead = np.flatnonzero(opacity <= DEAD_OPACITY)
        added = max(0, min(self.max_gaussians - len(opacity), int(self.grow_rate * len(opacity))))
        moved = len(dead) + added
        if not moved or not len(alive):
            return 0
        allowed = self.growth.sources(model.read("means")[alive]) if self.growth else None
        alive = alive if allowed is None else alive[allowed]
        weights = opacity[alive].astype(np.float64)
        sources = rng.choice(alive, moved, p=weights / weights.sum())
        self._share(model, opacity, sources)
        rows = np.concatenate([np.arange(len(opacity)), sources[len(dead):]])
        rows[dead] = sources[: len(dead)]
        fresh = np.concatenate([dead, np.arange(len(opacity), len(rows)), np.unique(sources)])
        model.rebuild(rows, fresh)
        return moved

    def _share(self, model: Model, opacity: np.ndarray, sources: np.ndarray) -> None:
        """Give each source the opacity and scale that it and its copies will have."""
        rows, copies = np.unique(sources, return_counts=True)
        shared, shrink = shared_opacity_and_scale(opacity[rows], np.minimum(copies + 1, MOST_COPIES))
        scales = model.read("scales")[rows] + np.log(shrink)[:, None].astype(np.float32)
        model.write("scales", rows, scales)
        model.write("opacities", rows, logit(np.clip(shared, DEAD_OPACITY, 1 - 1e-6)).astype(np.float32))


def shared_opacity_and_scale(opacity: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Opacity [N] of each of `count` [N] coinciding Gaussians that replace one, and the factor on its scale.

    3DGS-MCMC, equation 9: o' = 1 - (1 - o)^(1/n), and the scale shrinks by o over the sum of the binomial series.
    """
    opacity = opacity.astype(np.float64)
    shared = 1.0 - (1.0 - opacity) ** (1.0 / count)
    series = np.zeros_like(shared)
    for n in np.unique(count):
        rows = count == n
        series[rows] = _binomial_series(shared[rows], int(n))
    return shared, opacity / series


def _binomial_series(opacity: np.ndarray, count: int) -> np.ndarray:
    total = np.zeros_like(opacity)
    for k in range(count):
        coefficient = sum(math.comb(i - 1, k) for i in range(k + 1, count + 1))
        total += (-1) ** k * coefficient * opacity ** (k + 1) / math.sqrt(k + 1)
    return total


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Logistic function, safe for large |x|."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def logit(p: np.ndarray) -> np.ndarray:
    """Inverse of sigmoid."""
    return np.log(p) - np.log1p(-p)
