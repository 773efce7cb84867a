"""What is known of one job, a training or work on photos, as its engine tells it. No Blender data: jobs.py keeps it fresh."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ...engine.core.protocol.events import (
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
    newest,
)
from ...engine.core.protocol.folder import HEARTBEAT_LOST_SECONDS
from ...engine.jobs.local_engine import Engine, JobState

READ_AT_ONCE = 64 * 1024
"""Bytes of events between two looks at the clock: about 400 events, some milliseconds."""

MOST_FINDINGS = 20
LINGER_SECONDS = 5.0
"""A worker that seems gone may only have slept with its computer: it is watched a little longer."""

PREVIEW_SHARE = 0.2
"""Previews may take no more than this share of Blender's time, however many splats there are."""

LONGEST_WAIT = 30.0


@dataclass
class WatchedJob:
    """State, figures and findings of a training, or of work on photos or a video (`photos`)."""

    name: str
    engine: Engine
    photos: bool = False
    state: JobState = JobState.STARTING
    silent: float = 0.0
    step: int = 0
    max_steps: int = 0
    loss: float | None = None
    gaussians: int = 0
    rate: float = 0.0
    eta: float | None = None
    psnr: float | None = None
    ssim: float | None = None
    stage: str = ""
    remark: str = ""
    posed: Posed | None = None
    stopped: bool = False
    stopping: bool = False
    unhealthy: str = ""
    """why the training paused by itself"""
    findings: list[Finding] = field(default_factory=list)
    failure: Failed | None = None
    cursor: int = 0
    preview_due: bool = False
    next_preview: float = 0.0
    has_object: bool = False
    imported: bool = False
    watch_until: float = 0.0
    kept_there: bool = False
    """takes room at a remote engine"""

    @property
    def fraction(self) -> float:
        """Share of the training that is done."""
        return min(1.0, self.step / self.max_steps) if self.max_steps > 0 else 0.0

    @property
    def lost(self) -> bool:
        """The worker should be at work and has not been heard of for too long."""
        return self.state.alive and self.silent > HEARTBEAT_LOST_SECONDS

    def follow(self, end: float) -> bool:
        """Take in what is new, until the clock says `end`; True when nothing is left unread."""
        state = self.engine.state(self.name)  # before the events, so that a finished job's events are all read after it
        read_all = self._read(end)
        self.state = state
        self.silent = self.engine.silence(self.name) if state.alive else 0.0
        self.remark = self.engine.note(self.name) if state.alive else ""
        self.kept_there = self.engine.kept_there(self.name)
        if state.alive or not read_all:
            self.watch_until = time.monotonic() + LINGER_SECONDS
        return read_all

    def note(self, event: Event) -> None:
        """Take in one event."""
        match event:
            case Started():
                self.step, self.max_steps, self.gaussians = event.step, event.max_steps, event.gaussians
                self.failure, self.stopped, self.rate, self.eta, self.stage, self.unhealthy = None, False, 0.0, None, "", ""
            case Progress():
                self.step, self.max_steps, self.loss, self.gaussians = event.step, event.max_steps, event.loss, event.gaussians
                self.rate, self.eta = event.steps_per_second, event.eta_seconds
            case Stage():
                self.stage, self.step, self.max_steps, self.eta, self.failure = event.name, event.done, event.total, event.eta_seconds, None
            case Posed():
                self.posed = event
            case Evaluated():
                self.psnr, self.ssim = event.psnr, event.ssim
            case Paused():
                self.unhealthy = event.reason
            case Preview():
                self.preview_due = True
            case Finding():
                self.findings = [*(found for found in self.findings if found != event), event][-MOST_FINDINGS:]
            case Finished():
                self.step, self.gaussians, self.stopped, self.stopping = event.step, event.gaussians, event.stopped, False
                self.psnr, self.ssim = event.psnr, event.ssim
            case Failed():
                self.failure = event
            case _:
                pass

    def begin_again(self) -> None:
        """The job is resumed: what comes is news."""
        self.failure, self.imported, self.stopping, self.stopped = None, False, False, False
        self.state = JobState.STARTING
        self.watch_until = time.monotonic() + LINGER_SECONDS

    def preview_took(self, seconds: float) -> None:
        """Let the next preview wait until this one was worth its time."""
        self.next_preview = max(self.next_preview, time.monotonic() + min(LONGEST_WAIT, seconds / PREVIEW_SHARE))

    def _read(self, end: float) -> bool:
        while True:
            events, cursor = self.engine.events(self.name, self.cursor, READ_AT_ONCE)
            if cursor == self.cursor:
                return True
            self.cursor = cursor
            for event in newest(events):
                self.note(event)
            if time.monotonic() >= end:
                return False
