"""Densification: where Gaussians are added, moved and pruned."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ...core.protocol.config import TrainConfig
from ...core.splats.region import Region
from ..backend import Model
from .default import DefaultStrategy
from .mcmc import MCMCStrategy
from .region import Growth


class Strategy(Protocol):
    """Changes the set of Gaussians now and then, never beyond a hard cap."""

    def refine(self, model: Model, rng: np.random.Generator, step: int) -> int:
        """Act after a step. Returns how many Gaussians were added, moved or removed. Depends on its arguments alone."""
        ...


def create_strategy(config: TrainConfig, scene_scale: float, region: Region | None = None) -> Strategy:
    """The strategy that the settings ask for; `scene_scale` is the length in which sizes are measured."""
    growth = Growth(region, config.max_gaussians, scene_scale) if region else None
    match config.strategy:
        case "mcmc":
            return MCMCStrategy(config.max_gaussians, config.grow_rate, growth)
        case "default":
            return DefaultStrategy(config.max_gaussians, scene_scale, config.grow_gradient, config.max_radius_2d,
                                   config.reset_every, config.refine_every, growth)
