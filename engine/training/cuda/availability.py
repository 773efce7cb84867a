"""Whether the full engine can train on this computer's graphics card, and if not, why, in one sentence with the fix.

The driver is asked before torch is imported: without a card the answer costs nothing.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from ...core.errors import UserError
from .toolkit import prepare_compiling

INSTALL = "Install the full engine (pip install 'splatwright[cuda]'), or set backend to cpu."
OR_CPU = ", or set backend to cpu."
TOOLKIT = "/usr/local/cuda"
"""Where Linux keeps it."""

NO_DEVICE = 100
"""CUDA_ERROR_NO_DEVICE of the driver's interface."""


@dataclass(frozen=True)
class Machine:
    """What training on a graphics card needs, as found here. Fields are filled in this order up to the first problem."""

    driver: int | None = None  # CUDA version that the driver speaks, 12080 for 12.8; None: no driver
    code: int = 0  # what the driver answered to its first call
    devices: int = 0
    torch: str | None = None
    torch_cuda: str | None = None  # CUDA version that torch is built for, "13.0"
    gsplat: bool = False
    card: str = ""
    fits: bool = False  # torch holds code for this card


def unavailable() -> UserError | None:
    """Why no training can run on the graphics card; None when one can, as far as can be told without compiling."""
    return problem_of(inspect())


def problem_of(machine: Machine) -> UserError | None:
    """The first thing that is missing."""
    if machine.driver is None:
        return UserError("No NVIDIA graphics driver was found.", "Install the driver for your NVIDIA card" + OR_CPU, "cuda.no_driver")
    if machine.code == NO_DEVICE or (machine.code == 0 and not machine.devices):
        return UserError("No NVIDIA graphics card was found.", "Use a computer with one, or set backend to cpu.", "cuda.no_card")
    if machine.code:
        return UserError(f"The NVIDIA driver does not answer (error {machine.code}).", "Restart the computer or update the driver" + OR_CPU,
                         "cuda.no_answer", error=machine.code)
    if machine.torch is None:
        return UserError("PyTorch is not installed.", INSTALL, "cuda.no_torch")
    if not machine.gsplat:
        return UserError("gsplat is not installed.", INSTALL, "cuda.no_gsplat")
    if machine.torch_cuda is None:
        return UserError(f"This PyTorch ({machine.torch}) is built without CUDA.", "Install a build with CUDA from pytorch.org" + OR_CPU,
                         "cuda.torch_without_cuda", torch=machine.torch)
    if machine.driver // 1000 < int(machine.torch_cuda.split(".")[0]):
        return UserError(f"The NVIDIA driver is too old: it speaks CUDA {_version(machine.driver)}, PyTorch needs {machine.torch_cuda}.",
                         "Update the driver" + OR_CPU, "cuda.old_driver", driver=_version(machine.driver), needed=machine.torch_cuda)
    if not machine.fits:
        return UserError(f"PyTorch {machine.torch} does not run on this graphics card ({machine.card or 'unknown'}).",
                         "Install a build of PyTorch for this card from pytorch.org" + OR_CPU,
                         "cuda.unsupported_card", torch=machine.torch, card=machine.card or 'unknown')
    return None


def inspect() -> Machine:
    """Ask the driver, then Python's packages, then torch, each only when those before are well."""
    driver, code, devices = ask_driver()
    if driver is None or code or not devices:
        return Machine(driver, code, devices)
    if find_spec("torch") is None or find_spec("gsplat") is None:
        return Machine(driver, code, devices, "found" if find_spec("torch") else None)
    if sys.platform == "linux":  # before torch touches the card: the set of Gaussians grows bit by bit
        os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    import torch

    if torch.version.cuda is None or not torch.cuda.is_available():
        return Machine(driver, code, devices, torch.__version__, torch.version.cuda, gsplat=True)
    return Machine(driver, code, devices, torch.__version__, torch.version.cuda, True, torch.cuda.get_device_name(), _runs())


def has_card() -> bool:
    """Whether the computer has an NVIDIA card with a driver."""
    return ask_driver()[2] > 0


def ask_driver() -> tuple[int | None, int, int]:
    """CUDA version of the NVIDIA driver (None without a driver), the error code of cuInit (0: success), and the number of cards."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None, 0, 0
    version, devices = ctypes.c_int(0), ctypes.c_int(0)
    driver.cuDriverGetVersion(ctypes.byref(version))
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(devices))
    return version.value, code, devices.value


def _runs() -> bool:
    """Whether the smallest computation runs on the card."""
    import torch

    try:
        return float(torch.ones(2, device="cuda").sum()) == 2.0
    except RuntimeError:
        return False


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def prepare_kernels(tick: Callable[[], None]) -> UserError | None:
    """Load gsplat's kernels, compiling them the first time (minutes); `tick` is called meanwhile. What went wrong, or None."""
    outcome: list[UserError | None] = []
    thread = threading.Thread(target=lambda: outcome.append(_load_kernels()), daemon=True)
    thread.start()
    while thread.is_alive():
        tick()
        thread.join(1.0)
    return outcome[0] if outcome else compile_problem("the compiler's process ended")


def _load_kernels() -> UserError | None:
    prepare_compiling()
    try:
        from gsplat.cuda._backend import _C  # pyright: ignore[reportAttributeAccessIssue]  # compiled at its first use
    except Exception as error:  # compilers fail in many ways
        return compile_problem(str(error))
    return None if _C is not None else compile_problem("")


def compile_problem(text: str) -> UserError:
    """A sentence for what a failed compilation of the kernels said; looks for the tools that it needs."""
    homes = (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), TOOLKIT)
    places = os.pathsep.join([os.environ.get("PATH", ""), *(os.path.join(home, "bin") for home in homes if home)])
    if not shutil.which("nvcc", path=places):
        return UserError("gsplat's kernels cannot be compiled: there is no CUDA toolkit (nvcc).",
                         "Install the CUDA toolkit from developer.nvidia.com" + OR_CPU, "cuda.no_toolkit")
    compiler = "cl" if sys.platform == "win32" else os.environ.get("CXX", "c++")
    if not shutil.which(compiler):
        name = "Visual Studio's C++ build tools" if sys.platform == "win32" else "a C++ compiler (package g++)"
        return UserError("gsplat's kernels cannot be compiled: there is no C++ compiler.", f"Install {name}" + OR_CPU,
                         "cuda.no_compiler", name=name)
    if "ninja" in text.lower() and "required" in text.lower():
        return UserError("gsplat's kernels cannot be compiled: the package ninja is missing.", "pip install ninja" + OR_CPU,
                         "cuda.no_ninja")
    return UserError(f"gsplat's kernels could not be compiled{_first_error(text)}.",
                     "Install a CUDA toolkit of the version that PyTorch is built for and a C++ compiler that it accepts" + OR_CPU,
                     "cuda.not_compiled", problem=_first_error(text))


def _first_error(text: str) -> str:
    said = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in said if re.search(r"\berror:|\bfatal error\b|cannot find|undefined reference", line)] or \
        [line for line in said if "error" in line.lower()] or said
    return f": {lines[0][:200]}" if lines else ""
