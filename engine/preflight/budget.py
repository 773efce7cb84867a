"""What a training will cost: memory, disk and minutes, and whether the computer has them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..core.config import TrainConfig
from ..core.dataset import Dataset, View
from ..core.events import Finding
from . import thresholds as limit

PYRAMID = 1 + 1 / 4 + 1 / 16
COPIES = 4
"""Each parameter has a gradient and two moments."""

FLOAT = 4
GIGABYTE = 1e9
SCRATCH = 60
"""Bytes a pixel of one image that a step needs: images, their gradients, the lists of Gaussians of tiles."""

FIXED_MEMORY = 120e6
"""Bytes of the engine itself."""

STEP_SECONDS = (0.002, 0.17, 1.2)
"""Core-seconds of a step: at least, for each million of pixels, for each million of Gaussians (3,000 steps of the sample scene
take 81 s on two cores; photos that fill the image 0.10 core-seconds a step at half a million pixels)."""

MEAN_PIXELS = 0.4 + 0.45 / 4 + 0.15 / 16
"""Share of the full image's pixels that the schedule's steps see on average."""

MEAN_GAUSSIANS = 0.75
"""Share of the largest number of Gaussians that is there on average."""


@dataclass(frozen=True)
class Needs:
    """An estimate of what a training takes."""

    memory: float
    """bytes"""
    disk: float
    """bytes in the job folder"""
    seconds: float

    @property
    def sentence(self) -> str:
        """For people."""
        minutes = self.seconds / 60
        time = f"{minutes / 60:.1f} hours" if minutes > 90 else f"{max(1, round(minutes))} min"
        return f"A training needs about {self.memory / GIGABYTE:.1f} GB of memory, {self.disk / 1e6:.0f} MB of disk and {time}."


def needs(dataset: Dataset, config: TrainConfig, cores: int | None = None) -> Needs:
    """Estimate by the sizes of cameras and Gaussians; `cores` of this computer unless given."""
    pixels = sorted(_pixels(view, config.resolution) for view in dataset.views)
    channels = 4 if any(view.image.suffix.lower() == ".png" for view in dataset.views) else 3
    largest = pixels[-1] if pixels else 0.0
    floats = 11 + 3 * (config.sh_degree + 1) ** 2
    model = config.max_gaussians * floats * FLOAT
    memory = FIXED_MEMORY + sum(pixels) * channels * PYRAMID + largest * SCRATCH + model * COPIES
    least, per_pixel, per_gaussian = STEP_SECONDS
    mean = sum(pixels) / max(1, len(pixels))
    step = least + (per_pixel * MEAN_PIXELS * mean + per_gaussian * MEAN_GAUSSIANS * config.max_gaussians) / 1e6
    return Needs(memory, 2 * 3 * model + model, config.max_steps * step / (cores or config.threads or os.cpu_count() or 1))


def _pixels(view: View, resolution: int) -> float:
    factor = min(1.0, resolution / max(view.camera.width, view.camera.height))
    return view.camera.width * factor * view.camera.height * factor


def check_budget(dataset: Dataset, config: TrainConfig, folder: Path) -> list[Finding]:
    """Whether memory, the disk of `folder` and patience suffice."""
    needed = needs(dataset, config)
    return [*_memory(needed, free_memory()), *_disk(needed, free_disk(folder)), *_time(needed)]


def _memory(needed: Needs, free: float | None) -> list[Finding]:
    if free is None or needed.memory < limit.MEMORY_SHARE * free:
        return []
    return [Finding("warning", f"The training needs about {needed.memory / GIGABYTE:.1f} GB of memory, {free / GIGABYTE:.1f} GB are free.",
                    "Lower the resolution or the number of Gaussians, or close other programs.", "memory", needed.memory)]


def _disk(needed: Needs, free: float | None) -> list[Finding]:
    if free is None or needed.disk < free:
        return []
    return [Finding("warning", f"The training needs about {needed.disk / 1e6:.0f} MB of disk, {free / 1e6:.0f} MB are free.",
                    "Free some space, or lower the number of Gaussians.", "disk", needed.disk)]


def _time(needed: Needs) -> list[Finding]:
    hours = needed.seconds / 3600
    if hours < limit.LONG_HOURS:
        return []
    return [Finding("info", f"The training will take about {hours:.0f} hours on this computer.",
                    "Lower the resolution, the steps or the number of Gaussians for a first look.", "time", needed.seconds)]


def free_disk(folder: Path) -> float | None:
    """Free bytes where `folder` is or will be; None when that is not known."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    try:
        return float(shutil.disk_usage(there).free) if there else None
    except OSError:
        return None


def free_memory() -> float | None:
    """Bytes that programs can still have; None where the system does not tell (macOS, Windows)."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None

