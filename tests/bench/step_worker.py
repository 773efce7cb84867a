"""Takes steps for as many seconds as each line of its input says, and answers with the milliseconds of the quickest, by thread time."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

from engine.training.cpu.model import CpuModel
from tests.bench.workload import SETTINGS, VIEWS, sphere_and_ground, targets

LEAST_STEPS = 3


def main() -> None:
    """Arguments: number of Gaussians, side of the images, whether absolute gradients are summed."""
    count, size, absolute = map(int, sys.argv[1:])
    images, model, number = targets(size), CpuModel(sphere_and_ground(count), 1), 0
    settings = replace(SETTINGS, gather=bool(absolute))
    for line in sys.stdin:
        best, end, first = float("inf"), time.monotonic() + float(line), number
        while time.monotonic() < end or number < first + LEAST_STEPS:
            start = time.thread_time()
            model.step(images[number % VIEWS], settings)
            best, number = min(best, time.thread_time() - start), number + 1
        print(1000 * best, flush=True)


if __name__ == "__main__":
    main()
