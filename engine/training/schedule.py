"""What changes as a training goes on: learning rates, resolution, SH degree, view order, background.

Everything depends on the step and the seed alone, so a resumed run repeats what an uninterrupted one does. Shares of the run count the
steps that its schedule was planned for: a training that goes on past them keeps the learning rates and the image size of its end, and
adds, moves and removes no Gaussians any more.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..core.datasets.spread import unit_of
from ..core.protocol.config import TrainConfig
from ..core.protocol.course import stretches_of
from .backend import StepSettings

MEANS_DECAY = 0.01
"""The learning rate of the means decays exponentially to this share of its start (3D Gaussian Splatting, section 7.1)."""

SETTLED = 0.1
"""Learning rates that settle sink to this share."""

SHN_RATE = 1 / 20
"""View-dependent colour learns at this share of the base colour's rate."""

SSIM_STRIDE = 2
"""Windows of SSIM stand on every so many rows: together they see each pixel as all windows do, to 2e-4 of the weight (cpu/loss.h)."""

WEIGHTS = tuple(name for name in StepSettings.__dataclass_fields__ if name.endswith("_weight"))
"""Of loss terms, as they stand in the settings."""


GUIDES = ("depth_weight", "normal_weight")
"""Weights of the terms that maps of the dataset guide: they shape what colours leave open, and then only cost time."""


def view_at(step: int, views: int, seed: int) -> int:
    """Index of the view to learn from: every view once in each round, in a new order each round."""
    return int(_round(step // views, views, seed)[step % views])


@lru_cache(maxsize=4)
def _round(number: int, views: int, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, 0, number]).permutation(views)


def share_at(step: float, config: TrainConfig) -> float:
    """The part of the schedule that lies before a step; beyond 1 past its end.

    Where the steps were planned anew on the way, each stretch goes from where the one before was left towards its own end.
    """
    begun, share, planned = _stretch(step, config)
    return share + (1 - share) * (step - begun) / max(1, planned - begun)


def _stretch(step: float, config: TrainConfig) -> tuple[int, float, int]:
    """Of the stretch of the plan that a step lies in: its first step, the share done until there, and the step of its end."""
    (begun, planned), *others = stretches_of(config.course) or ((0, config.planned_steps),)
    share = 0.0
    for next_begun, next_planned in others:
        if next_begun > step:
            break
        share += (1 - share) * (next_begun - begun) / max(1, planned - begun)
        begun, planned = next_begun, next_planned
    return begun, share, planned


def reduction_at(step: int, config: TrainConfig) -> int:
    """How much smaller than full size the images are: 4, 2 or 1."""
    share = share_at(step, config)
    return 4 if share < config.quarter_until else 2 if share < config.half_until else 1


def sh_degree_at(step: int, config: TrainConfig) -> int:
    """The active SH degree: grows by equal stretches until `full_sh_at`."""
    if not config.full_sh_at:
        return config.sh_degree
    stretch = max(config.full_sh_at / max(1, config.sh_degree), 1 / config.planned_steps)
    return min(config.sh_degree, int(share_at(step, config) / stretch))


def multiple_within(start: int, count: int, every: int) -> int | None:
    """The multiple of `every` among the `count` numbers from `start` on; None where there is none."""
    multiple = -(-start // every) * every
    return multiple if multiple < start + count else None


def refinement_at(step: int, config: TrainConfig, stride: int = 1) -> int | None:
    """The step at which the densification strategy acts after an iteration that begins at `step` and takes `stride` steps at once."""
    due = multiple_within(step, stride, config.refine_every)
    return due if due and config.refine_from <= share_at(step, config) < config.refine_until else None


def decay_at(step: int, config: TrainConfig) -> float:
    """What is left of the learning rates that decay: 1 at the beginning, MEANS_DECAY at the schedule's end and from there on."""
    return MEANS_DECAY ** min(1.0, share_at(step, config))


def settled_at(step: int, config: TrainConfig) -> float:
    """What is left of the other learning rates: 1 until `settle_from`, then ever less, SETTLED at the schedule's end and from there on.

    Each step learns from one image: at full rates the end of a training shows what its last images asked for.
    """
    if config.settle_from >= 1:
        return 1.0
    share = (min(1.0, share_at(step, config)) - config.settle_from) / (1 - config.settle_from)
    return 1 - (1 - SETTLED) * max(0.0, share)


def learning_rates_at(step: int, config: TrainConfig, scene_scale: float) -> dict[str, float]:
    """Learning rate of every parameter."""
    settled = settled_at(step, config)
    return {
        "means": config.lr_means * scene_scale * decay_at(step, config),
        "scales": config.lr_scales * settled,
        "quats": config.lr_quats * settled,
        "opacities": config.lr_opacities * settled,
        "sh0": config.lr_sh0 * settled,
        "shN": config.lr_sh0 * SHN_RATE * settled,
    }


def background_at(step: int, config: TrainConfig, transparent: bool) -> tuple[float, float, float]:
    """What lies behind transparent pixels at this step.

    Random colours alone would make Gaussians paint the black surroundings of an image that has no transparent pixels.
    """
    match config.background:
        case "white":
            return (1.0, 1.0, 1.0)
        case "random" if transparent:
            red, green, blue = np.random.default_rng([config.seed, 1, step]).random(3)
            return (float(red), float(green), float(blue))
        case _:
            return (0.0, 0.0, 0.0)


def settings_at(step: int, config: TrainConfig, scene_scale: float, transparent: bool) -> StepSettings:
    """All that the backend needs for one step, from an image with transparent pixels or without.

    The pressure on sizes and the noise count in the scene's unit: noise is a length times the square of the Gaussians' sizes.
    """
    unit = unit_of(scene_scale)
    rates = learning_rates_at(step, config, scene_scale)
    decay = decay_at(step, config)
    exploring, sampling = share_at(step, config) < config.refine_until, config.strategy == "mcmc"
    return StepSettings(
        learning_rates=rates,
        sh_degree=sh_degree_at(step, config),
        background=background_at(step, config, transparent),
        ssim_lambda=config.ssim_lambda,
        ssim_stride=SSIM_STRIDE,
        opacity_regularisation=config.opacity_regularisation,
        scale_regularisation=0.0 if config.sky else config.scale_regularisation / unit,  # a sky of small Gaussians has holes
        noise=config.noise * rates["means"] / unit**2 if sampling and exploring else 0.0,
        reduction=reduction_at(step, config),
        noise_seed=config.seed * 1_000_003 + step,
        gather=exploring and not sampling,
        **{name: getattr(config, name) for name in WEIGHTS if name not in GUIDES or share_at(step, config) < config.guide_until},
        exposure_rate=config.lr_exposure * decay,
        pose_rate=config.lr_poses * decay,
    )
