"""A search for the cameras of photos as a job: what the worker does with a job folder of the kind `poses`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..core.datasets.poses_report import PosesReport
from ..core.errors import values
from ..core.protocol.events import Event, Finding, Finished, Posed, Stage
from ..core.protocol.folder import Control, JobFolder
from ..core.protocol.progress import Step
from ..core.protocol.spec import PosesSpec
from .needs import check_packages

MOST_NAMED = 20
"""Unregistered photos that get a finding of their own; the report names all of them."""
EVENT_SECONDS = 0.25
BEAT_SECONDS = 1.0


class Stopped(Exception):
    """Raised inside a search when the job is asked to stop."""


def run_poses(job: JobFolder, emit: Callable[[Event], None], control: Callable[[], Control]) -> None:
    """Find the cameras that the job asks for and write its dataset. Emits events; raises UserError when none can be found.

    A stop leaves no dataset; resumed, the job finds what it computed. Pausing is not possible and is passed over.
    """
    check_packages()
    from .poses import find_poses

    spec, begin = job.read_any(), time.monotonic()
    assert isinstance(spec, PosesSpec)
    try:
        report = find_poses(spec.photos, job.path / spec.dataset, spec.options, ProgressEvents(job, emit, control).report)
    except Stopped:
        emit(Finished(0, 0, None, None, time.monotonic() - begin, True))
        return
    for finding in findings(report):
        emit(finding)
    emit(Posed(len(report.placed), report.photos, report.points, report.reprojection_error))
    emit(Finished(len(report.placed), 0, None, None, report.seconds, False))


def findings(report: PosesReport) -> Iterator[Finding]:
    """Findings about the photos that are not registered, and about what to photograph next."""
    for photo in report.unplaced[:MOST_NAMED]:
        yield Finding("warning", f"{photo.name} is not registered: {photo.reason}",
                      code="poses.unplaced", values=values(photo=photo.name, reason=photo.reason))
    if len(report.unplaced) > MOST_NAMED:
        hidden = len(report.unplaced) - MOST_NAMED
        yield Finding("warning", f"{hidden} more photos are not registered.", "The dataset's poses.txt names them all.",
                      code="poses.more_unplaced", values=values(count=hidden))
    for sentence in report.advice:
        yield Finding("info", sentence, code="poses.advice", values=values(sentence=sentence))


@dataclass
class ProgressEvents:
    """Emits steps as events, keeps the heartbeat, and raises Stopped when the job is asked to stop."""

    job: JobFolder
    emit: Callable[[Event], None]
    control: Callable[[], Control]
    stage: str = ""
    begin: tuple[float, int] = (0.0, 0)
    next_event: float = 0.0
    next_beat: float = 0.0

    def report(self, step: Step) -> None:
        """Emit one step. Raises Stopped when the job is asked to stop."""
        if self.control() == "stop":
            raise Stopped
        now = time.monotonic()
        if step.note:
            self.emit(Finding("info", step.note, code="poses.note", values=values(sentence=step.note)))
        if now >= self.next_beat:
            self.job.heartbeat()
            self.next_beat = now + BEAT_SECONDS
        if step.name != self.stage or now >= self.next_event or step.done == step.total > 0:
            self._tell(step, now)

    def _tell(self, step: Step, now: float) -> None:
        if step.name != self.stage:
            self.stage, self.begin = step.name, (now, step.done)
        since, first = self.begin
        eta = (now - since) / (step.done - first) * (step.total - step.done) if step.done > first else None
        self.emit(Stage(step.name, step.done, step.total, eta))
        self.next_event = now + EVENT_SECONDS
