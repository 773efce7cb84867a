"""Processes as tests look at them and treat them badly, on every system."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from engine.core.processes import process_exists

KILL: int = getattr(signal, "SIGKILL", signal.SIGTERM)
"""What ends a process at once: under Windows os.kill() ends it whatever the signal."""


def kill(pid: int | None) -> None:
    """End a process as if the power failed."""
    os.kill(pid or 0, KILL)


def kill_group(pid: int) -> None:
    """End a process that leads its group, and the group; where there are no groups, what it has started."""
    if hasattr(os, "killpg"):
        os.killpg(pid, KILL)
        return
    import psutil

    with suppress(psutil.NoSuchProcess):
        for process in (*psutil.Process(pid).children(recursive=True), psutil.Process(pid)):
            process.kill()


@contextmanager
def suspended(pid: int | None) -> Iterator[None]:
    """A process gets no time meanwhile; it may be killed."""
    if os.name == "nt":
        with _suspended_windows_process(pid or 0):
            yield
        return
    import psutil

    process = psutil.Process(pid or -1)
    process.suspend()
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            process.resume()


@contextmanager
def _suspended_windows_process(pid: int) -> Iterator[None]:
    import ctypes

    windll = ctypes.windll  # type: ignore[attr-defined]
    windll.kernel32.OpenProcess.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(windll.kernel32.OpenProcess(0x0800, False, pid))  # PROCESS_SUSPEND_RESUME
    assert handle.value, f"no process {pid}"
    windll.ntdll.NtSuspendProcess(handle)
    try:
        yield
    finally:
        windll.ntdll.NtResumeProcess(handle)
        windll.kernel32.CloseHandle(handle)


def running(word: str) -> dict[int, list[str]]:
    """Number and command line of every process whose command line holds `word`, without this one."""
    import psutil

    found = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if word in " ".join(words) and process.pid != os.getpid():
                found[process.pid] = words
    return found


def ended(pid: int) -> bool:
    """Whether a process is gone, or waits for somebody to take note of its end."""
    if os.name == "nt":
        return not process_exists(pid)
    import psutil

    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def children(pid: int) -> list[int]:
    """Numbers of the processes that a process has started itself."""
    import psutil

    return [child.pid for child in psutil.Process(pid).children()]
