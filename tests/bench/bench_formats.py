"""Seconds, bytes and memory of every splat format: `python -m tests.bench.bench_formats [splats]`.

Splats as a training leaves them: places in a scene, neighbours in no order, harmonics small and many of them near zero.
"""

from __future__ import annotations

import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.core.formats.registry import FORMATS, Format, read_splats, write_splats
from engine.core.splats.gaussians import Gaussians


def main() -> None:
    """Print a line for each format, the plain PLY first."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    gaussians = trained_like(count)
    print(f"{count:,} splats, SH degree 3\n{'':16}{'write s':>9}{'read s':>9}{'MB':>9}{'peak MB reading':>18}")
    with tempfile.TemporaryDirectory() as folder:
        for chosen in FORMATS:
            print(measured(chosen, gaussians, Path(folder) / f"a{chosen.suffix}"))


def trained_like(count: int) -> Gaussians:
    """Gaussians with the statistics of a trained scene."""
    rng = np.random.default_rng(0)

    def normal(middle: float, spread: float, *shape: int) -> np.ndarray:
        return rng.standard_normal((count, *shape), np.float32) * np.float32(spread) + np.float32(middle)

    return Gaussians(means=normal(0, 3, 3), quats=normal(0, 1, 4), scales=normal(-4, 1, 3), opacities=normal(0, 2),
                     sh0=normal(0, 1, 1, 3), shN=normal(0, 0.08, 15, 3))


def measured(chosen: Format, gaussians: Gaussians, path: Path) -> str:
    """The best of three writings and readings, and the memory that one reading takes."""
    writing = best(lambda: write_splats(path, gaussians, chosen=chosen))
    reading = best(lambda: read_splats(path))
    tracemalloc.start()
    read_splats(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return f"{chosen.name:16}{writing:9.2f}{reading:9.2f}{path.stat().st_size / 1e6:9.1f}{peak / 1e6:18.0f}"


def best(work: Callable[[], object]) -> float:
    """Seconds of the quickest of three runs."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
