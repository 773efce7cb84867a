"""CUDA's compiler where it was installed as Python packages. PyTorch only looks for toolkits that were installed on the system."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from functools import wraps
from importlib.util import find_spec
from pathlib import Path

from ..host_memory import free_memory

COMPILER_BYTES = 3e9
"""Memory that compiling one file of gsplat takes at most, about."""


def prepare_compiling() -> None:
    """Let PyTorch find the packages' compiler and ninja, unless CUDA_HOME says otherwise; must come before it looks for them."""
    places = [str(Path(sys.executable).parent)]
    home = packaged_toolkit()
    if home and not os.environ.get("CUDA_HOME"):
        complete(home)
        os.environ["CUDA_HOME"] = str(home)
        places.append(str(home / "bin"))
    os.environ["PATH"] = os.pathsep.join([*places, os.environ.get("PATH", "")])
    os.environ.setdefault("MAX_JOBS", str(max(1, min(os.cpu_count() or 1, int(free_memory() / COMPILER_BYTES)))))
    if sys.platform != "win32":
        quote_link_flags()


def quote_link_flags() -> None:
    """Let kernels link where a path holds spaces: PyTorch quotes them for compilers and, on Windows, for the linker."""
    from torch.utils import cpp_extension

    prepare = getattr(cpp_extension, "_prepare_ldflags", None)
    if prepare is not None and not hasattr(prepare, "__wrapped__"):
        cpp_extension._prepare_ldflags = wraps(prepare)(lambda *arguments: [shlex.quote(flag) for flag in prepare(*arguments)])


def packaged_toolkit() -> Path | None:
    """The folder that the packages of CUDA's compiler share, such as site-packages/nvidia/cu13; None without them."""
    spec = find_spec("nvidia")
    homes = [home for place in (spec.submodule_search_locations or [] if spec else []) for home in sorted(Path(place).glob("cu[0-9]*"))]
    compiler = "nvcc.exe" if sys.platform == "win32" else "nvcc"
    return next((home for home in reversed(homes) if (home / "bin" / compiler).is_file()), None)


def complete(home: Path) -> None:
    """The names that linking asks for, and that wheels do not hold: lib64, and libcudart without a version."""
    if sys.platform == "win32":
        return
    library = next(iter(sorted((home / "lib").glob("libcudart.so.*"))), None)
    links = {home / "lib64": "lib", **({home / "lib" / "libcudart.so": library.name} if library else {})}
    for link, target in links.items():
        with suppress(FileExistsError):
            link.symlink_to(target)
