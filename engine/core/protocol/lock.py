"""The lock that a worker holds on its job's folder.

The system takes it back when the worker ends, however it ends: no clock that jumps, no process number that is given out again and
no damaged heartbeat lets two workers write into one folder.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..files import open_shared
from ..parsing import process_number

NAME = "lock"
PATIENCE_SECONDS = 1.0
"""Whoever looks at a lock has it for an instant, which a worker that begins must wait out."""

if sys.platform == "win32":
    from .. import windows

    FAR = 1 << 30
    """What is locked cannot be read either: the lock lies beyond the number of the process."""

    def _lock(file: BinaryIO, shared: bool) -> None:
        windows.lock(file.fileno(), FAR, shared)

    def _unlock(file: BinaryIO) -> None:
        windows.unlock(file.fileno(), FAR)
else:
    import fcntl

    def _lock(file: BinaryIO, shared: bool) -> None:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    def _unlock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


@dataclass(frozen=True)
class Holder:
    """Who locks a folder. `held` is None where the folder was never locked, or the disk knows no locks; `pid` is the last one's process."""

    held: bool | None
    pid: int | None = None


@contextmanager
def holding(folder: Path) -> Iterator[bool | None]:
    """Lock a job's folder meanwhile. Yields False when another process has it, None where the disk knows no locks.

    A program that this process turns into keeps the lock; child processes that Python starts do not get it.
    """
    try:
        file = open(folder / NAME, "a+b", buffering=0)  # noqa: SIM115 (closed below)
    except OSError:
        yield None
        return
    with file:
        held = _take(file)
        if held:
            _sign(file)
            os.set_inheritable(file.fileno(), True)
        yield held


def holder(folder: Path) -> Holder:
    """Who locks a job's folder at this moment."""
    try:
        with open_shared(folder / NAME) as file:
            pid = _signature(file)
            held = _try(file, shared=True)
            if held:
                _unlock(file)
            return Holder(None if held is None else not held, pid)
    except OSError:
        return Holder(None)


def _take(file: BinaryIO) -> bool | None:
    end = time.monotonic() + PATIENCE_SECONDS
    while (held := _try(file, shared=False)) is False and time.monotonic() < end:
        time.sleep(0.02)
    return held


def _try(file: BinaryIO, shared: bool) -> bool | None:
    """Whether the lock was free and is ours; None where there are no locks."""
    try:
        _lock(file, shared)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def _sign(file: BinaryIO) -> None:
    """Leave the number of this process; a full disk does not hinder the lock."""
    with suppress(OSError):
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()).encode())


def _signature(file: BinaryIO) -> int | None:
    try:
        return process_number(int(file.read(20)))
    except (OSError, ValueError):
        return None
