"""The trainings of a batch: which is next, how each stands, and what to do about workers that end, hang or pause."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..core.errors import UserError
from ..core.formats.registry import read_splats, write_splats
from ..core.protocol.folder import HEARTBEAT_LOST_SECONDS
from ..core.protocol.job_progress import JobProgress
from ..jobs.local_engine import Engine, JobState
from .tasks import Task, TaskState, job_spec

RESTARTS = 2
"""How often a worker that was cut off is started again before its training counts as failed."""

LOST_SECONDS = 120.0
"""A worker that is silent for so long, by our own clock, is taken for hanging; computers that sleep stop this clock too."""


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
            run.task.state, run.task.done, run.task.eta = TaskState.CAPTURED, 0, None
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
        summary_sentence = place.events(job)[1]  # why it ended or paused before is no news
        place.resume(job)
        self._runs(task, place, job, summary_sentence)

    def _runs(self, task: Task, place: Engine, job: str, cursor: int = 0, writes: bool = True) -> None:
        task.state, task.job, task.problem, task.training = TaskState.TRAINING, job, "", JobProgress()
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
                raise UserError(task.problem, "Run the batch again to continue it anyway.")
            case JobState.QUEUED:
                task.note = place.note(task.job) or "waiting for its turn"
            case _:
                self._listen(run)

    def _finish(self, run: _Run) -> None:
        result, output = run.place.file(run.task.job, "result.ply"), run.task.output
        if result is None:
            raise UserError("The training's result is missing.", "Run the batch again to repeat the training.", "batch.no_result")
        if run.writes and (not output.exists() or output.stat().st_mtime < result.stat().st_mtime):
            splats = read_splats(result)
            write_splats(output, splats.gaussians, antialiased=splats.antialiased, offset=splats.offset)
        self._drop(run.task)
        run.task.state, run.task.eta = TaskState.DONE, None

    def _restart(self, run: _Run) -> None:
        run.restarts += 1
        if run.restarts > RESTARTS:
            raise UserError("The engine stopped before the end.", "Run the batch again to continue from the last checkpoint.",
                            "batch.engine_stopped")
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
