"""What is known of one job, a training or work on photos, as its engine tells it. No Blender data: jobs.py keeps it fresh."""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

from ...engine.core.protocol.events import newest
from ...engine.core.protocol.folder import HEARTBEAT_LOST_SECONDS
from ...engine.core.protocol.job_progress import JobProgress
from ...engine.jobs.local_engine import Engine, JobState
from ..ui.steps import Steps

READ_AT_ONCE = 64 * 1024
"""Bytes of events between two looks at the clock: about 400 events, some milliseconds."""

LINGER_SECONDS = 5.0
"""A worker that seems gone may only have slept with its computer: it is watched a little longer."""

PREVIEW_SHARE = 0.2
"""Previews may take no more than this share of Blender's time, however many splats there are."""

LONGEST_WAIT = 30.0


@dataclass
class WatchedJob(JobProgress):
    """State, figures and findings of a training, or of work on photos or a video (`photos`)."""

    name: str
    engine: Engine
    photos: bool = False
    title: str = ""
    """what people call it"""
    dataset: Path | None = None
    """what a training learns from"""
    state: JobState = JobState.STARTING
    silent: float = 0.0
    remark: str = ""
    alarm: str = ""
    """that a remote engine's machine goes on costing money"""
    stopping: bool = False
    cursor: int = 0
    preview_due: bool = False
    next_preview: float = 0.0
    has_object: bool = False
    imported: bool = False
    watch_until: float = 0.0
    showing: Steps[None] | None = None
    """brings splats into the scene, while it is under way"""
    kept_there: bool = False
    """takes room at a remote engine"""

    @property
    def lost(self) -> bool:
        """The worker should be at work and has not been heard of for too long."""
        return self.state.alive and self.silent > HEARTBEAT_LOST_SECONDS

    @property
    def shown(self) -> Hashable:
        """Changes with what panels show of the job."""
        silent = int(self.silent) if self.lost else 0
        return (self.cursor, self.state, silent, self.remark, self.alarm, self.stopping, self.has_object, self.imported, self.kept_there)

    def follow(self, end: float) -> bool:
        """Take in what is new, until the clock says `end`; True when nothing is left unread."""
        state = self.engine.state(self.name)  # before the events, so that a finished job's events are all read after it
        read_all = self._read(end)
        self.state = state
        self.silent = self.engine.silence(self.name) if state.alive else 0.0
        self.remark = self.engine.note(self.name) if state.alive else ""
        alarm = self.engine.alarm(self.name)
        self.alarm = alarm or ""
        self.kept_there = self.engine.kept_there(self.name)
        if state.alive or not read_all or alarm is not None:
            self.watch_until = time.monotonic() + LINGER_SECONDS
        return read_all

    def begin_again(self) -> None:
        """The job is resumed: what comes is news."""
        self.failure, self.finished, self.over_budget = None, None, None
        self.imported, self.stopping, self.stopped = False, False, False
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
            shown, self.cursor = self.preview, cursor
            for event in newest(events):
                self.apply(event)
            self.preview_due = self.preview_due or self.preview is not shown
            self.stopping = self.stopping and self.finished is None
            if time.monotonic() >= end:
                return False
