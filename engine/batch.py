"""Several captures and trainings, one after the other: how far each is, which training is next. Blender and `splatwright capture` share it.

Nothing but files tells what is done: batch.json in a dataset says what was captured there, and a job bears a name that only this
capture with these settings has. Whoever begins the same batch again, after whatever end, goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from .client import Engine, JobState
from .core.config import TrainConfig, config_to_json
from .core.errors import UserError
from .core.events import Event, Failed, Finished, Paused, Progress, Stage, Started
from .core.files import write_text
from .core.formats import read_splats, write_splats
from .core.job import HEARTBEAT_LOST_SECONDS
from .core.job_spec import JobSpec
from .core.words import duration

RECORD = "batch.json"
RESTARTS = 2
"""How often a worker that was cut off is started again before its training counts as failed."""

LOST_SECONDS = 120.0
"""A worker that is silent for so long, by our own clock, is taken for hanging; computers that sleep stop this clock too."""


class State(Enum):
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
    state: State = State.WAITING
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

    @property
    def output(self) -> Path:
        """The splats, beside the dataset."""
        return self.dataset.with_name(f"{self.dataset.name}.ply")

    @property
    def over(self) -> bool:
        """Nothing more comes of it by itself."""
        return self.state in (State.DONE, State.FAILED)

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1; capture and training count alike."""
        begun = self.done / self.total if self.total and self.state in (State.CAPTURING, State.TRAINING) else 0.0
        passed = {State.WAITING: 0.0, State.CAPTURING: 0.0, State.CAPTURED: 1.0, State.TRAINING: 1.0}.get(self.state, 2.0)
        return min(1.0, (passed + begun) / (2 if self.config else 1))

    @property
    def sentence(self) -> str:
        """The state in a few words."""
        match self.state:
            case State.CAPTURING:
                return f"capturing {self.done}/{self.total}"
            case State.TRAINING:
                return self.note or (f"training {self.done:,}/{self.total:,}" if self.total else "training begins")
            case State.DONE if self.psnr is not None:
                return f"done, {self.psnr:.1f} dB"
            case _:
                return self.state.value

    def captured(self, images: int) -> None:
        """The dataset is whole."""
        self.images, self.done, self.total, self.eta = images, 0, 0, None
        self.state = State.CAPTURED if self.config else State.DONE

    def fail(self, error: UserError) -> None:
        """Nothing comes of it."""
        self.state, self.problem, self.eta = State.FAILED, str(error), None

    def take_in(self, event: Event) -> None:
        """Note what an event of the training tells."""
        match event:
            case Started():
                self.done, self.total, self.note, self.problem = event.step, event.max_steps, "", ""
            case Progress():
                self.done, self.total, self.eta = event.step, event.max_steps, event.eta_seconds
                self.step_seconds = 1 / event.steps_per_second if event.steps_per_second > 0 else self.step_seconds
            case Stage():
                self.note = f"{event.name} {event.done / event.total:.0%}" if event.total else event.name
            case Paused():
                self.problem = event.reason and f"The training paused itself at step {event.step}. {event.reason}"
            case Finished():
                self.psnr = event.psnr
            case Failed():
                self.problem = f"{event.message} {event.hint}".strip()
            case _:
                pass


def summary(tasks: Sequence[Task]) -> str:
    """How a batch stands, for the end of it: a sentence."""
    done, failed = (sum(task.state is state for task in tasks) for state in (State.DONE, State.FAILED))
    rest = len(tasks) - done - failed
    others = [f"{count} {word}" for count, word in ((failed, "failed"), (rest, "to do")) if count]
    return f"{done} of {len(tasks)} done" + "".join(f", {text}" for text in others)


def progress(tasks: Sequence[Task]) -> tuple[float, float | None]:
    """Share of the whole batch that is done, and the seconds that are left; None while nothing was measured that tells."""
    share = sum(task.share for task in tasks) / max(1, len(tasks))
    views = sum(task.images - (task.done if task.state is State.CAPTURING else 0)
                for task in tasks if task.state in (State.WAITING, State.CAPTURING))
    steps = sum(task.config.max_steps - (task.done if task.state is State.TRAINING else 0)
                for task in tasks if task.config and not task.over)
    side_by_side = max(1, sum(task.state is State.TRAINING for task in tasks))
    captures = _seconds(views, [task.view_seconds for task in tasks])
    trainings = _seconds(steps, [task.step_seconds for task in tasks])
    return share, None if captures is None or trainings is None else captures + trainings / side_by_side


def _seconds(count: int, each: Sequence[float | None]) -> float | None:
    """What so many pieces of work take, by the mean of those that were measured; None when none was."""
    known = [seconds for seconds in each if seconds is not None]
    return 0.0 if not count else count * sum(known) / len(known) if known else None


def told(tasks: Sequence[Task]) -> str:
    """A line about the whole batch at work."""
    left = progress(tasks)[1]
    current = next((task for task in tasks if task.state in (State.CAPTURING, State.TRAINING)), None)
    parts = [f"{current.name}: {current.sentence}"] if current else []
    parts.append(f"{sum(task.over for task in tasks)} of {len(tasks)} finished")
    if left is not None:
        parts.append(f"{duration(left)} left")
    elif current and current.state is State.CAPTURING and current.eta is not None:
        parts.append(f"{duration(current.eta)} left for this capture")
    return ", ".join(parts)


@dataclass(frozen=True)
class Record:
    """What a batch captured into a dataset: a fingerprint of what was asked for, and a name for this one capture."""

    asked: str
    capture: str


def fingerprint(values: object) -> str:
    """Short text that differs when values that JSON can hold, or print, differ."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def write_record(dataset: Path, asked: str) -> None:
    """Note that what was asked for has been captured whole."""
    write_text(dataset / RECORD, json.dumps({"asked": asked, "capture": secrets.token_hex(8)}))


def read_record(dataset: Path) -> Record | None:
    """What was captured there by a batch; None where that is not known."""
    try:
        values = json.loads((dataset / RECORD).read_text(encoding="utf-8"))
        return Record(str(values["asked"]), str(values["capture"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget(dataset: Path) -> None:
    """Let a dataset be captured, and trained on, once more; it stays until the new one is whole."""
    (dataset / RECORD).unlink(missing_ok=True)


def job_spec(task: Task) -> JobSpec:
    """The training of a captured task. Its name ends in a tag that another capture, or other settings, do not have."""
    assert task.config is not None
    record = read_record(task.dataset)
    tag = fingerprint([record.capture if record else "", config_to_json(task.config)])[:6]
    return JobSpec(task.dataset, task.config, f"{task.name}-{tag}")


@dataclass
class _Run:
    """A training under way."""

    task: Task
    place: Engine
    cursor: int
    writes: bool
    """whether its splats are written beside the dataset"""
    restarts: int = 0
    silent_since: float | None = None


class Trainings:
    """Begins and follows the trainings of a batch, no more than `at_once` at the same time. `places`: where to train, then
    where else jobs of an earlier turn may be."""

    def __init__(self, places: Sequence[Engine], at_once: int):
        self.places, self.at_once = places, at_once
        self._waiting: list[Task] = []
        self._running: list[_Run] = []

    @property
    def busy(self) -> bool:
        """Something is under way or to come."""
        return bool(self._running or self._waiting)

    def add(self, task: Task) -> None:
        """Let a captured task be trained, once; a training that was begun earlier is gone on with."""
        if any(task is waiting for waiting in self._waiting):
            return
        found = self.found(task)
        state = found[0].state(found[1]) if found else None
        if found and state in (JobState.QUEUED, JobState.STARTING, JobState.RUNNING, JobState.FINISHED):
            self._runs(task, *found)
        else:
            self._waiting.append(task)

    def attach(self, task: Task) -> None:
        """Follow the task's training if it is at work, and take in how it ended if it has; nothing is begun or written for that."""
        found = self.found(task)
        state = found[0].state(found[1]) if found else None
        if found and state and (state.alive or state is JobState.FINISHED):
            self._runs(task, *found, writes=state.alive)

    def found(self, task: Task) -> tuple[Engine, str] | None:
        """The newest job of just this capture with these settings."""
        name = job_spec(task).name
        tag = name.rpartition("-")[2]
        for place in self.places:
            for job in reversed([job for job in place.jobs() if tag in job]):
                with suppress(UserError):
                    if place.spec(job).name == name:
                        return place, job
        return None

    def step(self) -> bool:
        """Take in what is new and begin what is next; False when nothing is left."""
        for run in list(self._running):
            self._guarded(run.task, lambda run=run: self._follow(run))
        while self._waiting and len(self._running) < self.at_once:
            task = self._waiting.pop(0)
            self._guarded(task, lambda task=task: self._begin(task))
        return self.busy

    def stop(self) -> None:
        """End the trainings under way; begun again, they go on from their checkpoints."""
        for run in self._running:
            with suppress(UserError):
                run.place.kill(run.task.job)
            run.task.state, run.task.done, run.task.eta = State.CAPTURED, 0, None
        self._running.clear()
        self._waiting.clear()

    def _guarded(self, task: Task, work: Callable[[], None]) -> None:
        """One task's failure is its own."""
        try:
            work()
        except UserError as error:
            self._drop(task)
            task.fail(error)

    def _begin(self, task: Task) -> None:
        found = self.found(task)
        if found is None:
            self._runs(task, self.places[0], self.places[0].submit(job_spec(task)))
            return
        place, job = found
        told = place.events(job)[1]  # why it ended or paused before is no news
        place.resume(job)
        self._runs(task, place, job, told)

    def _runs(self, task: Task, place: Engine, job: str, cursor: int = 0, writes: bool = True) -> None:
        task.state, task.job, task.problem = State.TRAINING, job, ""
        self._running.append(_Run(task, place, cursor, writes))

    def _follow(self, run: _Run) -> None:
        task, place = run.task, run.place
        state = place.state(task.job)  # before the events, so that a finished job's events are all read after it
        events, run.cursor = place.events(task.job, run.cursor)
        for event in events:
            task.take_in(event)
        match state:
            case JobState.FINISHED:
                self._finish(run)
            case JobState.FAILED:
                raise UserError(task.problem or "The training failed.")
            case JobState.INTERRUPTED:
                self._restart(run)
            case JobState.PAUSED if task.problem:
                place.kill(task.job)
                raise UserError(task.problem, "Begin the batch again to go on with it nonetheless.")
            case JobState.QUEUED:
                task.note = place.note(task.job) or "waiting for its turn"
            case _:
                self._listen(run)

    def _finish(self, run: _Run) -> None:
        result, output = run.place.file(run.task.job, "result.ply"), run.task.output
        if result is None:
            raise UserError("The training's result is missing.", "Begin the batch again to train once more.")
        if run.writes and (not output.exists() or output.stat().st_mtime < result.stat().st_mtime):
            splats = read_splats(result)
            write_splats(output, splats.gaussians, antialiased=splats.antialiased)
        self._drop(run.task)
        run.task.state, run.task.eta = State.DONE, None

    def _restart(self, run: _Run) -> None:
        run.restarts += 1
        if run.restarts > RESTARTS:
            raise UserError("The engine stopped before the end.", "Begin the batch again to go on from the last checkpoint.")
        run.place.resume(run.task.job)

    def _listen(self, run: _Run) -> None:
        """End a worker that hangs; it is started again from its checkpoint."""
        if run.place.silence(run.task.job) <= HEARTBEAT_LOST_SECONDS:
            run.silent_since = None
        elif run.silent_since is None:
            run.silent_since = time.monotonic()
        elif time.monotonic() - run.silent_since > LOST_SECONDS:
            run.silent_since = None
            run.place.kill(run.task.job)

    def _drop(self, task: Task) -> None:
        self._running = [run for run in self._running if run.task is not task]
