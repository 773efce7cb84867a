"""Progress events of a training, and the check that its loss is finite."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..core.errors import UserError
from ..core.protocol.events import Progress
from .backend import Loss
from .clocks import Every

PROGRESS_SECONDS = 0.5
MEMORY = 0.98
"""Share of the running mean of the loss that each step keeps."""


class Progression:
    """Counts steps and makes a Progress event at intervals. What is done beside() the steps counts neither for the speed nor for the time
    that is left.

    The running mean of the loss stays where the losses are, on a graphics card for instance, and is fetched only when it is
    told: asking each time would hold up every step. A loss that is not a number makes the mean one for good, so none is missed.
    """

    def __init__(self, step: int, max_steps: int):
        self._max_steps = max_steps
        self._step = step
        self._due = Every(PROGRESS_SECONDS)
        self._mean: Loss | None = None
        self._since = (time.monotonic(), step)
        self._beside = 0.0

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Time inside is no training: previews, measurements, checkpoints, pauses."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._beside += time.monotonic() - start

    def count(self, step: int, loss: Loss) -> None:
        """Record the loss of a step, after which the training is at `step`."""
        self._step = step
        self._mean = loss if self._mean is None else MEMORY * self._mean + (1 - MEMORY) * loss

    def end_at(self, max_steps: int) -> None:
        """The training ends elsewhere than it was planned."""
        self._max_steps = max_steps

    def settle(self) -> float:
        """The running mean of the loss; UserError when a loss since the beginning was not a number. Waits for the device."""
        mean = 0.0 if self._mean is None else float(self._mean)
        if not math.isfinite(mean):
            raise UserError(f"The loss is not a number before step {self._step}.",
                            "Resume from the checkpoint with lower learning rates, or check images and poses.", "training.loss_before",
                            step=self._step)
        return mean

    def due(self) -> bool:
        """Whether the next Progress event is due."""
        return self._due.due()

    def event(self, gaussians: int) -> Progress:
        """The Progress event of now; UserError when the loss is not a number."""
        mean, now = self.settle(), time.monotonic()
        then, step = self._since
        rate = (self._step - step) / max(1e-6, now - then - self._beside)
        self._since, self._beside = (now, self._step), 0.0
        eta = (self._max_steps - self._step) / max(1e-6, rate)
        return Progress(self._step, self._max_steps, mean, gaussians, round(rate, 2), round(eta, 1))
