"""The prototype that the kernels are measured against: a C file and its training script, in the folder
that the variable SPLATWRIGHT_PROTOTYPE names.

    python -m tests.bench.prototype DATA --steps 700 ...     its own training, its threads on cores of their own
"""

from __future__ import annotations

import ctypes
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from engine.core.cameras.camera import Camera
from engine.core.splats.gaussians import Gaussians
from engine.training.cpu.blocks import NAMES
from engine.training.cpu.build import CACHE
from tests.bench import cores

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("SPLATWRIGHT_PROTOTYPE") or "no prototype").absolute()
LIBRARY = CACHE / "prototype.so"
FLAGS = ["-O3", "-march=x86_64_v3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC", "-w"]
MEASURED = re.compile(r"step (\d+) N=\d+ psnr=([\d.]+) wall=([\d.]+)s")

Step = Callable[[int], None]
Curve = list[tuple[float, float]]  # seconds of training, PSNR on held-out views


def is_there() -> bool:
    """Whether the variable names a folder with the prototype."""
    return (FOLDER / "splat.c").exists()


def build() -> None:
    """Compile it as it was, for AVX2, with the compiler that compiles ours."""
    CACHE.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(CACHE), "ZIG_LOCAL_CACHE_DIR": str(CACHE)}
    if not LIBRARY.exists():
        command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, str(FOLDER / "splat.c"), "-o", str(LIBRARY)]
        subprocess.run(command, check=True, env=environment)


@cache
def library() -> ctypes.CDLL:
    """Its functions."""
    build()
    made = ctypes.CDLL(str(LIBRARY))
    made.splat_new.restype = ctypes.c_void_p
    made.splat_loss.restype = ctypes.c_double
    return made


def whole_step(gaussians: Gaussians, cameras: list[Camera], rates: dict[str, float], threads: int) -> Step:
    """Draw, compare, go back and update, from square images of noise."""
    kernels, size = library(), cameras[0].width
    handle = ctypes.c_void_p(kernels.splat_new(threads))
    parameters = {name: array.copy() for name, array in gaussians.arrays().items()}
    gradients, first, second = ({name: np.zeros_like(array) for name, array in parameters.items()} for _ in range(3))
    rng = np.random.default_rng(1)
    targets = [rng.random((3, size, size), np.float32) for _ in cameras]
    views = [np.ascontiguousarray(camera.viewmat, np.float32) for camera in cameras]
    rgb, rest, back = np.empty((3, size, size), np.float32), np.empty((size, size), np.float32), np.empty((3, size, size), np.float32)
    background = np.zeros(3, np.float32)
    lens = [ctypes.c_float(value) for value in (cameras[0].fl_x, cameras[0].fl_y, cameras[0].cx, cameras[0].cy)]

    def step(number: int) -> None:
        view = number % len(cameras)
        kernels.splat_forward(handle, len(gaussians), 16, 3, size, size, *map(_pointer, parameters.values()), _pointer(views[view]),
                              *lens, _pointer(background), _pointer(rgb), _pointer(rest))
        kernels.splat_loss(handle, size, size, _pointer(rgb), _pointer(targets[view]), ctypes.c_float(0.2), _pointer(back))
        kernels.splat_backward(handle, _pointer(back), None, *map(_pointer, gradients.values()), None)
        for name in NAMES:
            arrays = (array[name] for array in (parameters, gradients, first, second))
            settings = map(ctypes.c_float, (rates[name], 0.9, 0.999, 1e-15))
            kernels.splat_adam(handle, ctypes.c_longlong(parameters[name].size), *map(_pointer, arrays), *settings, number + 1)

    return step


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def training_curve(data: Path, steps: int, cap: int, quarter: float, half: float) -> Curve:
    """Train by its own script with the best rates that it found."""
    build()
    marks = ",".join(str(int(share * steps)) for share in np.linspace(0.04, 1, 25))
    command = [sys.executable, "-m", "tests.bench.prototype", str(data), "--steps", steps, "--cap", cap, "--init", 10**6, "--deg", 1,
               "--quarter", quarter, "--half", half, "--lrx", 1.5, "--lrmean", 3.2e-4, "--evals", marks,
               "--threads", len(cores.AVAILABLE)]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=True)
    return [(float(seconds), float(psnr)) for _, psnr, seconds in MEASURED.findall(done.stdout)]


def _train_with_pinned_threads() -> None:
    sys.path.insert(0, str(FOLDER))
    os.environ["SPLAT_SO"] = str(LIBRARY)
    import csnp  # type: ignore[import-not-found]

    plain_start = csnp.Lib.__init__

    def start(self: object, *arguments: object, **named: object) -> None:
        with cores.one_each():
            plain_start(self, *arguments, **named)

    csnp.Lib.__init__ = start
    with cores.first():
        runpy.run_path(str(FOLDER / "train_np.py"), run_name="__main__")


if __name__ == "__main__":
    _train_with_pinned_threads()
