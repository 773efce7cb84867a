"""Speed of the built-in engine: `make bench-cpu`. Whole steps of ours and of the prototype in one run, as ratios; where a
step's time goes; memory; and held-out PSNR over seconds. Without the prototype, in the folder that
SPLATWRIGHT_PROTOTYPE names, ours is measured alone."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.core.cameras.camera import Camera
from engine.core.splats.gaussians import Gaussians
from engine.training.backend import StepSettings, Target
from engine.training.cpu.library import STAGES
from engine.training.cpu.model import CpuModel
from tests.bench import cores, curves, prototype
from tests.scenes import look_at

RATES = {"means": 1.6e-6, "quats": 1e-4, "scales": 5e-5, "opacities": 5e-4, "sh0": 2.5e-5, "shN": 1e-6}
SETTINGS = StepSettings(RATES, 3, (0.0, 0.0, 0.0), 0.2, 0.0, 0.0, 0.0, 1, 0)
VIEWS = 8
WARM_UP = 3
PICTURE = Path("out") / "bench_cpu.png"
Step = Callable[[int], object]


def sphere_and_ground(count: int) -> Gaussians:
    """Half of the Gaussians on a sphere, half on a disk below, sized by their spacing: heavy overlap, like a trained scene."""
    rng = np.random.default_rng(0)
    half = count // 2
    sphere = rng.standard_normal((half, 3))
    sphere *= 0.8 * (1 + 0.02 * rng.standard_normal((half, 1))) / np.linalg.norm(sphere, axis=1, keepdims=True)
    radius, angle = 2 * np.sqrt(rng.random(count - half)), 2 * np.pi * rng.random(count - half)
    disk = np.stack([radius * np.cos(angle), radius * np.sin(angle), -0.8 + 0.02 * rng.standard_normal(count - half)], axis=1)
    spacing = math.sqrt((4 * np.pi * 0.64 + np.pi * 4) / count)
    return Gaussians(
        means=np.concatenate([sphere, disk]).astype(np.float32),
        quats=rng.standard_normal((count, 4)).astype(np.float32),
        scales=(math.log(0.8 * spacing) + 0.4 * rng.standard_normal((count, 3))).astype(np.float32),
        opacities=(1.5 * rng.standard_normal(count)).astype(np.float32),
        sh0=(0.7 * rng.standard_normal((count, 1, 3))).astype(np.float32),
        shN=(0.1 * rng.standard_normal((count, 15, 3))).astype(np.float32),
    )


def cameras(size: int) -> list[Camera]:
    """Square cameras on a ring."""
    angles = np.linspace(0, 2 * np.pi, VIEWS, endpoint=False)
    return [Camera(size, size, 1.1 * size, 1.1 * size, size / 2, size / 2, look_at(np.array([3 * np.cos(a), 3 * np.sin(a), 1.2])))
            for a in angles]


def targets(size: int) -> list[Target]:
    """Images of noise, which cost as much as any."""
    rng = np.random.default_rng(1)
    return [Target(camera, rng.integers(0, 256, (size, size, 3), np.uint8)) for camera in cameras(size)]


def medians(steps: list[Step], at_least: float) -> list[float]:
    """Median seconds of each of several steps, taken in turns so that a machine that slows down slows all."""
    times: list[list[float]] = [[] for _ in steps]
    number, end = 0, time.monotonic() + at_least * len(steps)
    while time.monotonic() < end or number < 2 * WARM_UP:
        for taken, step in zip(times, steps, strict=True):
            start = time.perf_counter()
            step(number)
            taken.append(time.perf_counter() - start)
        number += 1
    return [float(np.median(taken[WARM_UP:])) for taken in times]


def measure_size(gaussians: Gaussians, size: int, seconds: float) -> str:
    """One line: steps a second on one core and on all, beside the prototype's; milliseconds by stage; memory."""
    images = targets(size)
    with cores.one_each():
        models = [CpuModel(gaussians, threads) for threads in (1, len(cores.AVAILABLE))]
    steps: list[Step] = [lambda number, model=model: model.step(images[number % VIEWS], SETTINGS) for model in models]
    if prototype.is_there():
        with cores.one_each():
            steps.append(prototype.whole_step(gaussians, cameras(size), RATES, len(cores.AVAILABLE)))
    for step in steps:
        step(0)
    models[0].take_seconds()
    took = medians(steps, seconds)
    stages = models[0].take_seconds()
    shares = [stages[name] / sum(stages.values()) * took[0] * 1000 for name in STAGES]
    working = models[1].memory() - 3 * gaussians.arrays()["means"].nbytes / 3 * 59
    line = f"{len(gaussians):9,d} {size:5d} {1 / took[0]:8.1f} {1 / took[1]:9.1f} {took[0] / took[1]:7.2f}x"
    line += f" {1 / took[2]:10.1f} {took[2] / took[1]:6.2f}x" if len(took) > 2 else " " * 19
    limit = 400 * len(gaussians) + 60 * size * size
    line += " |" + "".join(f"{share:8.1f}" for share in shares) + f" | {working / 1e6:7.1f} {100 * working / limit:5.0f} %"
    for model in models:
        model.close()
    return line


def main() -> None:
    """Print the tables and draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="*", default=[10_000, 50_000, 200_000])
    parser.add_argument("--sizes", type=int, nargs="*", default=[256, 512, 800])
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--no-curves", action="store_true", help="leave out the trainings")
    options = parser.parse_args()
    print(f"{len(cores.AVAILABLE)} cores, a thread on each; medians of whole steps, taken in turns")
    print("                  steps a second            prototype        | milliseconds on one core by stage" + " " * 31
          + "| working memory")
    names = ("compose", "project", "sort", "bin", "raster", "loss", "raster↩", "rest↩")
    print("Gaussians  side   1 core all cores  scaling  all cores  ratio |" + "".join(f"{name:>8}" for name in names)
          + " |      MB of limit")
    with cores.first():
        for count in options.counts:
            gaussians = sphere_and_ground(count)
            for size in options.sizes:
                print(measure_size(gaussians, size, options.seconds), flush=True)
    if not options.no_curves:
        print("\nHeld-out PSNR in dB after seconds of training, images of 400 px")
        found = curves.compare()
        PICTURE.parent.mkdir(exist_ok=True)
        curves.draw(found, PICTURE)


if __name__ == "__main__":
    main()
