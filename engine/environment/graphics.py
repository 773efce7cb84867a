"""Which NVIDIA card and driver this computer has, asked of nvidia-smi or of the driver itself."""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

from ..core.errors import UserError
from ..core.processes import run

ASK_SECONDS = 20
QUERY = ("--query-gpu=name,compute_cap", "--format=csv,noheader")

CUDA_OF_DRIVER = {
    580: (13, 0), 575: (12, 9), 570: (12, 8), 565: (12, 7), 560: (12, 6), 555: (12, 5), 550: (12, 4), 545: (12, 3), 535: (12, 2),
    530: (12, 1), 525: (12, 0), 520: (11, 8), 515: (11, 7), 510: (11, 6), 495: (11, 5), 470: (11, 4), 465: (11, 3), 460: (11, 2),
    455: (11, 1), 450: (11, 0),
}
"""First driver branch -> newest CUDA that it speaks, by NVIDIA's table of releases; for drivers that do not say it themselves."""

Version = tuple[int, int]


@dataclass(frozen=True)
class Graphics:
    """The first NVIDIA card and the driver of all of them."""

    card: str
    driver: str  # "535.183.01"; empty where only the driver's library answered
    cuda: Version  # newest that the driver speaks
    capability: Version | None = None  # the card's generation; None where an old driver does not tell


def find_graphics() -> Graphics | None:
    """The graphics card of this computer; None without a working NVIDIA card."""
    return from_nvidia_smi(_nvidia_smi) or from_library()


def from_nvidia_smi(ask: Callable[..., str]) -> Graphics | None:
    """What nvidia-smi says; `ask` runs it with arguments and returns what it prints, empty when it fails."""
    summary = ask()
    driver = re.search(r"Driver Version:\s*([\d.]+)", summary)
    if driver is None:
        return None
    said = re.search(r"CUDA Version:\s*(\d+)\.(\d+)", summary)
    cuda = (int(said[1]), int(said[2])) if said else cuda_of_driver(driver[1])
    card, _, capability = (ask(*QUERY).strip().splitlines() or [""])[0].partition(",")
    return Graphics(card.strip() or _card_in(summary), driver[1], cuda, _version(capability))


def cuda_of_driver(driver: str) -> Version:
    """The newest CUDA version that a driver such as "535.183.01" speaks; (0, 0) where it is older than all that matter."""
    branch = int(driver.partition(".")[0])
    return max((cuda for first, cuda in CUDA_OF_DRIVER.items() if first <= branch), default=(0, 0))


def from_library() -> Graphics | None:
    """What the driver's library says."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
    version, devices, major, minor = (ctypes.c_int(0) for _ in range(4))
    name = ctypes.create_string_buffer(128)
    driver.cuDriverGetVersion(ctypes.byref(version))
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(devices)) or not devices.value:
        return None
    driver.cuDeviceGetName(name, len(name), 0)
    for value, attribute in ((major, 75), (minor, 76)):  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, 0)
    cuda = (version.value // 1000, version.value % 1000 // 10)
    return Graphics(name.value.decode(errors="replace"), "", cuda, (major.value, minor.value))


def _nvidia_smi(*arguments: str) -> str:
    try:
        done = run(["nvidia-smi", *arguments], seconds=ASK_SECONDS)
    except UserError:
        return ""
    return "" if done.returncode else done.stdout


def _card_in(summary: str) -> str:
    found = re.search(r"^\|\s+0\s+(.+?)\s{2,}", summary, re.MULTILINE)
    return found[1] if found else "NVIDIA card"


def _version(text: str) -> Version | None:
    found = re.fullmatch(r"\s*(\d+)\.(\d+)\s*", text)
    return (int(found[1]), int(found[2])) if found else None
