"""The sets of packages that the full engine is built of.

A build of PyTorch for CUDA 12 runs with every driver that speaks CUDA 12, whatever its minor version, so the generation decides
(NVIDIA's minor version compatibility).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UserError
from .graphics import Graphics, Version

LOCKS = Path(__file__).resolve().parents[1] / "locks"
OPEN_LICENCES = "All of it open source: MIT, BSD, Apache, HPND, LGPL and GPL."
NVIDIA_LICENCES = "Open source (MIT, BSD, Apache, HPND, LGPL, GPL), and NVIDIA's CUDA libraries under NVIDIA's own licence."


@dataclass(frozen=True)
class Backend:
    """One set of packages; engine/locks holds a file of its name."""

    name: str
    title: str
    content: str
    download: int  # bytes, on Linux, about
    disk: int  # bytes, likewise
    cuda: Version | None = None  # of its PyTorch; None: no PyTorch, for only graphics cards need it
    cards: tuple[Version, Version] = ((0, 0), (99, 0))  # oldest and newest generation of cards that its PyTorch holds code for
    brings_compiler: bool = False  # nvcc is one of its packages on Linux

    @property
    def licences(self) -> str:
        """What its packages may be used under."""
        return NVIDIA_LICENCES if self.cuda else OPEN_LICENCES

    @property
    def lock(self) -> Path:
        """Its packages with exact versions and checksums."""
        return LOCKS / f"{self.name}.txt"

    def requirements(self, platform: str) -> str:
        """The lock for one platform. PyTorch with CUDA for Windows is in PyTorch's own index alone, whose checksums the lock lacks."""
        text = self.lock.read_text(encoding="utf-8")
        if self.cuda and platform == "win32":
            text = re.sub(r"^(torch==[\d.]+)[^\n]*(\n    --hash[^\n]*)*", rf"\1+{self.name}", text, flags=re.MULTILINE)
        return text

    def suits(self, graphics: Graphics) -> bool:
        """Whether its PyTorch runs with this driver and card."""
        if self.cuda is None or graphics.cuda[0] < self.cuda[0]:
            return False
        return graphics.capability is None or self.cards[0] <= graphics.capability <= self.cards[1]


PHOTOS = "pycolmap and PyAV (cameras from photos, videos)"
CPU = Backend("cpu", "Photos and videos", PHOTOS, 120_000_000, 400_000_000)
CUDA = (
    Backend("cu130", "CUDA 13", f"PyTorch 2.13, gsplat, CUDA's compiler, {PHOTOS}", 3_000_000_000, 5_400_000_000,
            (13, 0), ((7, 5), (12, 9)), brings_compiler=True),
    Backend("cu128", "CUDA 12", f"PyTorch 2.10, gsplat, {PHOTOS}", 3_600_000_000, 7_800_000_000, (12, 8), ((7, 0), (12, 9))),
    Backend("cu126", "CUDA 12 for older cards", f"PyTorch 2.7, gsplat, {PHOTOS}", 3_000_000_000, 5_900_000_000, (12, 6), ((5, 0), (9, 9))),
)
"""Newest first."""

BACKENDS = {backend.name: backend for backend in (CPU, *CUDA)}


def backend_named(name: str) -> Backend:
    """A set by its name; UserError when there is none."""
    if name not in BACKENDS:
        raise UserError(f"There is no set of packages called {name}.", f"Choose one of {', '.join(BACKENDS)}.", "install.unknown_packages",
                        name=name, backends=", ".join(BACKENDS))
    return BACKENDS[name]
