"""What macOS tells through functions of its own. None where it does not answer; nothing here is called elsewhere."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from typing import Any

_TASK_BSD_INFO, _TASK_INFO = 3, 4
_BSD_INFO_BYTES, _START_SECONDS = 136, 120
_TASK_INFO_BYTES, _RESIDENT = 96, 8
"""Sizes and places in proc_bsdinfo and proc_taskinfo (sys/proc_info.h)."""

_HOST_VM_INFO64, _VM_NUMBERS = 4, 38
"""host_statistics64(), and how many numbers of 32 bits it fills (mach/host_info.h)."""


class _TimeSpec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


def computer() -> str | None:
    """What tells this computer from others, whatever network names it: the hexadecimal digits of its UUID."""
    found, wait = (ctypes.c_ubyte * 16)(), _TimeSpec(1, 0)
    library = _library("c")
    if library is None or library.gethostuuid(found, ctypes.byref(wait)):
        return None
    return bytes(found).hex()


def process_start(pid: int) -> float | None:
    """When a process began, in seconds since 1970."""
    found = _process_info(pid, _TASK_BSD_INFO, _BSD_INFO_BYTES)
    return None if found is None else float(int.from_bytes(found[_START_SECONDS : _START_SECONDS + 8], "little"))


def used_memory() -> float | None:
    """Bytes of memory that this process holds."""
    found = _process_info(os.getpid(), _TASK_INFO, _TASK_INFO_BYTES)
    return None if found is None else float(int.from_bytes(found[_RESIDENT : _RESIDENT + 8], "little"))


def free_memory() -> float | None:
    """Bytes that no program uses, or whose content can be dropped."""
    library = _library("c")
    if library is None:
        return None
    numbers, count = (ctypes.c_uint32 * 64)(), ctypes.c_uint32(_VM_NUMBERS)
    if library.host_statistics64(library.mach_host_self(), _HOST_VM_INFO64, numbers, ctypes.byref(count)):
        return None
    free, _, inactive = numbers[:3]
    return float(free + inactive) * os.sysconf("SC_PAGE_SIZE")


def _process_info(pid: int, kind: int, size: int) -> bytes | None:
    library, found = _library("proc"), ctypes.create_string_buffer(size)
    if library is None or library.proc_pidinfo(pid, kind, ctypes.c_uint64(0), found, size) != size:
        return None
    return found.raw


def _library(name: str) -> Any:
    path = ctypes.util.find_library(name)
    return None if path is None else ctypes.CDLL(path)
