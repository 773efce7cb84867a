"""Several captures and trainings, one after the other: how far each is. Blender and `splatwright capture` share it.

The state lies in files alone: batch.json in a dataset says what was captured there, and a job bears a name that only this
capture with these settings has. Whoever begins the same batch again, after whatever end, goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from ..core.errors import UserError
from ..core.files import read_shared, remove_file, write_text
from ..core.parsing import parse_object
from ..core.protocol.config import TrainConfig, config_to_json
from ..core.protocol.events import Event, Stage, Started
from ..core.protocol.job_progress import JobProgress
from ..core.protocol.spec import JobSpec
from ..core.text import rough

RECORD = "batch.json"


class TaskState(Enum):
    """How far an entry of a batch is."""

    WAITING = "waiting"
    CAPTURING = "capturing"
    CAPTURED = "captured"
    TRAINING = "training"
    DONE = "done"
    FAILED = "failed"


@dataclass
class Task:
    """An entry of a batch: a dataset to capture, and the training on it; without `config` it is captured alone."""

    name: str
    dataset: Path
    config: TrainConfig | None = None
    images: int = 0
    state: TaskState = TaskState.WAITING
    done: int = 0
    """views of the capture, or steps of the training, of `total`"""
    total: int = 0
    eta: float | None = None
    view_seconds: float | None = None
    """what a view of the capture takes"""
    step_seconds: float | None = None
    """what a step of the training takes"""
    psnr: float | None = None
    problem: str = ""
    job: str = ""
    note: str = ""
    training: JobProgress = field(default_factory=JobProgress)
    """what the events of its job tell"""

    @property
    def output(self) -> Path:
        """The splats, beside the dataset."""
        return self.dataset.with_name(f"{self.dataset.name}.ply")

    @property
    def over(self) -> bool:
        """Nothing more comes of it by itself."""
        return self.state in (TaskState.DONE, TaskState.FAILED)

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1; capture and training count alike."""
        begun = self.done / self.total if self.total and self.state in (TaskState.CAPTURING, TaskState.TRAINING) else 0.0
        passed = {TaskState.WAITING: 0.0, TaskState.CAPTURING: 0.0, TaskState.CAPTURED: 1.0, TaskState.TRAINING: 1.0}.get(self.state, 2.0)
        return min(1.0, (passed + begun) / (2 if self.config else 1))

    @property
    def sentence(self) -> str:
        """The state in a few words."""
        match self.state:
            case TaskState.CAPTURING:
                return f"capturing {self.done}/{self.total}"
            case TaskState.TRAINING:
                return self.note or (f"training {self.done:,}/{self.total:,}" if self.total else "training begins")
            case TaskState.DONE if self.psnr is not None:
                return f"done, {self.psnr:.1f} dB"
            case _:
                return self.state.value

    def captured(self, images: int) -> None:
        """The dataset is whole."""
        self.images, self.done, self.total, self.eta = images, 0, 0, None
        self.state = TaskState.CAPTURED if self.config else TaskState.DONE

    def fail(self, error: UserError) -> None:
        """Nothing comes of it."""
        self.state, self.problem, self.eta = TaskState.FAILED, str(error), None

    def take_in(self, event: Event) -> None:
        """Update the task by an event of its training."""
        known = self.training
        known.apply(event)
        self.problem = known.problem
        if known.started and not known.stage:
            self.done, self.total, self.eta = known.step, known.max_steps, known.eta
        if known.rate > 0:
            self.step_seconds = 1 / known.rate
        if known.finished:
            self.psnr = known.finished.psnr
        if isinstance(event, (Started, Stage)):  # also what was said of a queue is past
            self.note = known.stage and f"{known.stage} {known.fraction:.0%}" if known.max_steps else known.stage


def summary(tasks: Sequence[Task]) -> str:
    """How a batch stands, for the end of it: a sentence."""
    done, failed = (sum(task.state is state for task in tasks) for state in (TaskState.DONE, TaskState.FAILED))
    rest = len(tasks) - done - failed
    others = [f"{count} {word}" for count, word in ((failed, "failed"), (rest, "to do")) if count]
    return f"{done} of {len(tasks)} done" + "".join(f", {text}" for text in others)


def progress(tasks: Sequence[Task]) -> tuple[float, float | None]:
    """Share of the whole batch that is done, and the seconds that are left; None while nothing was measured."""
    share = sum(task.share for task in tasks) / max(1, len(tasks))
    views = sum(task.images - (task.done if task.state is TaskState.CAPTURING else 0)
                for task in tasks if task.state in (TaskState.WAITING, TaskState.CAPTURING))
    steps = sum(task.config.max_steps - (task.done if task.state is TaskState.TRAINING else 0)
                for task in tasks if task.config and not task.over)
    side_by_side = max(1, sum(task.state is TaskState.TRAINING for task in tasks))
    captures = _seconds(views, [task.view_seconds for task in tasks])
    trainings = _seconds(steps, [task.step_seconds for task in tasks])
    return share, None if captures is None or trainings is None else captures + trainings / side_by_side


def _seconds(count: int, each: Sequence[float | None]) -> float | None:
    """What so many pieces of work take, by the mean of those that were measured; None when none was."""
    known = [seconds for seconds in each if seconds is not None]
    return 0.0 if not count else count * sum(known) / len(known) if known else None


def time_left(tasks: Sequence[Task]) -> str:
    """The time that the whole batch still takes, or else the capture under way; empty while neither is known."""
    left = progress(tasks)[1]
    if left is not None:
        return f"{rough(left)} left"
    capture = next((task for task in tasks if task.state is TaskState.CAPTURING and task.eta is not None), None)
    return f"{rough(capture.eta)} left for this capture" if capture else ""


def summary_sentence(tasks: Sequence[Task]) -> str:
    """A line about the whole batch at work."""
    current = next((task for task in tasks if task.state in (TaskState.CAPTURING, TaskState.TRAINING)), None)
    parts = (f"{current.name}: {current.sentence}" if current else "", f"{sum(task.over for task in tasks)} of {len(tasks)} finished",
             time_left(tasks))
    return ", ".join(filter(None, parts))


@dataclass(frozen=True)
class TaskRecord:
    """What a batch captured into a dataset: a fingerprint of what was asked for, and a name for this one capture."""

    asked: str
    capture: str


def fingerprint(values: object) -> str:
    """Short text that differs when values that JSON can hold, or print, differ."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def write_record(dataset: Path, asked: str) -> None:
    """Note that what was asked for has been captured whole."""
    write_text(dataset / RECORD, json.dumps({"asked": asked, "capture": secrets.token_hex(8)}))


def read_record(dataset: Path) -> TaskRecord | None:
    """What was captured there by a batch; None where that is not known."""
    try:
        values = parse_object(read_shared(dataset / RECORD))
        return TaskRecord(str(values["asked"]), str(values["capture"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget(dataset: Path) -> None:
    """Let a dataset be captured, and trained on, once more; it stays until the new one is whole."""
    remove_file(dataset / RECORD)


def job_spec(task: Task) -> JobSpec:
    """The training of a captured task. Its name ends in a tag that another capture, or other settings, do not have."""
    assert task.config is not None
    record = read_record(task.dataset)
    tag = fingerprint([record.capture if record else "", config_to_json(task.config)])[:6]
    return JobSpec(task.dataset, task.config, f"{task.name}-{tag}")
