"""What a training will cost, said at once by sizes alone: memory, disk and minutes, and whether the computer has them.

estimate.py tries the training and knows better.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..core.datasets.dataset import Dataset, View
from ..core.errors import values
from ..core.protocol.config import TrainConfig
from ..core.protocol.events import Finding
from ..core.text import duration
from ..preflight import thresholds as limit
from ..training.backend import BackendName
from ..training.engines import likely_backend
from ..training.host_memory import free_memory
from ..training.requirements import settled

PYRAMID = 1 + 1 / 4 + 1 / 16
COPIES = 4
"""Each parameter has a gradient and two moments."""

SAVED = 3
"""Each parameter is saved with its two moments."""

FLOAT = 4
GIGABYTE = 1e9
SCRATCH = 60
"""Bytes a pixel of one image that a step needs: images, their gradients, the lists of Gaussians of tiles."""

FIXED_MEMORY: dict[BackendName, float] = {"cpu": 120e6, "cuda": 3e9}
"""Bytes of the engine itself; torch and the driver's libraries are most of it."""

PHOTO_SHARE = 0.5
"""Of the free memory that decoded photos take at most; the others are read again when they are needed."""

MEAN_PIXELS = 0.4 + 0.45 / 4 + 0.15 / 16
"""Share of the full image's pixels that the schedule's steps see on average."""

MEAN_GAUSSIANS = 0.75
"""Share of the largest number of Gaussians that is there on average."""


STEP_SECONDS = (0.002, 0.17, 1.2)
"""Core-seconds of a step: at least, for each million of pixels, for each million of Gaussians (3,000 steps of the sample scene
take 81 s on two cores; photos that fill the image 0.10 core-seconds a step at half a million pixels)."""


@dataclass(frozen=True)
class Needs:
    """An estimate of what a training takes."""

    memory: float
    """bytes of the computer's memory"""
    disk: float
    """bytes in the job folder"""
    seconds: float | None
    """None on graphics cards: between the slowest and the fastest lie worlds"""

    @property
    def sentence(self) -> str:
        """For people."""
        said = f"A training needs about {self.memory / GIGABYTE:.1f} GB of memory and {self.disk / 1e6:.0f} MB of disk"
        if self.seconds is None:
            return f"{said}; the graphics card decides how long it takes."
        minutes = self.seconds / 60
        return f"{said}, and takes about {f'{minutes / 60:.1f} hours' if minutes > 90 else f'{max(1, round(minutes))} min'}."


def budget_here(dataset: Dataset, config: TrainConfig) -> tuple[Needs, list[Finding]]:
    """What a training will take on this computer, and the findings about it; settings may leave open what it decides."""
    engine = likely_backend(config)
    decided = settled(config, dataset, engine)
    return needs(dataset, decided, engine), check_budget(dataset, decided, engine, dataset.folder)


def needs(dataset: Dataset, config: TrainConfig, engine: BackendName) -> Needs:
    """Estimate by the sizes of images and by the most Gaussians, which must be settled."""
    sizes = [_pixels(view, config.resolution) for view in dataset.views] or [0.0]
    model = config.max_gaussians * (11 + 3 * (config.sh_degree + 1) ** 2) * FLOAT
    seconds = config.max_steps * _step_seconds(sum(sizes) / len(sizes), config) if engine == "cpu" else None
    kept = config.image_memory * GIGABYTE or PHOTO_SHARE * free_memory()
    return Needs(_memory_of(dataset, sizes, model, kept, engine), (2 * SAVED + 1) * model, seconds)  # two checkpoints and the result


def _memory_of(dataset: Dataset, sizes: list[float], model: float, kept: float, engine: BackendName) -> float:
    """Bytes for images of `sizes` pixels, of which `kept` bytes stay decoded, and a model of `model` bytes."""
    channels = 4 if any(view.image.suffix.lower() == ".png" for view in dataset.views) else 3
    photos = min(sum(sizes) * channels * PYRAMID, kept)
    learned = model * COPIES + max(sizes) * SCRATCH if engine == "cpu" else SAVED * model  # on a card: what a checkpoint copies
    return FIXED_MEMORY[engine] + photos + learned


def _step_seconds(pixels: float, config: TrainConfig) -> float:
    """Of the built-in engine, on images of so many pixels."""
    least, per_pixel, per_gaussian = STEP_SECONDS
    step = least + (per_pixel * MEAN_PIXELS * pixels + per_gaussian * MEAN_GAUSSIANS * config.max_gaussians) / 1e6
    return step / (config.threads or os.cpu_count() or 1)


def _pixels(view: View, resolution: int) -> float:
    factor = min(1.0, resolution / max(view.camera.width, view.camera.height))
    return view.camera.width * factor * view.camera.height * factor


def check_budget(dataset: Dataset, config: TrainConfig, engine: BackendName, folder: Path) -> list[Finding]:
    """Whether memory, the disk of the job's `folder` and patience suffice."""
    needed = needs(dataset, config, engine)
    return [*_memory(needed, free_memory()), *_disk(needed, free_disk(folder)), *_time(needed, config)]


def _memory(needed: Needs, free: float) -> list[Finding]:
    if needed.memory < limit.MEMORY_SHARE * free:
        return []
    return [Finding("warning", f"The training needs about {needed.memory / GIGABYTE:.1f} GB of memory, {free / GIGABYTE:.1f} GB are free.",
                    "Lower the resolution or the number of Gaussians, or close other programs.", "memory", needed.memory,
                    code="estimate.memory", values=values(needed=needed.memory, free=free))]


def _disk(needed: Needs, free: float | None) -> list[Finding]:
    if free is None or needed.disk < free:
        return []
    return [Finding("warning", f"The training needs about {needed.disk / 1e6:.0f} MB of disk, {free / 1e6:.0f} MB are free.",
                    "Free some space, or lower the number of Gaussians.", "disk", needed.disk,
                    code="estimate.disk", values=values(needed=needed.disk, free=free))]


def _time(needed: Needs, config: TrainConfig) -> list[Finding]:
    seconds = needed.seconds or 0.0
    if config.max_minutes and seconds > 60 * config.max_minutes:
        return [Finding("warning", f"The training will take about {duration(seconds)}, more than the {config.max_minutes:g} minutes "
                        "that it should.", "Estimate it: that tells the setting that helps.", "time", seconds,
                        code="estimate.minutes", values=values(seconds=seconds, minutes=config.max_minutes))]
    if seconds < 3600 * limit.LONG_HOURS:
        return []
    return [Finding("info", f"The training will take about {seconds / 3600:.0f} hours on this computer.",
                    "Lower the resolution, the steps or the number of Gaussians for a first look.", "time", seconds,
                    code="estimate.hours", values=values(seconds=seconds))]


def free_disk(folder: Path) -> float | None:
    """Free bytes where `folder` is or will be; None when that is not known."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    try:
        return float(shutil.disk_usage(there).free) if there else None
    except OSError:
        return None
