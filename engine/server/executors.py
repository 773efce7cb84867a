"""What runs the jobs: on this computer, one worker process for each job and graphics card."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass

from ..core.errors import UserError
from ..core.processes import run
from ..jobs.local_engine import JobState
from .store import Client

CPU = "cpu"


@dataclass(frozen=True)
class Job:
    """A job of a client."""

    client: Client
    name: str

    def __hash__(self) -> int:
        return hash((self.client.folder, self.name))


class Executor(ABC):
    """Starts and ends workers."""

    @property
    @abstractmethod
    def devices(self) -> tuple[str, ...]:
        """What jobs are given: one entry each, or as many as they ask for. Where machines come and go it changes."""

    def choose(self, count: int, free: tuple[str, ...]) -> tuple[str, ...]:
        """So many of the free devices for one job; none when they will not do."""
        return free[:count] if count <= len(free) else ()

    @abstractmethod
    def start(self, job: Job, devices: tuple[str, ...]) -> None:
        """Start a worker on the job, for these devices alone. UserError when that cannot be."""

    @abstractmethod
    def state(self, job: Job) -> JobState:
        """What the job is doing."""

    @abstractmethod
    def kill(self, job: Job) -> None:
        """End the worker and all that it started."""


class LocalExecutor(Executor):
    """Worker processes of this computer."""

    def __init__(self, devices: tuple[str, ...]):
        self._devices = devices

    @property
    def devices(self) -> tuple[str, ...]:
        return self._devices

    def start(self, job: Job, devices: tuple[str, ...]) -> None:
        cards = {} if devices == (CPU,) else {"CUDA_VISIBLE_DEVICES": ",".join(devices)}
        job.client.engine.start(job.name, cards)

    def state(self, job: Job) -> JobState:
        return job.client.state(job.name)

    def kill(self, job: Job) -> None:
        job.client.engine.kill(job.name)


def find_devices() -> tuple[str, ...]:
    """The numbers of this computer's NVIDIA cards, or the processor where there is none."""
    if not shutil.which("nvidia-smi"):
        return (CPU,)
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        listed = run(command, seconds=20)
    except UserError:
        return (CPU,)
    numbers = [] if listed.returncode else listed.stdout.split()
    return tuple(number for number in numbers if number.isdecimal()) or (CPU,)
