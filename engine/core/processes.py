"""Starting other programs and ending them: one way for every system.

A program never opens a console window on Windows, and has a group of its own: Ctrl+C in a terminal is for whoever started it to handle,
and all that it started in turn ends with it in end_tree().
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from . import macos, windows
from .errors import UserError
from .files import disk_error

Process = subprocess.Popen[str]
PIPE, DISCARD = subprocess.PIPE, subprocess.DEVNULL

KILL_SECONDS = 10.0
"""For a process that was killed; the system may have to finish its reads and writes first."""

WATCH_SECONDS = 0.02
PIPE_SECONDS = 0.2
PYTHON_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE")
"""Variables that would let a Python find the packages of another."""

Output = Path | int
"""A file that is added to, PIPE or DISCARD."""

_tied: list[Process] = []
"""Programs whose standard input must stay open, also where whoever started them has forgotten them; on Windows Python would close it."""


def spawn(command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None, folder: Path | None = None,
          output: Output = DISCARD, errors: Output | None = None, what: str = "", tied: bool = False, own_group: bool = True,
          keep_open: Sequence[int] = (), killed_with_us: bool = False) -> Process:
    """Start a program that runs beside this one, in this one's environment where none is given; its pipes are UTF-8.

    `errors` go where the `output` goes where nothing else is said. A program without a group of its own belongs to ours. A `tied`
    program has a standard input that closes when this process ends, however that happens, and ends then if it has called
    end_with_parent(). `keep_open`: descriptors that it inherits, except on Windows. `killed_with_us`: the system kills it when this
    process ends, on Linux alone. UserError when it cannot be started, with `what` as its name in the sentence, or when a file cannot be
    written.
    """
    with _written(output) as where, _written(errors) as where_errors:
        def start(**system: Any) -> Process:
            return subprocess.Popen(
                [str(word) for word in command], stdin=PIPE if tied else DISCARD, stdout=where, cwd=folder,
                stderr=subprocess.STDOUT if where_errors is None else where_errors,
                env=None if environment is None else dict(environment), text=True, encoding="utf-8", errors="replace",
                preexec_fn=_die_with_parent if killed_with_us else None, **system)

        try:
            process = _started(start, _system_arguments(own_group, keep_open), outlives=own_group and not tied)
        except OSError as error:
            raise UserError(f"{what or command[0]} could not be started: {error.strerror or error}.",
                            f"Check that {command[0]} exists and can run.", "program.not_started", what=what or command[0],
                            strerror=error.strerror or error, command=command[0]) from error
    if tied:
        _tied[:] = [process, *(other for other in _tied if other.poll() is None)]
    return process


def run(command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None, folder: Path | None = None,
        seconds: float | None = None, what: str = "", own_group: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; its exit status, output and errors (UTF-8). UserError when it cannot be started or takes too long.

    Whatever ends the wait early, as Ctrl+C, ends the program with all that it started.
    """
    process = spawn(command, environment=environment, folder=folder, output=PIPE, errors=PIPE, what=what, own_group=own_group)
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{what or command[0]} did not end within {seconds:g} seconds.",
                        "Try again when the computer is less busy.", "program.too_slow", what=what or command[0],
                        seconds=seconds) from error
    finally:
        if process.returncode is None:
            end_tree(process)
            _close_pipes(process)
    return subprocess.CompletedProcess(process.args, process.wait(), output, errors)


def end_tree(process: Process | int, patience: float = 0.0) -> None:
    """End a program, or the process of that number, with all that it started in its group; returns when a program has ended.

    With `patience` it is asked first, and has so many seconds; Windows knows no such question. One that is gone already is no error.
    """
    pid = process if isinstance(process, int) else process.pid
    if os.name == "nt":
        _end_windows_tree(pid)
        _wait_for_end(pid, KILL_SECONDS)  # its files are open until then
    else:
        leads = _leads_group(pid)
        if patience > 0:
            _signal(pid, leads, signal.SIGTERM)
            _wait_for_end(process, patience)
        _signal(pid, leads, signal.SIGKILL)
    if not isinstance(process, int):  # a stranger's end is for its parent to take note of
        _wait_for_end(process, KILL_SECONDS)


@contextmanager
def ended_after(process: Process) -> Iterator[Process]:
    """The process, which does not outlive the block."""
    try:
        yield process
    finally:
        if process.poll() is None:
            end_tree(process)
        _close_pipes(process)


def process_exists(pid: int) -> bool:
    """Whether a process of this number runs on this computer."""
    if sys.platform == "win32":
        return windows.process_start(pid) is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def process_start(pid: int) -> float | None:
    """When a process began, in seconds since 1970; None when there is none, or the system does not tell without files of its own."""
    return windows.process_start(pid) if sys.platform == "win32" else macos.process_start(pid) if sys.platform == "darwin" else None


def end_with_parent() -> None:
    """Let this process end as soon as whoever started it `tied` is gone. Nothing happens where standard input is no pipe."""
    at_end_of_parent(lambda: os._exit(3))


def at_end_of_parent(act: Callable[[], object]) -> None:
    """Call a function, in a thread, as soon as whoever started this process `tied` is gone. Nothing where standard input is no pipe."""
    with suppress(OSError):  # there is none
        if stat.S_ISFIFO(os.fstat(0).st_mode):
            threading.Thread(target=_at_end_of_input, args=(act,), name="end with parent", daemon=True).start()


def lower_priority() -> None:
    """Leave the processor to others whenever they want it."""
    if sys.platform == "win32":
        windows.set_priority(subprocess.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(5)


def clean_environment(extra: Mapping[str, str], without: Iterable[str] = ()) -> dict[str, str]:
    """Our variables for a Python that shall see its own packages alone and speak UTF-8, without some others, with `extra`."""
    unwanted = {*PYTHON_VARIABLES, *without}
    ours = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {**ours, "PYTHONNOUSERSITE": "1", "PYTHONIOENCODING": "utf-8", **extra}


@contextmanager
def _written(output: Output | None) -> Iterator[IO[bytes] | int | None]:
    """What subprocess wants for an output."""
    if not isinstance(output, Path):
        yield output
        return
    try:
        file = output.open("ab")
    except OSError as error:
        raise disk_error(output, error) from error
    with file:
        yield file


def _started(start: Callable[..., Process], arguments: dict[str, Any], outlives: bool) -> Process:
    """Start a program. One that outlives this process leaves the job of Windows that this one may belong to, with which a terminal or a
    remote shell ends all that it has started; where that is not allowed, it stays in it."""
    if sys.platform == "win32" and outlives:
        with suppress(PermissionError):
            return start(creationflags=arguments["creationflags"] | subprocess.CREATE_BREAKAWAY_FROM_JOB)
    return start(**arguments)


def _system_arguments(own_group: bool, keep_open: Sequence[int]) -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NO_WINDOW | (subprocess.CREATE_NEW_PROCESS_GROUP if own_group else 0)}
    return {"start_new_session": own_group, "pass_fds": tuple(keep_open)}


def _leads_group(pid: int) -> bool:
    """Whether a process has a group of its own, as a program that has just ended may have had."""
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return True
    except PermissionError:
        return False


def _signal(pid: int, group: bool, number: int) -> None:
    """macOS refuses a signal to a group of which only ended processes are left."""
    with suppress(ProcessLookupError, PermissionError):
        (os.killpg if group else os.kill)(pid, number)


def _end_windows_tree(pid: int) -> None:
    with suppress(UserError, subprocess.TimeoutExpired):
        spawn(["taskkill", "/F", "/T", "/PID", str(pid)]).wait(KILL_SECONDS)


def _wait_for_end(process: Process | int, seconds: float) -> None:
    """Wait for the end, but not longer than so many seconds."""
    if not isinstance(process, int):
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        return
    end = time.monotonic() + seconds
    while process_exists(process) and time.monotonic() < end:
        time.sleep(WATCH_SECONDS)


def _close_pipes(process: Process) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def _at_end_of_input(act: Callable[[], object]) -> None:
    if os.name == "nt":
        _wait_for_end_of_windows_pipe()
    else:
        while os.read(0, 4096):  # not through sys.stdin, whose lock Python wants when it ends
            pass
    act()


def _die_with_parent() -> None:
    """Between fork and exec."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG of linux/prctl.h


def _wait_for_end_of_windows_pipe() -> None:
    """Look again and again: a thread that waits in a read of standard input lets whoever asks Windows about that handle wait as well,
    as `import numpy` does (numpy issue 24290)."""
    while windows.pipe_is_open(0):
        time.sleep(PIPE_SECONDS)
