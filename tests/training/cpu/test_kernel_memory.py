"""How much memory the kernels take, and what happens when there is no more. Each case in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="limits and figures of memory are Linux's")

BEGIN = """
import resource
import numpy as np
from engine.core.errors import UserError
from engine.training.cpu.blocks import Blocks
from engine.training.cpu.library import Drawing, Kernels, LessonStruct
from engine.training.cpu.model import packed, view_struct
from tests.scenes import colored_ball, ring_cameras

view = view_struct(ring_cameras(1, 64)[0], (0.1, 0.5, 0.9))
image = np.zeros((64, 64, 3), np.uint8)
small = Drawing(packed(colored_ball(50).arrays()), 0)
lesson = LessonStruct(ssim_lambda=0.2, step=1)
lesson.rates[:] = [0.01] * 6

def pile(count):
    dot = colored_ball(1).arrays() | {"means": np.zeros((1, 3), np.float32), "scales": np.full((1, 3), -7, np.float32)}
    return Drawing(packed({name: np.repeat(array, count, axis=0) for name, array in dot.items()}), 0)

def moments(drawing):
    made = tuple(Blocks.zeros(drawing.gaussians.count, drawing.gaussians.rest) for _ in range(2))
    for blocks in made:
        blocks.values[:] = 0  # memory of zeros is taken when it is first written
    return made

def peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def allow(megabytes):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, -1))

def allow_all():
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))

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
    held, used, loss = map(float, child("""
drawing, kernels = pile(1_000_000), Kernels(2)
both = moments(drawing)
before = peak()
loss = kernels.step(drawing, view, image, lesson, both)
print(kernels.memory(), peak() - before, loss, sep="\\n")
"""))
    assert 0 < held < 400e6 + 60 * 64**2 and 0 < loss < 1
    assert used < 1.02 * held + 2**20  # nothing is kept beside what is counted


@linux_only
def test_a_large_image_takes_60_bytes_a_pixel() -> None:
    held, used = map(float, child("""
side, kernels, both = 2000, Kernels(2), moments(small)
view = view_struct(ring_cameras(1, side)[0], (0, 0, 0))
image = np.ones((side, side, 3), np.uint8)
before = peak()
kernels.step(small, view, image, lesson, both)
print(kernels.memory(), peak() - before, sep="\\n")
"""))
    assert 0 < held < 60 * 2000**2 + 400 * 50
    assert used < 1.02 * held + 2**20


@linux_only
@pytest.mark.parametrize("megabytes", [0, 60, 100, 160, 240])
def test_a_step_without_memory_is_a_sentence_and_changes_nothing(megabytes: int) -> None:
    answer, unchanged, lives_on = child(f"""
drawing, kernels = pile(1_000_000), Kernels(2)
both, start = moments(drawing), drawing.gaussians.values.copy()
before = kernels.forward(small, view, with_depth=True)
allow({megabytes})
print(refused(lambda: kernels.step(drawing, view, image, lesson, both)))
same = np.array_equal(kernels.forward(small, view, with_depth=True).rgb, before.rgb)
allow_all()
print(np.array_equal(drawing.gaussians.values, start) and not any(blocks.values.any() for blocks in both))
print(same)
""")
    assert "out of memory" in answer and "Lower the resolution" in answer and unchanged == lives_on == "True"


@linux_only
def test_without_memory_for_the_way_back_a_sentence() -> None:
    [answer] = child("""
wide = Drawing(packed(colored_ball(20_000).arrays() | {"scales": np.full((20_000, 3), 0.5, np.float32)}), 0)
view, kernels = view_struct(ring_cameras(1, 640)[0], (0, 0, 0)), Kernels(2)
images = kernels.forward(wide, view)
allow(100)
print(refused(lambda: kernels.backward(images.rgb)))
""")
    assert "out of memory" in answer


@linux_only
def test_without_memory_for_the_loss_a_sentence() -> None:
    [answer] = child("""
side, kernels = 2000, Kernels(2)
view, image = view_struct(ring_cameras(1, side)[0], (0, 0, 0)), np.ones((side, side, 3), np.uint8)
rgb, gradient = (np.ones((3, side, side), np.float32) for _ in range(2))
allow(50)
print(refused(lambda: kernels.loss(view, image, rgb, 0.2, gradient)))
""")
    assert "out of memory" in answer


@linux_only
def test_without_memory_for_threads_fewer_do() -> None:
    [same] = child("""
before = Kernels(1).forward(small, view)
allow(40)
print(np.array_equal(Kernels(64).forward(small, view).rgb, before.rgb))
""")
    assert same == "True"


@linux_only
def test_a_picture_larger_than_the_memory_is_refused() -> None:
    [answer] = child("""
view.width = view.height = 32_000
allow(500)
print(refused(lambda: Kernels(1).forward(small, view)))
""")
    assert answer != "not refused"


def test_gaussians_that_all_cover_a_large_image_are_refused() -> None:
    answer, again = child("""
wide = Drawing(packed(colored_ball(20_000).arrays() | {"scales": np.full((20_000, 3), 6, np.float32)}), 0)
kernels, large = Kernels(2), view_struct(ring_cameras(1, 4000)[0], (0, 0, 0))
print(refused(lambda: kernels.forward(wide, large)))
print(np.isfinite(kernels.forward(small, view).rgb).all())
""")
    assert "covers the whole image" in answer and again == "True"
