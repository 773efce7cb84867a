"""Windows' own functions where Python's differ from what other systems do. Nothing here is called elsewhere.

Python opens files so that nobody may rename, replace or delete them meanwhile. Opened as here, they may; and a file that is open so can be
replaced at once on disks that know it (NTFS since Windows 10), as on other systems.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from pathlib import Path
from typing import Any

FILE_NOT_FOUND, PATH_NOT_FOUND, ACCESS_DENIED, NAME_TOO_LONG = 2, 3, 5, 206
SHARING_VIOLATION, LOCK_VIOLATION, USER_MAPPED_FILE = 32, 33, 1224
"""Errors of Windows (WinError.h)."""

_INVALID_HANDLE = ctypes.c_void_p(-1).value
_GENERIC_READ, _DELETE, _SYNCHRONIZE = 0x80000000, 0x00010000, 0x00100000
_SHARE_ALL, _SHARE_NOTHING = 0x7, 0x0
_OPEN_EXISTING = 3
_ATTRIBUTE_NORMAL, _BACKUP_SEMANTICS, _OPEN_REPARSE_POINT = 0x80, 0x02000000, 0x00200000
_RENAME_INFO_EX, _REPLACE_IF_EXISTS, _POSIX_SEMANTICS = 22, 0x1, 0x2
_LOCK_EXCLUSIVE, _LOCK_FAIL_IMMEDIATELY = 0x2, 0x1
_QUERY_LIMITED_INFORMATION, _STILL_ACTIVE = 0x1000, 259
_EPOCH = 11_644_473_600
"""Seconds from 1601, where Windows counts from, to 1970."""


class _Overlapped(ctypes.Structure):
    _fields_ = [("internal", ctypes.c_void_p), ("internal_high", ctypes.c_void_p), ("offset", ctypes.c_uint32),
                ("offset_high", ctypes.c_uint32), ("event", ctypes.c_void_p)]


def kernel32() -> Any:
    """The library, whose functions take and give handles as wide as they are."""
    library = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]
    handle, number, pointer = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p
    signatures = {
        "CreateFileW": (handle, [ctypes.c_wchar_p, number, number, pointer, number, number, handle]),
        "SetFileInformationByHandle": (number, [handle, number, ctypes.c_char_p, number]),
        "LockFileEx": (number, [handle, number, number, number, number, pointer]),
        "UnlockFileEx": (number, [handle, number, number, number, pointer]),
        "CloseHandle": (number, [handle]),
        "GetCurrentProcess": (handle, []),
        "SetPriorityClass": (number, [handle, number]),
        "OpenProcess": (handle, [number, number, number]),
        "GetExitCodeProcess": (number, [handle, pointer]),
        "GetProcessTimes": (number, [handle, pointer, pointer, pointer, pointer]),
        "PeekNamedPipe": (number, [handle, pointer, number, pointer, pointer, pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def open_for_reading(path: str, flags: int) -> int:
    """An `opener` of open(): a descriptor of a file that others may write, replace and delete meanwhile."""
    assert sys.platform == "win32"
    import msvcrt

    handle = _open(path, _GENERIC_READ, _SHARE_ALL, _ATTRIBUTE_NORMAL)
    return msvcrt.open_osfhandle(handle, flags | os.O_RDONLY | os.O_BINARY | os.O_NOINHERIT)


def replace(source: Path, target: Path) -> None:
    """As os.replace(), also where somebody has the target open for reading as above, on disks that know it."""
    if not _replace_open(source, target):
        os.replace(source, target)


def first_in_use(path: Path) -> Path | None:
    """The file, or the first of the files in a folder, that a program has open; None when none is."""
    files = (Path(where, name) for where, _, names in os.walk(path) for name in names) if path.is_dir() else (path,)
    return next((file for file in files if _is_in_use(file)), None)


def lock(descriptor: int, offset: int, shared: bool) -> None:
    """Lock one byte of a file, for oneself or together with others that share it. PermissionError when that is refused."""
    place = _Overlapped(offset=offset)
    flags = _LOCK_FAIL_IMMEDIATELY | (0 if shared else _LOCK_EXCLUSIVE)
    if not kernel32().LockFileEx(_handle_of(descriptor), flags, 0, 1, 0, ctypes.byref(place)):
        raise _last_error()


def unlock(descriptor: int, offset: int) -> None:
    """Give back a byte that this process has locked."""
    place = _Overlapped(offset=offset)
    if not kernel32().UnlockFileEx(_handle_of(descriptor), 0, 1, 0, ctypes.byref(place)):
        raise _last_error()


def process_start(pid: int) -> float | None:
    """When a process began, in seconds since 1970; None when none of this number runs."""
    kernel = kernel32()
    handle = kernel.OpenProcess(_QUERY_LIMITED_INFORMATION, False, pid)
    if not handle:
        return None
    try:
        code, times = ctypes.c_uint32(), (ctypes.c_uint64 * 4)()
        kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        places = [ctypes.byref(times, 8 * index) for index in range(4)]
        found = kernel.GetProcessTimes(handle, *places)
        return times[0] / 1e7 - _EPOCH if found and code.value == _STILL_ACTIVE else None
    finally:
        kernel.CloseHandle(handle)


def set_priority(priority: int) -> bool:
    """Give this process another priority class; whether that worked."""
    kernel = kernel32()
    return bool(kernel.SetPriorityClass(kernel.GetCurrentProcess(), priority))


def pipe_is_open(descriptor: int) -> bool:
    """Whether somebody holds the other end of a pipe; waits for nothing."""
    return bool(kernel32().PeekNamedPipe(_handle_of(descriptor), None, 0, None, None, None))


def _replace_open(source: Path, target: Path) -> bool:
    """Rename as other systems do; False when this disk or this Windows does not know how, or refuses."""
    kernel = kernel32()
    handle = _open(str(source), _DELETE | _SYNCHRONIZE, _SHARE_ALL, _BACKUP_SEMANTICS | _OPEN_REPARSE_POINT)
    try:
        name = os.path.abspath(target).encode("utf-16-le")
        told = struct.pack("<IxxxxQI", _REPLACE_IF_EXISTS | _POSIX_SEMANTICS, 0, len(name)) + name + bytes(4)  # FILE_RENAME_INFO
        return bool(kernel.SetFileInformationByHandle(handle, _RENAME_INFO_EX, told, len(told)))
    finally:
        kernel.CloseHandle(handle)


def _is_in_use(path: Path) -> bool:
    try:
        handle = _open(str(path), _GENERIC_READ, _SHARE_NOTHING, _ATTRIBUTE_NORMAL)
    except OSError as error:
        return getattr(error, "winerror", None) == SHARING_VIOLATION
    kernel32().CloseHandle(handle)
    return False


def _open(path: str, access: int, share: int, flags: int) -> int:
    handle = kernel32().CreateFileW(path, access, share, None, _OPEN_EXISTING, flags, None)
    if handle in (None, _INVALID_HANDLE):
        raise _last_error(path)
    return int(handle)


def _handle_of(descriptor: int) -> int:
    assert sys.platform == "win32"
    import msvcrt

    return msvcrt.get_osfhandle(descriptor)


def _last_error(path: str | None = None) -> OSError:
    code = ctypes.get_last_error()  # type: ignore[attr-defined]
    return OSError(0, ctypes.FormatError(code).strip(), path, code)  # type: ignore[attr-defined]
