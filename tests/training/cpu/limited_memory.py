"""Kernels with little memory, a case a process: `python -m tests.training.cpu.limited_memory CASE [MEGABYTES]`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from engine.core.errors import UserError
from engine.training.checkpoint import NEWEST, Checkpoint, save_checkpoint
from engine.training.cpu.blocks import Blocks
from engine.training.cpu.library import Kernels, KernelScene, StepInputStruct
from engine.training.cpu.model import CpuModel, packed, view_struct
from tests.scenes import colored_ball, ring_cameras

view = view_struct(ring_cameras(1, 64)[0], (0.1, 0.5, 0.9))
image = np.zeros((64, 64, 3), np.uint8)
small = KernelScene(packed(colored_ball(50).arrays()), 0)
step_input = StepInputStruct(ssim_lambda=0.2, step=1)
step_input.rates[:] = [0.01] * 6


def pile(count: int) -> KernelScene:
    """So many equal Gaussians in one place."""
    dot = colored_ball(1).arrays() | {"means": np.zeros((1, 3), np.float32), "scales": np.full((1, 3), -7, np.float32)}
    return KernelScene(packed({name: np.repeat(array, count, axis=0) for name, array in dot.items()}), 0)


def moments(drawing: KernelScene) -> tuple[Blocks, ...]:
    """Moments of Adam whose memory is taken."""
    made = tuple(Blocks.zeros(drawing.gaussians.count, drawing.gaussians.rest) for _ in range(2))
    for blocks in made:
        blocks.values[:] = 0  # memory of zeros is taken when it is first written
    return made


def peak() -> int:
    """Resident bytes of this process at their highest."""
    import resource

    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def allow(megabytes: int) -> None:
    """No more memory than what is used now and so much."""
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, -1))


def allow_all() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))


def refused(action: Callable[[], object]) -> str:
    """The sentence that an action is refused with."""
    try:
        action()
    except (UserError, MemoryError) as error:
        return getattr(error, "message", "") + " " + getattr(error, "hint", "")
    return "not refused"


def million(megabytes: int) -> None:
    """A step on a million Gaussians on one pixel: bytes the kernels hold, bytes the process took, loss."""
    drawing, kernels = pile(1_000_000), Kernels(2)
    both = moments(drawing)
    before = peak()
    loss = kernels.step(drawing, view, image, step_input, both)
    print(kernels.memory(), peak() - before, loss, sep="\n")


def large_image(megabytes: int) -> None:
    """A step on a large image: bytes the kernels hold, bytes the process took."""
    side, kernels, both = 2000, Kernels(2), moments(small)
    view = view_struct(ring_cameras(1, side)[0], (0, 0, 0))
    image = np.ones((side, side, 3), np.uint8)
    before = peak()
    kernels.step(small, view, image, step_input, both)
    print(kernels.memory(), peak() - before, sep="\n")


def step(megabytes: int) -> None:
    """A step with so much memory: the sentence, whether nothing has changed, whether the kernels go on."""
    drawing, kernels = pile(1_000_000), Kernels(2)
    both, start = moments(drawing), drawing.gaussians.values.copy()
    before = kernels.forward(small, view, with_depth=True)
    allow(megabytes)
    print(refused(lambda: kernels.step(drawing, view, image, step_input, both)))
    same = np.array_equal(kernels.forward(small, view, with_depth=True).rgb, before.rgb)
    allow_all()
    print(np.array_equal(drawing.gaussians.values, start) and not any(blocks.values.any() for blocks in both))
    print(same)


def way_back(megabytes: int) -> None:
    """No memory for the way back: the sentence."""
    wide = KernelScene(packed(colored_ball(20_000).arrays() | {"scales": np.full((20_000, 3), 0.5, np.float32)}), 0)
    view, kernels = view_struct(ring_cameras(1, 640)[0], (0, 0, 0)), Kernels(2)
    images = kernels.forward(wide, view)
    allow(100)
    print(refused(lambda: kernels.backward(images.rgb)))


def loss(megabytes: int) -> None:
    """No memory for the loss: the sentence."""
    side, kernels = 2000, Kernels(2)
    view, image = view_struct(ring_cameras(1, side)[0], (0, 0, 0)), np.ones((side, side, 3), np.uint8)
    rgb, gradient = (np.ones((3, side, side), np.float32) for _ in range(2))
    allow(50)
    print(refused(lambda: kernels.loss(view, image, rgb, 0.2, gradient)))


def threads(megabytes: int) -> None:
    """No memory for the threads: whether the picture is the same."""
    before = Kernels(1).forward(small, view)
    allow(40)
    print(np.array_equal(Kernels(64).forward(small, view).rgb, before.rgb))


def picture(megabytes: int) -> None:
    """A picture that is larger than the memory: the sentence."""
    view.width = view.height = 32_000
    allow(500)
    print(refused(lambda: Kernels(1).forward(small, view)))


def all_covering(megabytes: int) -> None:
    """Gaussians that all cover a large image: the sentence, whether the kernels go on."""
    wide = KernelScene(packed(colored_ball(20_000).arrays() | {"scales": np.full((20_000, 3), 6, np.float32)}), 0)
    kernels, large = Kernels(2), view_struct(ring_cameras(1, 4000)[0], (0, 0, 0))
    print(refused(lambda: kernels.forward(wide, large)))
    print(np.isfinite(kernels.forward(small, view).rgb).all())


def saving(megabytes: int) -> None:
    """A checkpoint of 300,000 Gaussians with so much memory beside them: whether it was written, and refused as a copy."""
    model = CpuModel(colored_ball(300_000, sh_degree=3), 1)
    with TemporaryDirectory() as folder:
        allow(megabytes)
        save_checkpoint(Path(folder) / "checkpoint", Checkpoint(1, 1.0, model.snapshot(copy=False), live=True))
        print((Path(folder) / "checkpoint" / NEWEST).stat().st_size > 300_000 * 59 * 3 * 4)
    print(refused(lambda: model.snapshot(copy=True)))


CASES = {case.__name__: case for case in (saving, million, large_image, step, way_back, loss, threads, picture, all_covering)}

if __name__ == "__main__":
    CASES[sys.argv[1]](int(sys.argv[2]) if len(sys.argv) > 2 else 0)
