"""How much of this computer's memory programs may still use."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from ..core import macos

UNKNOWN = 4e9
"""Bytes taken as free where the system does not report them."""

STATM = Path("/proc/self/statm")
"""Memory of this process in pages, on Linux; not on every system."""

CONTAINER = Path("/sys/fs/cgroup")
"""Memory limit and use of a container, on Linux."""


def free_memory() -> float:
    """Bytes; UNKNOWN where the system does not report them."""
    try:
        if sys.platform == "linux":
            return min(_linux_free(), container_free(CONTAINER))
        if sys.platform == "win32":
            return _windows_free()
        return macos.free_memory() or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2
    except (OSError, ValueError, StopIteration):
        return UNKNOWN


def container_free(folder: Path) -> float:
    """What a container's limit leaves; infinite without a limit. Files that the system keeps in memory can be dropped."""
    try:
        limit, used = (int((folder / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
        numbers = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return float("inf")
    return limit - used + int(numbers.get("inactive_file", 0))


def used_memory() -> float:
    """Bytes of memory that this process holds, or its peak on systems that report no more."""
    if sys.platform == "win32":
        return _windows_used()
    if sys.platform == "darwin" and (used := macos.used_memory()):
        return used
    try:
        return float(STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        import resource

        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def _linux_free() -> float:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of Windows."""

    _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong),
                *((name, ctypes.c_ulonglong) for name in ("total", "available", "page_total", "page_available", "virtual_total",
                                                         "virtual_available", "extended"))]


def _windows_free() -> float:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    found = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return float(status.available) if found else UNKNOWN


class _ProcessMemory(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS of Windows."""

    _fields_ = [("length", ctypes.c_ulong), ("faults", ctypes.c_ulong),
                *((name, ctypes.c_size_t) for name in ("peak", "used", "peak_paged", "paged", "peak_nonpaged", "nonpaged", "pagefile",
                                                       "peak_pagefile"))]


def _windows_used() -> float:
    memory = _ProcessMemory(length=ctypes.sizeof(_ProcessMemory))
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    found = kernel.K32GetProcessMemoryInfo(ctypes.c_void_p(kernel.GetCurrentProcess()), ctypes.byref(memory), memory.length)
    return float(memory.used) if found else 0.0
