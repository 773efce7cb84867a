"""Runs inside Blender: how long the main thread works on the extension's steps, by processor time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Stopwatch:
    """The longest call of chosen functions, in milliseconds, by the stage that was under way."""

    def __init__(self) -> None:
        self.stage = "start"
        self.longest: dict[str, dict[str, float]] = {}

    def watch(self, owner: Any, name: str, step: str) -> None:
        """Measure every call of a function from now on, under the name of the step."""
        function: Callable[..., Any] = getattr(owner, name)

        def measured(*arguments: Any, **options: Any) -> Any:
            start = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                self._note(step, 1e3 * (time.thread_time() - start))

        setattr(owner, name, measured)

    def _note(self, step: str, took: float) -> None:
        found = self.longest.setdefault(self.stage, {})
        found[step] = round(max(found.get(step, 0.0), took), 1)
