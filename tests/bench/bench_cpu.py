"""Speed of the built-in engine: `make bench-cpu`. Whole steps of ours and of the prototype in one run, as ratios; where a
step's time goes; memory; and held-out PSNR over seconds. Without the prototype, in the folder that
SPLATWRIGHT_PROTOTYPE names, ours is measured alone."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.core.splats.gaussians import Gaussians
from engine.training.cpu.library import STAGES
from engine.training.cpu.model import CpuModel
from tests.bench import cores, curves, prototype, versions
from tests.bench.workload import RATES, SETTINGS, VIEWS, cameras, sphere_and_ground, targets

WARM_UP = 3
PICTURE = Path("out") / "bench_cpu.png"
Step = Callable[[int], object]


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
    parser.add_argument("--before", metavar="COMMIT", help="compare whole steps with those of another version instead")
    options = parser.parse_args()
    if options.before:
        versions.compare(options.before, options.counts, options.sizes, options.seconds)
        return
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
