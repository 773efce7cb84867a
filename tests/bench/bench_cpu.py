"""Speed of the CPU kernels: `make bench-cpu`. Whole steps of ours and of the prototype in one run, as ratios.

The prototype (a C file beside the checkout, in shared/lab/cpu) is compiled on the spot; without it ours is measured alone.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from engine.core.camera import Camera
from engine.core.gaussians import Gaussians
from engine.training.backend import StepSettings, Target
from engine.training.cpu.blocks import NAMES
from engine.training.cpu.build import CACHE
from engine.training.cpu.model import CpuModel
from tests.scenes import look_at

ROOT = Path(__file__).resolve().parents[2]
PROTOTYPE = ROOT.parent / "shared" / "lab" / "cpu" / "splat.c"
RATES = {"means": 1.6e-6, "quats": 1e-4, "scales": 5e-5, "opacities": 5e-4, "sh0": 2.5e-5, "shN": 1e-6}
VIEWS = 8
Step = Callable[[int], None]


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
    angles = np.linspace(0, 2 * np.pi, VIEWS, endpoint=False)
    return [Camera(size, size, 1.1 * size, 1.1 * size, size / 2, size / 2, look_at(np.array([3 * np.cos(a), 3 * np.sin(a), 1.2])))
            for a in angles]


def our_step(gaussians: Gaussians, size: int, threads: int) -> Step:
    """A whole step of the model, with everything that training does in it but the exploration noise."""
    model = CpuModel(gaussians, threads)
    rng = np.random.default_rng(1)
    targets = [Target(camera, rng.integers(0, 256, (size, size, 3), np.uint8)) for camera in cameras(size)]
    settings = StepSettings(RATES, 3, (0.0, 0.0, 0.0), 0.2, 0.0, 0.0, 0.0, 1, 0)
    return lambda number: (model.step(targets[number % VIEWS], settings), None)[1]


def prototype_step(gaussians: Gaussians, size: int, threads: int) -> Step:
    """The same step by the prototype's functions."""
    library = prototype()
    handle = ctypes.c_void_p(library.splat_new(threads))
    parameters = {name: array.copy() for name, array in gaussians.arrays().items()}
    gradients, first, second = ({name: np.zeros_like(array) for name, array in parameters.items()} for _ in range(3))
    rng = np.random.default_rng(1)
    targets = [rng.random((3, size, size), np.float32) for _ in range(VIEWS)]
    views = [np.ascontiguousarray(camera.viewmat, np.float32) for camera in cameras(size)]
    rgb, rest, back = np.empty((3, size, size), np.float32), np.empty((size, size), np.float32), np.empty((3, size, size), np.float32)
    background = np.zeros(3, np.float32)
    lens = [ctypes.c_float(value) for value in (1.1 * size, 1.1 * size, size / 2, size / 2)]

    def step(number: int) -> None:
        library.splat_forward(handle, len(gaussians), 16, 3, size, size, *map(pointer, parameters.values()), pointer(views[number % VIEWS]),
                              *lens, pointer(background), pointer(rgb), pointer(rest))
        library.splat_loss(handle, size, size, pointer(rgb), pointer(targets[number % VIEWS]), ctypes.c_float(0.2), pointer(back))
        library.splat_backward(handle, pointer(back), None, *map(pointer, gradients.values()), None)
        for name in NAMES:
            arrays = (array[name] for array in (parameters, gradients, first, second))
            rates = map(ctypes.c_float, (RATES[name], 0.9, 0.999, 1e-15))
            library.splat_adam(handle, ctypes.c_longlong(parameters[name].size), *map(pointer, arrays), *rates, number + 1)

    return step


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def prototype() -> ctypes.CDLL:
    """The prototype, compiled like our kernels."""
    CACHE.mkdir(parents=True, exist_ok=True)
    output = CACHE / "prototype.so"
    if not output.exists():
        environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(CACHE), "ZIG_LOCAL_CACHE_DIR": str(CACHE)}
        flags = ["-O3", "-march=x86_64_v3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC", "-w"]
        subprocess.run([sys.executable, "-m", "ziglang", "cc", *flags, str(PROTOTYPE), "-o", str(output)], check=True, env=environment)
    library = ctypes.CDLL(str(output))
    library.splat_new.restype = ctypes.c_void_p
    library.splat_loss.restype = ctypes.c_double
    return library


def seconds_a_step(steps: list[Step], at_least: float) -> Iterator[float]:
    """Median seconds of each of several steps, taken in turns so that a machine that slows down slows all."""
    times: list[list[float]] = [[] for _ in steps]
    number, end = 0, time.monotonic() + at_least * len(steps)
    while time.monotonic() < end or number < 6:
        for taken, step in zip(times, steps, strict=True):
            start = time.perf_counter()
            step(number)
            taken.append(time.perf_counter() - start)
        number += 1
    return (float(np.median(taken[2:])) for taken in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="*", default=[10_000, 50_000, 200_000])
    parser.add_argument("--sizes", type=int, nargs="*", default=[256, 512, 800])
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with_prototype = PROTOTYPE.exists()
    print(f"{cores} cores; it/s of whole steps; medians, measured in turns in one run")
    print("Gaussians   size   1 core   all cores   scaling" + ("   prototype   ratio" if with_prototype else ""))
    for count in options.counts:
        gaussians = sphere_and_ground(count)
        for size in options.sizes:
            steps = [our_step(gaussians, size, 1), our_step(gaussians, size, cores)]
            if with_prototype:
                steps.append(prototype_step(gaussians, size, cores))
            rates = [1 / seconds for seconds in seconds_a_step(steps, options.seconds)]
            line = f"{count:9d} {size:6d} {rates[0]:8.1f} {rates[1]:11.1f} {rates[1] / rates[0]:8.2f}x"
            print(line + (f" {rates[2]:11.1f} {rates[1] / rates[2]:6.2f}x" if with_prototype else ""), flush=True)


if __name__ == "__main__":
    main()
