"""Which set of packages suits a computer, and why it is not a better one.

The kernels of gsplat are compiled where they are used: that needs a CUDA compiler of the same generation as PyTorch, which for
CUDA 13 on Linux comes with the packages, and a C++ compiler. A folder of wheels may hold them compiled.
"""

from __future__ import annotations

import re
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UserError
from ..core.processes import run
from ..core.text import phrase
from .backends import CPU, CUDA, Backend
from .graphics import Graphics, Version, find_graphics

MANAGED_PYTHON = "3.12"
"""Where Blender's own Python lacks what compiling needs, uv brings one."""

BUILT_IN = "The built-in engine trains on the processor meanwhile."
PHOTOS_ALONE = "the full engine adds photos and videos; training is on the processor."


@dataclass(frozen=True)
class Surroundings:
    """What decides which set suits a computer."""

    platform: str  # sys.platform
    graphics: Graphics | None = None
    toolkit: int | None = None  # generation of the CUDA toolkit that is installed, 12 or 13
    compiler: bool = False  # of C++
    wheels: tuple[str, ...] = ()  # file names in the offline folder


@dataclass(frozen=True)
class InstallPlan:
    """What to install here, and why it is this."""

    backend: Backend
    message: str
    hint: str = ""


def look_around(wheels: Path | None = None) -> Surroundings:
    """Inspect this computer."""
    names = tuple(sorted(path.name for path in wheels.glob("*.whl"))) if wheels else ()
    return Surroundings(sys.platform, find_graphics(), toolkit_generation(), cpp_compiler() is not None, names)


def choose(here: Surroundings) -> InstallPlan:
    """The best set that works here; the sentence says why it is not a better one."""
    if here.platform == "darwin":
        return InstallPlan(CPU, f"Macs have no NVIDIA card: {PHOTOS_ALONE}")
    if here.graphics is None:
        return InstallPlan(CPU, f"No NVIDIA graphics card with a driver was found: {PHOTOS_ALONE}",
                    "For a card of another make there is nothing to do; for one of NVIDIA, install its driver and restart.")
    fitting = [backend for backend in CUDA if backend.suits(here.graphics)]
    if not fitting:
        return _no_pytorch(here.graphics)
    able = [backend for backend in fitting if gets_kernels(backend, here)]
    if not able:
        return _no_kernels(here, here.graphics)
    return InstallPlan(able[0], f"{here.graphics.card}: {driver_sentence(here.graphics)} {able[0].title} suits it.")


def unsuited(backend: Backend, graphics: Graphics | None) -> UserError | None:
    """Why a chosen set cannot train here; None when it can, or is for processors."""
    if backend.cuda is None or (graphics and backend.suits(graphics)):
        return None
    hint = phrase("Let the installer choose what suits this computer.")
    if graphics is None:
        return UserError(f"The packages for {backend.title} are of no use here: no NVIDIA graphics card with a driver was found.", hint,
                         "install.no_card", title=backend.title)
    return UserError(f"The packages for {backend.title} do not run on {graphics.card}. {driver_sentence(graphics).rstrip(';')}.", hint,
                     "install.card", title=backend.title, card=graphics.card, driver=driver_sentence(graphics).rstrip(";"))


def gets_kernels(backend: Backend, here: Surroundings) -> bool:
    """Whether gsplat's kernels come prebuilt from the offline folder, or can be compiled here."""
    if prebuilt(backend, here.wheels):
        return True
    brought = backend.brings_compiler and here.platform == "linux"
    return here.compiler and (brought or here.toolkit == (backend.cuda or (0,))[0])


def prebuilt(backend: Backend, wheels: tuple[str, ...]) -> str | None:
    """Version of a compiled gsplat among file names of wheels, tagged with this set's CUDA and PyTorch, as in 1.5.3+pt213cu130."""
    torch = re.search(r"^torch==(\d+)\.(\d+)", backend.lock.read_text(encoding="utf-8"), re.MULTILINE)
    tag = f"pt{torch[1]}{torch[2]}{backend.name}" if torch else "none"
    interpreter = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    for name in wheels:
        found = re.match(rf"gsplat-([\d.]+\+{tag})-{interpreter}-.+\.whl$", name)
        if found:
            return found[1]
    return None


def driver_sentence(graphics: Graphics) -> str:
    """What the driver supports."""
    name = f"driver {graphics.driver.partition('.')[0]}" if graphics.driver else "driver"
    return f"Your {name} supports CUDA {_dotted(graphics.cuda)};"


def _no_pytorch(graphics: Graphics) -> InstallPlan:
    oldest = CUDA[-1]
    if graphics.cuda[0] < 12:
        return InstallPlan(CPU, f"{driver_sentence(graphics)} PyTorch needs 12.0. {BUILT_IN}",
                    "Update the driver to 525 or later (580 is best), restart, then install.")
    newer = graphics.capability is not None and graphics.capability >= oldest.cards[0]
    hint = "Update the driver to 580 or later, restart, then install." if newer else "Use a card of the GeForce 900 series or later."
    return InstallPlan(CPU, f"{driver_sentence(graphics)} no PyTorch for it runs on {graphics.card}. {BUILT_IN}", hint)


def _no_kernels(here: Surroundings, graphics: Graphics) -> InstallPlan:
    needs = [] if here.compiler else ["Visual Studio's C++ build tools" if here.platform == "win32" else "a C++ compiler (package g++)"]
    generation = min(graphics.cuda[0], 13)
    if here.toolkit != generation and not (generation == 13 and here.platform == "linux"):
        needs.append(f"NVIDIA's CUDA toolkit {generation} (nvcc)")
    update = ", or update the driver to 580 or later" if generation < 13 and here.platform == "linux" and here.compiler else ""
    return InstallPlan(CPU, f"{driver_sentence(graphics)} gsplat's kernels must be compiled for it, and the tools are missing. {BUILT_IN}",
                f"Install {' and '.join(needs)}{update}, then install again.")


def toolkit_generation() -> int | None:
    """Of the CUDA toolkit on PATH or in its usual place; None without one."""
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    if nvcc is None:
        return None
    try:
        said = run([nvcc, "--version"], seconds=20).stdout
    except UserError:
        return None
    found = re.search(r"release (\d+)\.", said)
    return int(found[1]) if found else None


def cpp_compiler() -> str | None:
    """Path of the C++ compiler that PyTorch would call; None without one."""
    return shutil.which("cl" if sys.platform == "win32" else "c++")


def needs_own_python(backend: Backend) -> bool:
    """Whether kernels are to be compiled, and this Python lacks the headers for that, as Blender's own does."""
    return backend.cuda is not None and not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file()


def _dotted(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
