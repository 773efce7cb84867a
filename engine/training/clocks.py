"""Clocks of a training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Every:
    """due() is True at most once in `seconds`, by the monotonic clock."""

    def __init__(self, seconds: float, first: bool = True):
        self.seconds = seconds
        self.next = time.monotonic() + (0.0 if first else seconds)

    def due(self) -> bool:
        """Whether the interval has passed; if so, it starts again."""
        now = time.monotonic()
        if now < self.next:
            return False
        self.next = now + self.seconds
        return True

    def postpone(self, seconds: float) -> None:
        """Start the interval again, with a length of `seconds`."""
        self.next = max(self.next, time.monotonic() + seconds)


class Clock:
    """Seconds of training: with those before a resume, without pauses."""

    def __init__(self, seconds: float = 0.0):
        self._before = seconds
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        return self._before + time.monotonic() - self._since

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Time inside does not count."""
        self._before = self.seconds
        try:
            yield
        finally:
            self._since = time.monotonic()
