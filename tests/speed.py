"""How much processor time something takes, in a unit that a slow or busy computer changes alike."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np


def cost(action: Callable[[], object], rounds: int = 3) -> float:
    """Processor time of an action beside that of sorting a million numbers stably: the least of some rounds, each measured side by side."""
    numbers = np.random.default_rng(0).random(1_000_000)
    return min(_processor_time(action) / _processor_time(lambda: np.sort(numbers, kind="stable")) for _ in range(rounds))


def _processor_time(action: Callable[[], object]) -> float:
    begin = time.process_time()
    action()
    return max(time.process_time() - begin, 1e-6)
