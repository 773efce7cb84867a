"""The record of a training, read from its job folder, whether it has ended or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.files import read_shared
from ..core.parsing import parse_object
from ..core.protocol.config import TrainConfig
from ..core.protocol.events import Evaluated, Failed, Finding, Finished, Progress, Started
from ..core.protocol.folder import JobFolder
from ..core.protocol.job_progress import told

Curve = list[tuple[float, float]]
"""Points (step, value), by step."""


@dataclass(frozen=True)
class TrainingRecord:
    """One training: its settings, what was said of it, and the figures of its result where there is one."""

    name: str
    dataset: str
    config: TrainConfig
    started: Started | None
    ended: Finished | Failed | None
    findings: tuple[Finding, ...]
    loss: Curve
    rate: Curve
    gaussians: Curve
    psnr: Curve
    ssim: Curve
    report: dict[str, Any]  # report.json; empty while there is no result

    @property
    def step(self) -> int:
        """The step of the last event."""
        return int(max((curve[-1][0] for curve in (self.loss, self.psnr) if curve), default=0))


def read_record(job: JobFolder, finished: Finished | None = None) -> TrainingRecord:
    """Read a job folder; UserError when it is none. `finished` is an end that its events do not tell yet.

    While a training goes on, what an earlier end reported is left out.
    """
    spec = job.read_spec()
    events = [*job.read_events()[0], *([finished] if finished else [])]
    known = told(events)
    ended = known.failure or known.finished
    progress = [event for event in events if isinstance(event, Progress)]
    scores = [event for event in events if isinstance(event, Evaluated)]
    return TrainingRecord(
        spec.name or job.name, str(spec.dataset), spec.config, known.started, ended,
        tuple(dict.fromkeys(event for event in events if isinstance(event, Finding))),
        _curve(progress, "loss"), _curve(progress, "steps_per_second"), _curve(progress, "gaussians"),
        _curve(scores, "psnr"), _curve(scores, "ssim"), _report(job) if isinstance(ended, Finished) else {},
    )


def _curve(events: list[Any], name: str) -> Curve:
    """A value over the steps; where a training went on from an earlier step the later run counts."""
    points = {event.step: float(getattr(event, name)) for event in events}
    return sorted(points.items())


def _report(job: JobFolder) -> dict[str, Any]:
    try:
        return parse_object(read_shared(job.report))
    except (OSError, ValueError):
        return {}
