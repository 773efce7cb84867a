"""How much memory work takes at its highest, in the computer and on a graphics card."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..core.protocol.config import TrainConfig
from ..training.backend import BackendName
from ..training.host_memory import used_memory

LOOK_SECONDS = 0.003


@dataclass
class Peak:
    """The most that was held while it was watched, in bytes: by this process, and by its tensors on the card."""

    memory: float = 0.0
    card: float = 0.0


@contextmanager
def watched(engine: BackendName) -> Iterator[Peak]:
    """Inside, the peak grows; a thread looks at the process every few milliseconds, torch itself counts on a card."""
    peak, ended = Peak(), threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_SECONDS):
            peak.memory = max(peak.memory, used_memory())

    if engine == "cuda":
        from ..training.cuda.counter import count_anew

        count_anew()
    watcher = threading.Thread(target=look, name="gauge", daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()
        peak.memory = max(peak.memory, used_memory())
        if engine == "cuda":
            from ..training.cuda.counter import most_held

            peak.card = most_held()


def card_memory(config: TrainConfig, engine: BackendName) -> float:
    """Bytes of the current graphics card that a training may take; 0 without one."""
    if engine != "cuda":
        return 0.0
    from ..training.cuda import counter

    return counter.card_memory(config)
