"""How much memory the kernels take, and what happens when there is no more. Each case in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="limits and figures of memory are Linux's")

BEGIN = """
import resource
import numpy as np
from engine.core.errors import UserError
from engine.core.gaussians import Gaussians
from engine.training.cpu.library import Kernels
from engine.training.cpu.model import CpuModel, view_struct
from tests.scenes import colored_ball, ring_cameras

view = view_struct(ring_cameras(1, 64)[0], (0.1, 0.5, 0.9))
small = colored_ball(50).arrays()

def pile(count):
    dot = colored_ball(1).arrays() | {"means": np.zeros((1, 3), np.float32), "scales": np.full((1, 3), -7, np.float32)}
    return {name: np.repeat(array, count, axis=0) for name, array in dot.items()}

def peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def allow(megabytes):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, -1))

def refused(action):
    try:
        action()
    except (UserError, MemoryError) as error:
        return getattr(error, "message", "") + " " + getattr(error, "hint", "")
    return "not refused"
"""


def child(code: str) -> list[str]:
    """What a fresh Python printed, line by line."""
    done = subprocess.run([sys.executable, "-c", BEGIN + code], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stderr}"
    return done.stdout.splitlines()


@linux_only
def test_a_million_gaussians_on_one_pixel_stay_within_400_bytes_each() -> None:
    seen, gradient, used = child("""
parameters, kernels = pile(1_000_000), Kernels(2)
gradients = {name: np.ones_like(array) for name, array in parameters.items()}
before = peak()
images = kernels.forward(parameters, 0, view, with_depth=True)
kernels.backward(np.ones_like(images.rgb), gradients)
print(images.transmittance.min(), float(np.abs(gradients["sh0"]).sum()), (peak() - before) / 1_000_000, sep="\\n")
""")
    assert 1e-4 < float(seen) < 2e-3 and float(gradient) > 0
    assert 0 < float(used) < 400


@linux_only
def test_a_large_image_takes_60_bytes_a_pixel() -> None:
    [used] = child("""
side, kernels = 2000, Kernels(2)
view = view_struct(ring_cameras(1, side)[0], (0, 0, 0))
truth, gradient = (np.ones((3, side, side), np.float32) for _ in range(2))
gradients, before = {name: np.ones_like(array) for name, array in small.items()}, peak()
images = kernels.forward(small, 0, view, with_depth=False)
kernels.loss(images.rgb, truth, 0.2, gradient)
kernels.backward(gradient, gradients)
print((peak() - before + 2 * gradient.nbytes) / side**2)
""")
    assert 0 < float(used) < 85  # 60 of the kernels, 24 of the two pictures that are handed to the loss


@linux_only
@pytest.mark.parametrize("megabytes", [0, 20, 60, 120])
def test_without_memory_for_the_gaussians_a_sentence_and_the_kernels_live_on(megabytes: int) -> None:
    answer, same = child(f"""
parameters, kernels = pile(1_000_000), Kernels(2)
before = kernels.forward(small, 0, view, with_depth=True)
allow({megabytes})
print(refused(lambda: kernels.forward(parameters, 0, view, with_depth=True)))
print(np.array_equal(kernels.forward(small, 0, view, with_depth=True).rgb, before.rgb))
""")
    assert "out of memory" in answer and "Lower the resolution" in answer and same == "True"


@linux_only
def test_without_memory_for_the_way_back_a_sentence() -> None:
    [answer] = child("""
wide = colored_ball(20_000).arrays() | {"scales": np.full((20_000, 3), 0.5, np.float32)}
view, kernels = view_struct(ring_cameras(1, 640)[0], (0, 0, 0)), Kernels(2)
gradients = {name: np.ones_like(array) for name, array in wide.items()}
images = kernels.forward(wide, 0, view, with_depth=True)
allow(100)
print(refused(lambda: kernels.backward(images.rgb, gradients)))
""")
    assert "out of memory" in answer


@linux_only
def test_without_memory_for_the_loss_a_sentence() -> None:
    [answer] = child("""
kernels, image = Kernels(2), np.ones((3, 2000, 2000), np.float32)
gradient = np.ones_like(image)
allow(50)
print(refused(lambda: kernels.loss(image, image, 0.2, gradient)))
""")
    assert "out of memory" in answer


@linux_only
def test_without_memory_for_threads_fewer_do() -> None:
    [same] = child("""
before = Kernels(1).forward(small, 0, view, with_depth=True)
allow(40)
print(np.array_equal(Kernels(64).forward(small, 0, view, with_depth=True).rgb, before.rgb))
""")
    assert same == "True"


@linux_only
def test_a_picture_larger_than_the_memory_is_refused() -> None:
    [answer] = child("""
view.width = view.height = 32_000
allow(500)
print(refused(lambda: Kernels(1).forward(small, 0, view, with_depth=True)))
""")
    assert answer != "not refused"


def test_gaussians_that_all_cover_a_large_image_are_refused() -> None:
    [answer] = child("""
count = 20_000
wide = colored_ball(count).arrays() | {"scales": np.full((count, 3), 6, np.float32)}
view = view_struct(ring_cameras(1, 4000)[0], (0, 0, 0))
print(refused(lambda: Kernels(2).forward(wide, 0, view, with_depth=False)))
""")
    assert "covers the whole image" in answer
