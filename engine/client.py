"""How Blender and the command line talk to an engine: submit jobs, follow their events, pause, stop, resume, fetch files.

Standard library only. LocalEngine needs no server, no port and no token: it writes a job folder, starts a detached worker
process on it and reads the folder. Whoever opens the same folder later finds the same jobs.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from .core.errors import UserError
from .core.events import Event, Failed, Finished, Paused, Progress, Stage, Started
from .core.files import disk_error, make_folder
from .core.job import HEARTBEAT_LOST_SECONDS, Control, JobFolder, find_jobs
from .core.job_spec import Spec


class JobState(Enum):
    """What a job is doing, as far as its folder tells."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # the worker is gone without a last word; resume() goes on from the checkpoint

    @property
    def alive(self) -> bool:
        """A worker is, or should be, at work."""
        return self in (JobState.STARTING, JobState.RUNNING, JobState.PAUSED)


class Engine(ABC):
    """A place where jobs run. Job ids are names of job folders."""

    @abstractmethod
    def submit(self, spec: Spec) -> str:
        """Start a new job and return its id."""

    @abstractmethod
    def resume(self, job: str) -> None:
        """Start a worker again on an interrupted, paused or stopped job; it goes on from its checkpoint."""

    @abstractmethod
    def jobs(self) -> list[str]:
        """Every known job, oldest first."""

    @abstractmethod
    def spec(self, job: str) -> Spec:
        """What the job was asked to do."""

    @abstractmethod
    def state(self, job: str) -> JobState:
        """What the job is doing."""

    @abstractmethod
    def events(self, job: str, after: int = 0, limit: int = -1) -> tuple[list[Event], int]:
        """Events after a cursor, and the cursor to ask from next time; with a `limit`, of about so many bytes at once."""

    @abstractmethod
    def control(self, job: str, control: Control) -> None:
        """Ask for run, pause or stop."""

    @abstractmethod
    def silence(self, job: str) -> float:
        """Seconds since the worker's last sign of life; 0 when none is at work."""

    @abstractmethod
    def kill(self, job: str) -> None:
        """End the worker at once; its last checkpoint stays."""

    @abstractmethod
    def file(self, job: str, name: str) -> Path | None:
        """A local path of one of the job's files; None while it does not exist."""


@dataclass
class LocalEngine(Engine):
    """Worker processes on this computer, one for each job, below `root`.

    `python` is the interpreter of the workers; `import_paths` are added to what it imports from (Blender keeps the
    wheels of an extension in a folder that a plain interpreter does not know).
    """

    root: Path
    python: Path = Path(sys.executable)
    import_paths: tuple[Path, ...] = ()
    _processes: dict[str, subprocess.Popen[Any]] = field(default_factory=dict)

    def folder(self, job: str) -> JobFolder:
        """The folder of a job."""
        return JobFolder(self.root / job)

    def submit(self, spec: Spec) -> str:
        folder = self._new_folder(spec.name)
        folder.write_spec(spec)
        self._start(folder)
        return folder.name

    def resume(self, job: str) -> None:
        folder = self.folder(job)
        folder.read_any()
        folder.set_control("run")
        if not self.state(job).alive:
            self._start(folder)

    def jobs(self) -> list[str]:
        return [folder.name for folder in find_jobs(self.root)]

    def spec(self, job: str) -> Spec:
        return self.folder(job).read_any()

    def state(self, job: str) -> JobState:
        folder = self.folder(job)
        last = _last_word(folder.last_events())
        if self._worker_alive(folder):
            return JobState.PAUSED if isinstance(last, Paused) else JobState.RUNNING if last else JobState.STARTING
        match last:
            case Finished():
                return JobState.FINISHED
            case Failed():
                return JobState.FAILED
            case _:
                return JobState.INTERRUPTED

    def events(self, job: str, after: int = 0, limit: int = -1) -> tuple[list[Event], int]:
        return self.folder(job).read_events(after, limit)

    def control(self, job: str, control: Control) -> None:
        self.folder(job).set_control(control)

    def file(self, job: str, name: str) -> Path | None:
        path = self.folder(job).path / name
        return path if path.exists() else None

    def silence(self, job: str) -> float:
        return self.folder(job).heartbeat_age() or 0.0

    def kill(self, job: str) -> None:
        pid = self.folder(job).worker_pid()
        if pid is not None and self._worker_alive(self.folder(job)):
            os.kill(pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
        process = self._processes.pop(job, None)
        if process:
            process.wait(timeout=10)

    def worker_command(self, argument: str) -> tuple[list[str], dict[str, str]]:
        """Command line and environment of a worker on a job folder, or of its --self-check."""
        return self.command("worker", argument)

    def command(self, module: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """Command line and environment of one of the engine's modules, run by the workers' Python."""
        package = Path(__file__).resolve().parent
        paths = [str(package.parent), *(str(path) for path in self.import_paths)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", "PYTHONNOUSERSITE": "1"}
        return [str(self.python), "-m", f"{package.name}.{module}", *arguments], environment

    def _new_folder(self, name: str) -> JobFolder:
        make_folder(self.root)
        stem = re.sub(r"[^\w-]+", "-", name).strip("-") or "job"
        stamp = time.strftime("%Y%m%d-%H%M%S")
        for number in range(1000):
            path = self.root / (f"{stem}-{stamp}" + (f"-{number}" if number else ""))
            try:
                path.mkdir()
            except FileExistsError:
                continue
            except OSError as error:
                raise disk_error(path, error) from error
            return JobFolder(path)
        raise UserError(f"{self.root} holds too many jobs of the same name.", "Delete old jobs.")

    def _start(self, folder: JobFolder) -> None:
        command, environment = self.worker_command(str(folder.path))
        try:
            with open(folder.log, "ab") as log:
                self._processes[folder.name] = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=folder.path, **_detached())
        except OSError as error:
            raise UserError(f"The engine could not be started: {error.strerror or error}.",
                            f"Check that {self.python} exists and can run.") from error
        folder.beat(self._processes[folder.name].pid)

    def _worker_alive(self, folder: JobFolder) -> bool:
        process = self._processes.get(folder.name)
        if process is not None and process.poll() is None:
            return True
        pid, age = folder.worker_pid(), folder.heartbeat_age()
        return pid is not None and age is not None and age < HEARTBEAT_LOST_SECONDS and process_exists(pid)


def _last_word(events: list[Event]) -> Event | None:
    """The event that tells the state: the last one that is more than a measurement."""
    for event in reversed(events):
        if isinstance(event, (Started, Progress, Stage, Paused, Finished, Failed)):
            return event
    return None


def _detached() -> dict[str, Any]:
    """Arguments that let a worker outlive the process that starts it, without a console window."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}  # type: ignore[attr-defined]
    return {"start_new_session": True}


def process_exists(pid: int) -> bool:
    """Whether a process of this number runs on this computer."""
    if os.name == "nt":
        return _windows_process_exists(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _windows_process_exists(pid: int) -> bool:
    import ctypes

    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return False
    code = ctypes.c_ulong()
    kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return code.value == 259  # STILL_ACTIVE
