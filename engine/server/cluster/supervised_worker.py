"""A worker that ends with who started it: `python -m engine.server.cluster.supervised_worker JOB_FOLDER [CORE …]`.

As soon as the other end of standard input is closed, the worker ends, with all that it started. What is said on standard
output is the worker's exit status. Linux alone.

Ray ends its own processes when a machine leaves the cluster or a job is killed, but not what those have started.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from ...core.processes import Process, spawn
from ...core.protocol.folder import JobFolder

PATIENCE_SECONDS = 30.0
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def main(arguments: list[str]) -> int:
    """Entry point; the worker's exit status."""
    job = JobFolder(Path(arguments[0]))
    leave_parent()
    keep_to([int(number) for number in arguments[1:]])
    answer = speak_into(job.log)
    worker = start(job)
    threading.Thread(target=wait_for_release, daemon=True).start()
    status = worker.wait()
    end_descendants()
    if job.is_local():
        job.clear_heartbeat()
    os.write(answer, str(status).encode())
    return status


def leave_parent() -> None:
    """Leave the parent process: Ray kills the children of its processes, and those could not end theirs then."""
    if os.fork():
        os._exit(0)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # what the worker leaves behind becomes a child of this process


def keep_to(cores: list[int]) -> None:
    """Use these cores alone, counted among those that this process may use; all where none is named, or there are not so many."""
    mine = sorted(os.sched_getaffinity(0))
    chosen = [mine[number] for number in cores if number < len(mine)]
    os.sched_setaffinity(0, chosen or mine)


def speak_into(log: Path) -> int:
    """Let standard output and errors go to a file; the descriptor that was standard output."""
    answer = os.dup(1)
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    return answer


def start(job: JobFolder) -> Process:
    """The same worker as on a single computer; it ends with this process, even when that is ended by force."""
    package = str(__package__).removesuffix(".server.cluster")
    command = [sys.executable, "-m", f"{package}.worker", str(job.path)]
    return spawn(command, folder=job.path, output=job.log, killed_with_us=True)


def wait_for_release() -> None:
    """End everything once standard input is closed."""
    while os.read(0, 4096):
        pass
    end_descendants()


def end_descendants() -> None:
    """Kill every process that came from this one, until there is none."""
    end = time.monotonic() + PATIENCE_SECONDS
    while (found := descendants(os.getpid())) and time.monotonic() < end:
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def descendants(ancestor: int) -> set[int]:
    """Children of a process, their children, and so on, without those that have ended."""
    parents = dict(filter(None, map(child_and_parent, Path("/proc").glob("[0-9]*/stat"))))
    found: set[int] = set()
    while more := {pid for pid, parent in parents.items() if parent in found | {ancestor}} - found:
        found |= more
    return found


def child_and_parent(stat: Path) -> tuple[int, int] | None:
    """Numbers of a process and of its parent, as proc(5) tells; None when it has ended."""
    try:
        state, parent = stat.read_text(errors="replace").rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else (int(stat.parent.name), int(parent))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
