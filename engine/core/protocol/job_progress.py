"""How a job stands, by its events: the one place that says what each event means. Terminal, panel and batch draw what stands here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from .events import (
    BUDGET_ENDED,
    CHECKPOINTS,
    ENGINE_BUDGET_ENDED,
    SLOW_CHECKPOINTS,
    Estimated,
    Evaluated,
    Event,
    Failed,
    Finding,
    Finished,
    Paused,
    Posed,
    Preview,
    Progress,
    Stage,
    Started,
)

MOST_FINDINGS = 20

USUAL_INTERVAL = 10.0
"""Seconds of training that a cut costs at most, where nothing else is said."""


@dataclass(kw_only=True)
class JobProgress:
    """What the events so far tell. Steps, or of other work than training so many of so many; seconds; PSNR in dB.

    `rate` is in steps a second and 0 while it is not known. `stage` names work before a training, or that of another kind of job.
    """

    word: Event | None = None
    """the last event that is more than a measurement: what state the job is in"""
    started: Started | None = None
    checkpoint_interval: float = 0.0
    """seconds of training that are repeated at most when the worker is cut off; 0 while that is not known"""
    step: int = 0
    trained: int = 0
    """steps of the training, whatever other work has been told of since"""
    max_steps: int = 0
    stage: str = ""
    loss: float | None = None
    gaussians: int = 0
    rate: float = 0.0
    eta: float | None = None
    psnr: float | None = None
    ssim: float | None = None
    posed: Posed | None = None
    preview: Preview | None = None
    estimated: Estimated | None = None
    findings: list[Finding] = field(default_factory=list)
    """the newest MOST_FINDINGS, each once"""
    unhealthy: str = ""
    """why the training paused by itself"""
    finished: Finished | None = None
    stopped: bool = False
    """ended early, because somebody asked"""
    over_budget: Finding | None = None
    """that the job was stopped because its own budget, or its engine's, is spent"""
    failure: Failed | None = None

    @property
    def fraction(self) -> float:
        """Share of the work that is done."""
        return min(1.0, self.step / self.max_steps) if self.max_steps > 0 else 0.0

    @property
    def problem(self) -> str:
        """Why the job failed, or paused by itself, in a sentence; empty when neither is so."""
        if self.failure is not None:
            return f"{self.failure.message} {self.failure.hint}".strip()
        return self.unhealthy and f"The training paused itself at step {self.step}. {self.unhealthy}"

    @property
    def end(self) -> Finished | Failed | Paused | None:
        """How the job ended, or the pause that it asked for itself; None while it goes on."""
        match self.word:
            case Finished() | Failed():
                return self.word
            case Paused(reason=str(reason)) if reason:
                return self.word
            case _:
                return None

    def apply(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, (Started, Progress, Paused, Finished)):
            self.trained = event.step
        match event:
            case Started():
                self._begin(event)
            case Progress():
                self.word, self.step, self.max_steps, self.gaussians = event, event.step, event.max_steps, event.gaussians
                self.loss, self.rate, self.eta = event.loss, event.steps_per_second, event.eta_seconds
            case Stage():
                self.word, self.stage, self.step, self.max_steps, self.eta = event, event.name, event.done, event.total, event.eta_seconds
                self.failure = None
            case Posed():
                self.posed = event
            case Preview():
                self.preview = event
            case Finding():
                self.findings = [*(found for found in self.findings if found != event), event][-MOST_FINDINGS:]
                self._take_interval(event, SLOW_CHECKPOINTS)
                if event.code in (BUDGET_ENDED, ENGINE_BUDGET_ENDED):
                    self.over_budget = event
            case Estimated():
                self.estimated = event
            case Evaluated():
                self.psnr, self.ssim = event.psnr, event.ssim
            case Paused():
                self.word, self.unhealthy = event, event.reason
                self.step = event.step
            case Finished():
                self.word, self.finished, self.step, self.gaussians, self.stopped = event, event, event.step, event.gaussians, event.stopped
                self.psnr, self.ssim, self.failure = event.psnr, event.ssim, None
            case Failed():
                self.word = self.failure = event
            case _:
                assert_never(event)

    def _begin(self, event: Started) -> None:
        """A worker is at work again: how it ended before is past."""
        self.word = self.started = event
        self._take_interval(event, CHECKPOINTS)
        self.step, self.max_steps, self.gaussians = event.step, event.max_steps, event.gaussians
        self.rate, self.eta, self.stage, self.unhealthy = 0.0, None, "", ""
        self.failure, self.finished, self.stopped, self.over_budget = None, None, False, None

    def _take_interval(self, event: Started | Finding, code: str) -> None:
        every = dict(event.values).get("every")
        if event.code == code and isinstance(every, (int, float)):
            self.checkpoint_interval = float(every)


def told(events: Iterable[Event]) -> JobProgress:
    """How a job stands after these events."""
    progress = JobProgress()
    for event in events:
        progress.apply(event)
    return progress
