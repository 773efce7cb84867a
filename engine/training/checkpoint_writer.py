"""Writes checkpoints beside the training, in a thread, so that what is lost when it is cut off stays within an interval that is known.

A state is copied between two steps and written while the training goes on; one that is too large for a second one beside it is handed to
the system between two steps, and flushed to the disk while the training goes on. What a cut costs is the time since the copy of the last
state that lies on the disk whole: the time between two copies, and that of writing one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

from ..core.errors import UserError
from ..core.files import remove_file
from .checkpoint import Checkpoint, save_checkpoint

SURE_GAUSSIANS = 200_000
"""Up to so many, checkpoints come as often as the settings say, whatever share of the time they take."""

SHARE = 0.1
"""Of the time in which a checkpoint is being written at most, for more Gaussians."""

PAUSE_SHARE = 0.02
"""Of the time in which the training stands still for a checkpoint at most, for more Gaussians."""

MARGIN = 1.5
"""A busy disk takes so many times as long as the last time."""

FADE = 0.8
"""Of the slowest write of late that the next one is expected to take: a machine that was busy once may be so again."""

FIRST_SHARE = 0.1
"""Of the interval that is wanted: so much the first checkpoint is expected to take at least, for the sample tells of the disk alone."""

PRUDENCE = 0.8
"""Of the interval that is promised: steps and disks may be slower than they ever were."""

NUMBERS_A_GAUSSIAN = 3 * (14 + 45)
"""Of a state at most: the parameters and two moments of each."""

SAMPLE_BYTES = 4 << 20
"""Written to learn how fast the disk is."""


class CheckpointWriter:
    """When the next checkpoint is due, and the thread that writes it."""

    def __init__(self, folder: Path, seconds: float, gaussians: int, live: bool = False):
        self.folder, self.wanted = folder, seconds
        self.took = expected_seconds(folder.parent, gaussians)
        """seconds from the copy of a state until it lay on the disk, the last time or as the disk's speed suggests"""
        self.paused = self.took if live and gaussians > SURE_GAUSSIANS else 0.0
        """seconds that the training stood still for it; as long as it takes to write where large states are `live`, until one has"""
        self._slow = max(self.took, FIRST_SHARE * seconds)
        self.saved_step = -1
        """the step of the newest state that lies on the disk"""
        self._copied = self._asked = time.monotonic()
        self._gap = 0.0
        self._thread: Thread | None = None
        self._problem: Exception | None = None

    def interval(self, gaussians: int) -> float:
        """Seconds of training at most that a cut costs."""
        return interval(self.wanted, self.took, gaussians, self.paused)

    def due(self, gaussians: int) -> bool:
        """Whether it is time to copy a state, and none is being written. Asked between steps, of which the longest of late counts too."""
        now = time.monotonic()
        self._gap, self._asked = max(now - self._asked, 0.9 * self._gap), now
        if self.writing:
            return False
        latest = PRUDENCE * self.interval(gaussians) - MARGIN * max(self.took, self._slow) - self._gap
        return now - self._copied >= max(latest, min(self.wanted, self.took), rest(self.paused, gaussians))

    @property
    def writing(self) -> bool:
        """Whether a checkpoint is being written at the moment."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self, copy: Callable[[], Checkpoint]) -> None:
        """Write a checkpoint in the thread, after the one that is being written. problem() tells what came of it.

        Comes back when the state may change.
        """
        self.wait()
        self._copied = time.monotonic()
        checkpoint, read = copy(), Event()
        self._thread = Thread(target=self._write, args=(checkpoint, self._copied, read), name="checkpoint")
        self._thread.start()
        if checkpoint.live:
            read.wait()
        self.paused = time.monotonic() - self._copied

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint and wait for it. UserError when the disk refuses."""
        self.wait()
        self._problem, self._copied = None, time.monotonic()
        self._write(checkpoint, self._copied, Event())
        problem = self.problem()
        if problem:
            raise problem

    def wait(self) -> None:
        """Until nothing is being written."""
        if self._thread is not None:
            self._thread.join()

    def problem(self) -> UserError | None:
        """Why the disk refused the last checkpoint, told once. What else went wrong in the thread is raised."""
        problem, self._problem = self._problem, None
        if problem is not None and not isinstance(problem, UserError):
            raise problem
        return problem

    def _write(self, checkpoint: Checkpoint, copied: float, read: Event) -> None:
        try:
            save_checkpoint(self.folder, checkpoint, read.set)
        except Exception as error:
            self._problem = error
            return
        finally:
            read.set()
        self.saved_step = checkpoint.step
        self.took = time.monotonic() - copied
        self._slow = max(self.took, FADE * self._slow)


def interval(wanted: float, took: float, gaussians: int, paused: float = 0.0) -> float:
    """Seconds of training at most that a cut costs, where so many are wanted, a checkpoint takes so long to write, and stops it so long."""
    if gaussians <= SURE_GAUSSIANS:
        return max(wanted, (MARGIN + 1) * took)
    return max(wanted, (MARGIN + 1 + 1 / SHARE) * took, (rest(paused, gaussians) + MARGIN * took) / PRUDENCE)


def rest(paused: float, gaussians: int) -> float:
    """Seconds between two checkpoints at least that stop the training so long."""
    return paused / PAUSE_SHARE if gaussians > SURE_GAUSSIANS else 0.0


def expected_seconds(folder: Path, gaussians: int) -> float:
    """How long a checkpoint of so many Gaussians may take to write, by a sample that is written and removed; 0 when that is refused."""
    path = folder / f".speed.{os.getpid()}.tmp"
    with suppress(OSError):
        try:
            begin = time.monotonic()
            with open(path, "wb") as file:
                file.write(bytes(SAMPLE_BYTES))
                file.flush()
                os.fsync(file.fileno())
            return (time.monotonic() - begin) * gaussians * NUMBERS_A_GAUSSIAN * 4 / SAMPLE_BYTES
        finally:
            remove_file(path)
    return 0.0
