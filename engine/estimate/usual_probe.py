"""What a probe measures on an ordinary computer, by the sizes of images and models alone: for figures before anything is tried."""

from __future__ import annotations

import os

from ..core.datasets.dataset import Dataset, View
from ..core.protocol.config import TrainConfig
from ..training.backend import BackendName
from ..training.data.targets import REDUCTIONS
from ..training.host_memory import free_memory
from ..training.init.initialize import DEPTH_SHARE, RANDOM_POINTS
from .forecast import STATE, TRAINED, bytes_of_parameters
from .probe_result import Kind, Probe, Size

PYRAMID = 1 + 1 / 4 + 1 / 16
SCRATCH, SCRATCH_A_GAUSSIAN = 60, 300
"""Bytes a pixel of one image that a step needs, and a Gaussian: images, their gradients, the lists of Gaussians of tiles."""

IDLE: dict[BackendName, float] = {"cpu": 120e6, "cuda": 3e9}
"""Bytes of the engine itself; torch and the driver's libraries are most of it."""

STEP_SECONDS = (0.002, 0.17, 1.2)
"""Core-seconds of a step of the built-in engine: at least, for each million of pixels, for each million of Gaussians (3,000 steps of the
sample scene take 81 s on two cores; photos that fill the image 0.10 core-seconds a step at half a million pixels)."""

TERMS = 0.3
"""More of a step's time with terms of depth and normals (a quick look at 320 pixels: 29 %)."""

FEATURE_WEIGHTS = ("depth_weight", "normal_weight", "distortion_weight")


def usual_probe(dataset: Dataset, config: TrainConfig, engine: BackendName) -> Probe:
    """What stands in for measurements of a training with settled settings. Its seconds are those of the built-in engine."""
    pixels = [_pixels(view, config.resolution) for view in dataset.views] or [1.0]
    mean, start = sum(pixels) / len(pixels), usual_start(dataset, config)
    small, large = (usual_size(count, mean, max(pixels), config, engine) for count in (start, max(start + 1, config.max_gaussians)))
    channels = 4 if any(view.image.suffix.lower() == ".png" for view in dataset.views) else 3
    return Probe(
        engine=engine, config=config, start=start, growth=config.grow_rate,
        views=len(dataset.train_views), held_out=len(dataset.eval_views),
        idle=IDLE[engine], free=free_memory(), free_card=0.0, largest=max(pixels), reading=0.0, left=0.0,
        longest_side=max((max(view.camera.width, view.camera.height) for view in dataset.views), default=1),
        photo_bytes=mean * channels * PYRAMID, photo_seconds=0.0, small=small, large=large, seconds=0.0)


def usual_start(dataset: Dataset, config: TrainConfig) -> int:
    """About how many Gaussians a training begins with."""
    if config.start != "points" and all(view.depth for view in dataset.train_views):
        return max(1, int(DEPTH_SHARE * config.max_gaussians))
    return max(1, min(len(dataset.points or ()) or RANDOM_POINTS, int(config.start_share * config.max_gaussians)))


def usual_size(count: int, pixels: float, largest: float, config: TrainConfig, engine: BackendName) -> Size:
    """What a model of `count` Gaussians takes, with images of `pixels` pixels on average and of `largest` at most."""
    model = count * bytes_of_parameters(config)
    working = count * SCRATCH_A_GAUSSIAN + largest * SCRATCH
    memory = model * 2 * STATE + working if engine == "cpu" else model * STATE  # beside the model, or a card's, what a checkpoint copies
    kinds = [Kind(reduction, part, (config.sh_degree + 1) ** 2, _step_seconds(part, count, config), 0.0)
             for reduction in reversed(REDUCTIONS) for part in (pixels / reduction**2,)]
    return Size(count, (kinds[0], *kinds), 0.0, 0.0, 0.0, 0.0, memory, 0.0, model * STATE, model)


def _step_seconds(pixels: float, count: int, config: TrainConfig) -> float:
    """Of the probe, which is faster than the trainings that the figures come from."""
    least, per_pixel, per_gaussian = STEP_SECONDS
    cores = config.threads or os.cpu_count() or 1
    terms = 1 + TERMS * any(getattr(config, name) > 0 for name in FEATURE_WEIGHTS)
    return (least + terms * (per_pixel * pixels + per_gaussian * count) / 1e6) / cores / TRAINED


def _pixels(view: View, resolution: int) -> float:
    factor = min(1.0, resolution / max(view.camera.width, view.camera.height))
    return view.camera.width * factor * view.camera.height * factor
