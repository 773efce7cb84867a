"""The self-check: everything the engine needs on this computer, each row with its state and fix.

`python -m engine.doctor --json` answers Blender and the installer with one line; with Blender's own Python it needs numpy alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import assert_never

from .core.errors import UserError
from .core.processes import run
from .core.protocol.http_messages import PORT
from .environment.graphics import Graphics, find_graphics
from .environment.plan import cpp_compiler, driver_sentence

DISK_BYTES = 5e9
MEMORY_BYTES = 4e9
KERNEL_PIXELS = 64


class DoctorState(Enum):
    """How something is."""

    WELL = "well"
    ABSENT = "absent"  # not there, and only needed for more than was asked for
    WEAK = "weak"  # works, with trouble to expect
    BROKEN = "broken"


@dataclass(frozen=True)
class DoctorRow:
    """One thing that was looked at: a sentence, and what to do about it."""

    subject: str
    state: DoctorState
    sentence: str
    fix: str = ""


@dataclass(frozen=True)
class DoctorOptions:
    """What to look at."""

    folder: Path = Path()
    port: int = PORT
    graphics: bool = False  # whether this Python is meant to train on the graphics card, so that what it lacks for that is a fault


def examine(request: DoctorOptions) -> Iterator[DoctorRow]:
    """Every row, one after the other. NVIDIA's tools are looked at where there is a card, or where one is needed.

    The first time that may compile for minutes.
    """
    graphics = find_graphics()
    yield interpreter()
    yield processor_kernels()
    yield images()
    yield packages()
    yield driver(graphics, request.graphics)
    if graphics is not None or request.graphics:
        yield pytorch(graphics, request.graphics)
        yield toolkit(request.graphics)
        yield compiler(request.graphics)
        yield architectures(graphics)
        yield gsplat_kernels(graphics, request.graphics)
    yield disk(request.folder)
    yield memory()
    yield port(request.port)


def interpreter() -> DoctorRow:
    """Python itself."""
    return DoctorRow("Python", DoctorState.WELL, f"Python {platform.python_version()} at {sys.executable}.")


def processor_kernels() -> DoctorRow:
    """The built-in engine: a training step on the processor."""
    return kernels("Built-in engine", "cpu", lambda: None)


def images() -> DoctorRow:
    """What reads the images of datasets."""
    try:
        from .training.data.images import image_reader
    except ImportError as error:
        return DoctorRow("Images", DoctorState.BROKEN, f"This Python lacks {error.name}.", "Install the full engine anew.")
    match image_reader():
        case "OpenImageIO":
            return DoctorRow("Images", DoctorState.WELL, "OpenImageIO reads JPEG, TIFF, EXR, WebP and PNG.")
        case "Pillow":
            return DoctorRow("Images", DoctorState.WELL, "Pillow reads JPEG, TIFF, WebP and PNG.")
        case "Blender":
            return DoctorRow("Images", DoctorState.WELL, "Blender itself reads JPEG, TIFF, EXR, WebP and PNG, in the background.")
        case "PNG":
            return DoctorRow("Images", DoctorState.ABSENT, "PNG alone is read: neither Blender's OpenImageIO nor Pillow is here.",
                             "Train from Blender, which reads other images, or install the full engine.")
        case _ as never:
            assert_never(never)


def packages() -> DoctorRow:
    """What photos and videos need."""
    from .sfm.needs import check_packages, check_video_packages

    try:
        check_packages()
        check_video_packages()
    except UserError as error:
        return DoctorRow("Photos and videos", DoctorState.ABSENT, error.message, "Install the full engine for photos and videos.")
    return DoctorRow("Photos and videos", DoctorState.WELL, "Cameras can be found for photos and videos.")


def driver(graphics: Graphics | None, needed: bool) -> DoctorRow:
    """The card and its driver."""
    if graphics is None:
        return DoctorRow("Graphics card", DoctorState.BROKEN if needed else DoctorState.ABSENT,
                         "No NVIDIA card with a working driver was found.",
                   "Nothing to do without such a card; with one, install NVIDIA's driver and restart.")
    sentence = f"{graphics.card}. {driver_sentence(graphics).rstrip(';')}."
    if graphics.cuda < (12, 0):
        return DoctorRow("Graphics card", DoctorState.BROKEN if needed else DoctorState.WEAK, sentence,
                   "Update the driver to 525 or later; PyTorch needs CUDA 12.")
    return DoctorRow("Graphics card", DoctorState.WELL, sentence)


def pytorch(graphics: Graphics | None, needed: bool) -> DoctorRow:
    """PyTorch, and whether it is for this driver."""
    missing = DoctorState.BROKEN if needed else DoctorState.ABSENT
    if importlib.util.find_spec("torch") is None:
        return DoctorRow("PyTorch", missing, "PyTorch is not installed; only training on a graphics card needs it.",
                         "Install the full engine.")
    try:
        import torch
    except (ImportError, OSError) as error:
        return DoctorRow("PyTorch", DoctorState.BROKEN, f"PyTorch does not start: {error}.", "Install the full engine anew.")
    version, cuda = torch.__version__, torch.version.cuda
    if cuda is None:
        return DoctorRow("PyTorch", missing, f"PyTorch {version} is built without CUDA.", "The full engine brings a build with CUDA.")
    if graphics and graphics.cuda[0] < int(cuda.partition(".")[0]):
        return DoctorRow("PyTorch", DoctorState.BROKEN, f"PyTorch {version} is for CUDA {cuda}. {driver_sentence(graphics).rstrip(';')}.",
                   "Update the driver, or install the full engine anew.")
    return DoctorRow("PyTorch", DoctorState.WELL, f"PyTorch {version} for CUDA {cuda}.")


def toolkit(needed: bool) -> DoctorRow:
    """CUDA's compiler, installed on the system or with the packages."""
    from .training.cuda.toolkit import packaged_toolkit

    home = packaged_toolkit()
    found = str(home / "bin" / "nvcc") if home else shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    if found is None:
        return DoctorRow("CUDA toolkit", DoctorState.WEAK if needed else DoctorState.ABSENT, "There is no CUDA compiler (nvcc).",
                   "gsplat's kernels are compiled with it once: install NVIDIA's CUDA toolkit, of the version that PyTorch is built for.")
    return DoctorRow("CUDA toolkit", DoctorState.WELL, f"{_says(found, 'release')} at {found}.")


def compiler(needed: bool) -> DoctorRow:
    """The C++ compiler."""
    found = cpp_compiler()
    if found is None:
        name = "Visual Studio's C++ build tools" if sys.platform == "win32" else "a C++ compiler (package g++)"
        return DoctorRow("C++ compiler", DoctorState.WEAK if needed else DoctorState.ABSENT, "There is no C++ compiler.",
                   f"gsplat's kernels are compiled with it once: install {name}.")
    return DoctorRow("C++ compiler", DoctorState.WELL, f"{_says(found, '')} at {found}.")


def architectures(graphics: Graphics | None) -> DoctorRow:
    """The generations of cards that PyTorch holds code for."""
    subject = "Architectures"
    if importlib.util.find_spec("torch") is None or graphics is None:
        return DoctorRow(subject, DoctorState.ABSENT, "Not checked: it needs PyTorch and an NVIDIA card.")
    import torch

    held = torch.cuda.get_arch_list()
    if graphics.capability is None or not held:
        return DoctorRow(subject, DoctorState.WEAK, f"PyTorch holds code for {', '.join(held) or 'no card'}.", "Update the driver.")
    own, names = f"sm_{graphics.capability[0]}{graphics.capability[1]}", ", ".join(held)
    same = [name for name in held if name.startswith(f"sm_{graphics.capability[0]}") and name <= own]
    if own in held or same:
        return DoctorRow(subject, DoctorState.WELL, f"PyTorch holds code for {names}; this card is {own}.")
    return DoctorRow(subject, DoctorState.BROKEN, f"PyTorch holds code for {names}, and this card is {own}.",
                     "Install the full engine anew.")


def gsplat_kernels(graphics: Graphics | None, needed: bool) -> DoctorRow:
    """The full engine: a training step on the graphics card."""
    subject = "gsplat kernels"
    if importlib.util.find_spec("gsplat") is None:
        state = DoctorState.BROKEN if needed else DoctorState.ABSENT
        return DoctorRow(subject, state, "gsplat is not installed; only training on a graphics card needs it.", "Install the full engine.")
    if graphics is None:
        return DoctorRow(subject, DoctorState.ABSENT, "Not tried: there is no NVIDIA card.", "Trainings take the processor here.")

    def ready() -> UserError | None:
        from .training.cuda.availability import prepare_kernels, unavailable

        return unavailable() or prepare_kernels(lambda: None)

    return kernels(subject, "cuda", ready)


def kernels(subject: str, engine: str, problem: Callable[[], UserError | None]) -> DoctorRow:
    """Whether a training step, forward and backward, works on an engine."""
    try:
        trouble = problem()
        if trouble is not None:
            return DoctorRow(subject, DoctorState.BROKEN, trouble.message, trouble.hint)
        seconds = train_a_little(engine)
    except UserError as error:
        return DoctorRow(subject, DoctorState.BROKEN, error.message, error.hint)
    except ImportError as error:
        return DoctorRow(subject, DoctorState.BROKEN, f"This Python lacks {error.name}.", "Install the full engine anew.")
    except Exception as error:  # whatever a driver, a compiler or a library may come up with is an answer here
        return DoctorRow(subject, DoctorState.BROKEN, f"A training step failed: {type(error).__name__}: {str(error)[:200]}.",
                   "Install the full engine anew; if that does not help, report it with this list.")
    return DoctorRow(subject, DoctorState.WELL, f"A training step, forward and backward, took {seconds * 1000:.0f} ms.")


def train_a_little(engine: str) -> float:
    """Seconds of one step after a first one, on a few Gaussians before a grey image. UserError when nothing is learnt."""
    import numpy as np

    from .core.cameras.camera import Camera
    from .core.protocol.config import TrainConfig
    from .core.splats.gaussians import Gaussians
    from .training.backend import StepSettings, Target
    from .training.engines import create_model

    count, size = 20, KERNEL_PIXELS
    random = np.random.default_rng(0)
    shapes = {"means": (count, 3), "quats": (count, 4), "scales": (count, 3), "opacities": (count,),
              "sh0": (count, 1, 3), "shN": (count, 0, 3)}
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    arrays["means"] = random.uniform((-1, -1, -4), (1, 1, -3), (count, 3)).astype(np.float32)  # before a camera that looks along -Z
    arrays["quats"][:, 0], arrays["scales"][:] = 1, -1.5
    settings = StepSettings({name: 0.01 for name in shapes}, 0, (0, 0, 0), 0.2, 0, 0, 0, 1, 0)
    target = Target(Camera(size, size, float(size), float(size), size / 2, size / 2, np.eye(4)), np.full((size, size, 3), 128, np.uint8))
    model = create_model(Gaussians(**arrays), TrainConfig(), engine)  # type: ignore[arg-type]
    try:
        first = float(model.step(target, settings))
        began = time.perf_counter()
        losses = [float(model.step(target, settings)) for _ in range(10)]
        seconds = (time.perf_counter() - began) / len(losses)
    finally:
        model.close()
    if not losses[-1] < first:
        raise UserError("Training steps run but nothing is learnt.",
                        "Update the graphics driver; if that does not help, report it with this list.", "self_check.nothing_learnt")
    return seconds


def disk(folder: Path) -> DoctorRow:
    """Room for trainings."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return DoctorRow("Disk", DoctorState.WEAK, f"{folder} cannot be reached: {error.strerror or error}.",
                         "Choose another folder for trainings.")
    sentence = f"{free / 1e9:.1f} GB are free in {folder.resolve()}."
    if free > DISK_BYTES:
        return DoctorRow("Disk", DoctorState.WELL, sentence)
    return DoctorRow("Disk", DoctorState.WEAK, sentence, "Free some space.")


def memory() -> DoctorRow:
    """Room for images and splats."""
    from .training.host_memory import free_memory

    free = free_memory()
    sentence = f"{free / 1e9:.1f} GB of memory are free."
    if free < MEMORY_BYTES:
        return DoctorRow("Memory", DoctorState.WEAK, sentence, "Close other programs.")
    return DoctorRow("Memory", DoctorState.WELL, sentence)


def port(number: int) -> DoctorRow:
    """The port of `splatwright serve`."""
    with socket.socket() as probe:
        if sys.platform != "win32":  # there the option lets two programs share a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except (OSError, OverflowError) as error:
            return DoctorRow("Port", DoctorState.WEAK, f"Port {number} cannot be had: {getattr(error, 'strerror', None) or error}.",
                       "End the program that listens there, or serve on another port. Only a server for other computers needs it.")
    return DoctorRow("Port", DoctorState.WELL, f"Port {number} is free.")


def report(rows: list[DoctorRow]) -> str:
    """Everything as text, to be copied into a message."""
    lines = [f"Splatwright self-check on {platform.platform()}"]
    for row in rows:
        lines += [f"[{row.state.value:6}] {row.subject}: {row.sentence}", *([f"         {row.fix}"] if row.fix else [])]
    return "\n".join(lines) + "\n"


def as_json(rows: list[DoctorRow]) -> str:
    """Everything as one line for programs."""
    return json.dumps({"rows": [asdict(row) | {"state": row.state.value} for row in rows], "report": report(rows)})


def main(arguments: list[str]) -> int:
    """Entry point for programs: always one line of JSON at the end."""
    parser = argparse.ArgumentParser(prog="splatwright.doctor")
    parser.add_argument("--json", action="store_true", required=True)
    parser.add_argument("--graphics", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path())
    options = parser.parse_args(arguments)
    print(as_json(list(examine(DoctorOptions(options.folder, graphics=options.graphics)))))
    return 0


def _says(program: str, word: str) -> str:
    """The line of `--version` with a word in it."""
    try:
        said = run([program, "--version"], seconds=20)
    except UserError:
        return "It does not start"
    lines = [line.strip() for line in (said.stdout or said.stderr).splitlines() if word in line]
    return lines[0] if lines else "It is"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
