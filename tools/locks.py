"""Locks the packages of the full engine: `python -m tools.locks` writes engine/locks anew from pyproject.toml.

Every set becomes a file with exact versions and checksums, for all platforms and Pythons at once. Only PyTorch with CUDA for
Windows is not on the package index: the installer takes its version of the lock, and has uv look in PyTorch's own index.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .versions import project, requirement

REPOSITORY = Path(__file__).resolve().parents[1]
LOCKS = REPOSITORY / "engine" / "locks"
EXTRAS = ("photos", "serve")
CUDA_TOOLKIT = "cuda-toolkit[nvcc,cccl,crt,nvvm,cudart]==13.0.* ; sys_platform == 'linux'"
"""What compiles gsplat's kernels; the headers of the other libraries come with PyTorch."""

SETS = {
    "cpu": [],
    "cu130": [requirement("torch"), CUDA_TOOLKIT],
    "cu128": ["torch==2.10.0"],
    "cu126": ["torch==2.7.1"],
}


def main() -> None:
    """Write every lock."""
    for name, pins in SETS.items():
        lock(LOCKS / f"{name}.txt", [*needed(cuda=bool(pins)), *pins])
    lock(LOCKS / "uv.txt", ["uv"])


def needed(cuda: bool) -> list[str]:
    """What pyproject.toml asks for."""
    extras = project()["optional-dependencies"]
    chosen = [*EXTRAS, *(["cuda"] if cuda else [])]
    return [*project()["dependencies"], *(line for name in chosen for line in extras.get(name, []))]


def lock(path: Path, requirements: list[str]) -> None:
    """Write what uv resolves the requirements to, with exact versions and checksums."""
    uv = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes",
          "--no-header", "--no-annotate", "--no-emit-index-url", "-", "--output-file", str(path)]
    path.unlink(missing_ok=True)  # uv would keep the versions of an earlier lock
    subprocess.run(uv, input="\n".join(requirements), text=True, check=True, stdout=subprocess.DEVNULL)
    print(path.relative_to(REPOSITORY))


if __name__ == "__main__":
    main()
