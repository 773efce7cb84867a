"""How Blender and the command line talk to an engine: submit jobs, follow their events, pause, stop, resume, fetch files.

Standard library only. LocalEngine needs no server, no port and no token: it writes a job folder, starts a detached worker
process on it and reads the folder. Whoever opens the same folder later finds the same jobs.
"""

from __future__ import annotations

import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from types import MappingProxyType

from ..core.errors import UserError
from ..core.file_names import plain_stem
from ..core.files import disk_error, make_folder, remove_folder
from ..core.images import environment as image_variables
from ..core.processes import Process, clean_environment, end_tree, spawn
from ..core.protocol.events import BUDGET_ENDED, Event, Failed, Finished, Paused
from ..core.protocol.folder import Control, JobFolder, find_jobs
from ..core.protocol.job_progress import JobProgress, told
from ..core.protocol.spec import JobSpec, Spec
from .estimation import Estimation, LocalEstimation, estimate_folder
from .processes import at_work, worker_of
from .start_file import with_own_start

SECRETS = ("SPLATWRIGHT_TOKEN",)
"""Variables that are no business of workers."""


class JobState(Enum):
    """What a job is doing, as far as its folder tells."""

    QUEUED = "queued"  # a remote engine has other jobs before it
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # the worker is gone without a last word; resume() goes on from the checkpoint

    @property
    def alive(self) -> bool:
        """A worker is, or should be, at work."""
        return self in (JobState.QUEUED, JobState.STARTING, JobState.RUNNING, JobState.PAUSED)


class Engine(ABC):
    """A place where jobs run. Job ids are names of job folders, which lie below `root`: the jobs' own, or copies of those elsewhere."""

    root: Path

    def folder(self, job: str) -> JobFolder:
        """The folder of a job on this computer."""
        return JobFolder(self.root / job)

    @abstractmethod
    def submit(self, spec: Spec) -> str:
        """Start a new job and return its id."""

    @abstractmethod
    def resume(self, job: str) -> None:
        """Start a worker again on an interrupted, paused or stopped job; it goes on from its checkpoint."""

    def train_further(self, job: str, steps: int) -> int:
        """Let a training that has ended go on for so many steps more than it has done, at least to the end that it had before.

        Learning rates, image size and refinement stay as they were at the end of its schedule. Asked for twice without a step between, it
        is the same. Returns the step at which it will end; UserError while it runs, and for what is no training.
        """
        if self.state(job).alive:
            raise UserError("The training is running.", "Wait for its end, or stop it first.", "training.running")
        folder = self.folder(job)
        spec = folder.read_spec()
        end = max(spec.config.max_steps, self.told(job).trained + steps)
        folder.write_spec(replace(spec, config=spec.config.lasting(end).validate()))
        self.resume(job)
        return end

    def set_budget(self, job: str, hours: float, cost: float) -> None:
        """Give a training that does not run another budget, 0: no limit. UserError when it is the one that is spent already."""
        folder, ended = self.folder(job), self.told(job).over_budget
        spent = dict(ended.values) if ended and ended.code == BUDGET_ENDED else {}
        if spent and (hours, cost) == (spent.get("hours"), spent.get("cost")):
            raise UserError("The training's budget is spent.", "Raise the budget, then resume.", "budget.spent")
        spec = folder.read_spec()
        if (hours, cost) != (spec.config.budget_hours, spec.config.budget_cost):
            folder.write_spec(replace(spec, config=replace(spec.config, budget_hours=hours, budget_cost=cost).validate()))

    def jobs(self) -> list[str]:
        """Every known job, oldest first."""
        return [folder.name for folder in find_jobs(self.root)]

    def spec(self, job: str) -> Spec:
        """What the job was asked to do."""
        return self.folder(job).read_any()

    @abstractmethod
    def state(self, job: str) -> JobState:
        """What the job is doing."""

    def events(self, job: str, after: int = 0, limit: int = -1) -> tuple[list[Event], int]:
        """Events after a cursor, and the cursor to ask from next time; with a `limit`, of about so many bytes at once."""
        return self.folder(job).read_events(after, limit)

    def told(self, job: str) -> JobProgress:
        """How the job stands, by all its events."""
        return told(self.events(job)[0])

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
    def delete(self, job: str) -> None:
        """End a job and remove it from the computer where it runs. What a remote engine has sent here stays."""

    def file(self, job: str, name: str) -> Path | None:
        """A local path of one of the job's files; None while it does not exist."""
        path = self.folder(job).path / name
        return path if path.exists() else None

    @abstractmethod
    def estimate(self, spec: JobSpec) -> Estimation:
        """Begin to try a training for some seconds, which tells what all of it would take."""

    def reach(self) -> None:  # noqa: B027 (this computer always is)
        """UserError when no job can be sent there. A job that is under way waits for its engine instead."""

    def kept_there(self, job: str) -> bool:
        """Whether a job takes room at a remote engine, which delete() would free."""
        return False

    def alarm(self, job: str) -> str | None:
        """That the machine where the job was goes on costing money although the engine's budget is spent; empty while that may still
        come, None where it may not."""
        return None

    def note(self, job: str) -> str:
        """A sentence about the job that its events do not tell, as its place in a queue; mostly empty."""
        return ""


@dataclass
class LocalEngine(Engine):
    """Worker processes on this computer, one for each job, below `root`.

    `python` is the interpreter of the workers; `import_paths` are added to what it imports from (Blender keeps the
    wheels of an extension in a folder that a plain interpreter does not know). `image_library` is the folder of the package
    OpenImageIO that they read images with, where it lies outside of what they import from, `image_reader` the command line of a Blender
    that reads them where there is none. Workers go on when this process ends, however it ends, unless they are `tied`: then they write a
    checkpoint and end too.
    """

    root: Path
    python: Path = Path(sys.executable)
    import_paths: tuple[Path, ...] = ()
    image_library: Path | None = None
    image_reader: tuple[str, ...] = ()
    tied: bool = False
    _processes: dict[str, Process] = field(default_factory=dict)

    def submit(self, spec: Spec) -> str:
        folder = new_job_folder(self.root, spec.name)
        folder.write_spec(with_own_start(folder, spec))
        self.start(folder.name)
        return folder.name

    def resume(self, job: str) -> None:
        folder = self.folder(job)
        folder.read_any()
        folder.set_control("run")
        if not self.state(job).alive:
            self.start(job)

    def start(self, job: str, environment: Mapping[str, str] = MappingProxyType({})) -> None:
        """Start a worker on a job folder that is there, with more variables in its environment."""
        folder = self.folder(job)
        command, variables = self.worker_command(str(folder.path.absolute()))
        # Not in the job's own folder, which Windows would keep as long as the worker or one of its children runs.
        self._processes[job] = spawn(command, environment={**variables, **environment}, folder=self.root, output=folder.log,
                                     what="The engine", tied=self.tied)
        folder.heartbeat(self._processes[job].pid)

    def state(self, job: str) -> JobState:
        folder = self.folder(job)
        return state_of(folder, self._worker_alive(folder))

    def control(self, job: str, control: Control) -> None:
        self.folder(job).set_control(control)

    def silence(self, job: str) -> float:
        return self.folder(job).heartbeat_age() or 0.0

    def kill(self, job: str) -> None:
        process = self._processes.pop(job, None)
        pid = worker_of(self.folder(job)) or (process.pid if process and process.poll() is None else None)
        if pid and not self.folder(job).is_local():
            raise UserError("The job runs on another computer.", "Stop it instead, or end it there.", "job.elsewhere")
        if pid:
            end_tree(pid)
        if process:
            process.wait(timeout=10)

    def estimate(self, spec: JobSpec, environment: Mapping[str, str] = MappingProxyType({}), folder: Path | None = None) -> Estimation:
        """As every engine does, with more variables, and in an empty or prepared folder that is given."""
        command, variables = self.worker_command("--estimate")
        return LocalEstimation(command, {**variables, **environment}, spec, folder or estimate_folder(self.root))

    def delete(self, job: str) -> None:
        self.kill(job)
        path = self.folder(job).path
        try:
            remove_folder(path)
        except OSError as error:
            raise disk_error(path, error) from error

    def worker_command(self, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """Command line and environment of a worker on a job folder, of its --self-check, or of --check or --estimate and one."""
        return self.command("worker", *arguments)

    def command(self, module: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """Command line and environment of one of the modules of the engine, run by the Python of the workers."""
        package = Path(__file__).resolve().parents[1]
        paths = [str(package.parent), *(str(path) for path in self.import_paths)]
        environment = clean_environment({"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}, without=SECRETS)
        if self.image_library:
            environment[image_variables.LIBRARY] = str(self.image_library)
        if self.image_reader:
            environment[image_variables.READER] = json.dumps(self.image_reader)
        return [str(self.python), "-m", f"{package.name}.{module}", *arguments], environment

    def _worker_alive(self, folder: JobFolder) -> bool:
        process = self._processes.get(folder.name)
        if process is not None and process.poll() is None:
            return True
        return at_work(folder)


def new_job_folder(root: Path, name: str) -> JobFolder:
    """An empty folder below `root`, named after the job and the time; UserError when it cannot be made."""
    make_folder(root)
    stem = plain_stem(name)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in range(1000):
        path = root / (f"{stem}-{stamp}" + (f"-{number}" if number else ""))
        try:
            path.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise disk_error(path, error) from error
        return JobFolder(path)
    raise UserError(f"{root} holds too many jobs of the same name.", "Delete old jobs.", "job.too_many", root=root)


def state_of(folder: JobFolder, alive: bool) -> JobState:
    """What a job is doing, by its events and whether a worker is there."""
    last = told(folder.last_events()).word
    if alive:
        return JobState.PAUSED if isinstance(last, Paused) else JobState.RUNNING if last else JobState.STARTING
    match last:
        case Finished():
            return JobState.FINISHED
        case Failed():
            return JobState.FAILED
        case _:
            return JobState.INTERRUPTED


def rests(folder: JobFolder) -> bool:
    """Whether a job was paused, is asked for nothing else, and can do without its worker until it goes on."""
    last = told(folder.last_events()).word
    return isinstance(last, Paused) and last.saved and folder.control() == "pause"


def said_last_word(folder: JobFolder) -> bool:
    """Whether a job's worker has nothing left to do but to end."""
    return isinstance(told(folder.last_events()).word, (Finished, Failed))
