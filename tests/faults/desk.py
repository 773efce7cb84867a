"""What the faults strike: a server, commands that train through it and beside it, and the job folders of all."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from engine.core.formats.ply import read_ply
from engine.core.protocol.events import Started
from engine.core.protocol.folder import JobFolder
from tests.processes import running
from tests.server.proxy import CuttingProxy
from tests.server.serving import ROOT, TOKEN, Server

STEPS = 4000
CHECKPOINT_SECONDS = 0.5
MAY_SAY = ("ended several times", "stopped before the end", "The disk is full", "is damaged and cannot be read", "does not answer",
           "was moved or deleted", "cannot be reached")
"""What a command may end with after a fault: run again it goes on."""


@dataclass
class Command:
    """`splatwright train`, begun again whenever it was killed or ended with a sentence, until its output is there."""

    folder: Path
    dataset: Path
    engine: str  # address, or empty for this computer
    done: int = 0
    restarts: int = 0
    process: subprocess.Popen[str] | None = None
    complaints: list[str] = field(default_factory=list)

    @property
    def output(self) -> Path:
        return self.folder / f"scene-{self.done}.ply"

    @property
    def running(self) -> int | None:
        return self.process.pid if self.process and self.process.poll() is None else None

    def look(self, more: bool) -> bool:
        """Begin, or begin again. False once there is nothing left to do."""
        if self.running:
            return True
        if self.process is not None:
            self._ended(self.process)
        if self.process is None and not more:
            return False
        self._start()
        return True

    def _ended(self, process: subprocess.Popen[str]) -> None:
        said = process.stderr.read() if process.stderr else ""
        killed_after_writing = "is trained to its end" in said and self.output.exists()
        if process.returncode == 0 or killed_after_writing:
            assert len(read_ply(self.output).gaussians) > 0
            self.done += 1
            self.process = None
        else:
            self.restarts += 1
            if process.returncode > 0 and (not any(words in said for words in MAY_SAY) or "Traceback" in said):
                self.complaints.append(said[-2000:])

    def _start(self) -> None:
        flags = ["--max-steps", str(STEPS), "--resolution", "64", "--max-gaussians", "600", "--threads", "1", "--refine-every", "50",
                 "--checkpoint-seconds", str(CHECKPOINT_SECONDS), "--preview-seconds", "0.3"]
        command = [sys.executable, "-m", "engine", "train", str(self.dataset), "-o", str(self.output), *flags]
        environment = {**os.environ, "SPLATWRIGHT_TOKEN": TOKEN, "SPLATWRIGHT_ENGINE": self.engine}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@dataclass
class Desk:
    """All that can break. `disk` is small enough to be filled, where one can be mounted."""

    folder: Path
    server: Server
    proxy: CuttingProxy
    commands: list[Command]
    random: random.Random
    fillable: bool

    @property
    def near(self) -> Path:
        """Where the command that trains on this computer writes."""
        return self.folder / "near"

    def jobs(self) -> list[JobFolder]:
        """The folders that workers write: those of the server, and of the command on this computer."""
        found = (*self.server.jobs().glob("*/job.json"), *self.near.glob("*.job/job.json"))
        return [JobFolder(path.parent) for path in sorted(found)]

    def copies(self) -> list[JobFolder]:
        """The copies of remote jobs."""
        return [JobFolder(path.parent) for path in sorted(self.folder.glob("*/*.job/remote.json"))]

    def at_work(self) -> list[JobFolder]:
        """Jobs with a worker."""
        workers = self.workers()
        return [job for job in self.jobs() if job.path in workers.values()]

    def workers(self) -> dict[int, Path]:
        """Processes that work, and the folder of each."""
        found = {}
        for pid, words in processes_of(self.folder).items():
            if "engine.worker" in words:
                found[pid] = Path(words[-1])
        return found

    def begun(self) -> tuple[int, int]:
        """How often workers began a training, and how often they went on with one."""
        steps = [event.step for job in self.jobs() for event in job.read_events()[0] if isinstance(event, Started)]
        return len(steps), sum(step > 0 for step in steps)

    def signal(self, pids: list[int], number: int) -> bool:
        """Send a signal to one of them."""
        with suppress(ProcessLookupError):
            if pids:
                os.kill(self.random.choice(pids), number)
                return True
        return False


def processes_of(folder: Path) -> dict[int, list[str]]:
    """Every process whose command line names the folder, without this one."""
    return running(str(folder))


@contextmanager
def small_disk(folder: Path, megabytes: int = 300) -> Iterator[bool]:
    """A disk of so many megabytes at an empty folder; yields False where none can be mounted."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    mounted = bool(shutil.which("mount")) and not subprocess.run(mount, capture_output=True).returncode
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)


def end(pid: int) -> None:
    """Kill a process and those of its session."""
    with suppress(ProcessLookupError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
