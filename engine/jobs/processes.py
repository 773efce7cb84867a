"""The processes that work on jobs: whether one is there, and whether it is the right one."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ..core.processes import process_exists, process_start
from ..core.protocol.folder import HEARTBEAT_LOST_SECONDS, JobFolder
from ..core.protocol.lock import holder

CLOCK_SECONDS = 2.0
"""As exactly as disks keep the time of a file."""


def worker_of(folder: JobFolder) -> int | None:
    """The process that is at work on a job; 0 when it is, and its number is not known; None when no process is.

    The lock tells. Before a worker that was just started has it, and on disks without locks, the heartbeat does: where the system
    tells what a process does, neither a clock that was set nor another process that got the number matters; elsewhere, and for a worker
    on another computer, its age decides.
    """
    lock, pid, age = holder(folder.path), folder.worker_pid(), folder.heartbeat_age()
    if lock.held:
        return lock.pid or pid or 0
    if pid is None or age is None or not folder.is_local():
        return pid if works_elsewhere(folder) else None
    ended = lock.held is False and lock.pid == pid
    if ended or not process_exists(pid) or _began_after(pid, time.time() - age):
        return None
    known = _works_on(pid, folder)
    return pid if known or (known is None and age < HEARTBEAT_LOST_SECONDS) else None


def at_work(folder: JobFolder) -> bool:
    """Whether a worker is at work on a job."""
    return worker_of(folder) is not None


def works_elsewhere(folder: JobFolder) -> bool:
    """Whether a worker on another computer has beaten lately; its process number says nothing here."""
    age = folder.heartbeat_age()
    return not folder.is_local() and age is not None and age < HEARTBEAT_LOST_SECONDS


def _began_after(pid: int, beat: float) -> bool:
    """Whether a process began after a heartbeat, and so got the number of the one that beat; False where the system does not tell."""
    start = process_start(pid)
    return start is not None and start > beat + CLOCK_SECONDS


def _works_on(pid: int, folder: JobFolder) -> bool | None:
    """Whether a process was started on a job folder; None where the system does not tell."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    return any(Path(os.fsdecode(word)).name == folder.name for word in words)
