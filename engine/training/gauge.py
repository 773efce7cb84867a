"""How much memory work takes at its highest, in the computer and on a graphics card."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..core.config import TrainConfig
from .backend import Engine
from .host_memory import used_memory

LOOK_SECONDS = 0.003


@dataclass
class Peak:
    """The most that was held while it was watched, in bytes: by this process, and by its tensors on the card."""

    memory: float = 0.0
    card: float = 0.0


@contextmanager
def watched(engine: Engine) -> Iterator[Peak]:
    """Inside, the peak grows; a thread looks at the process every few milliseconds, torch itself counts on a card."""
    peak, ended = Peak(), threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_SECONDS):
            peak.memory = max(peak.memory, used_memory())

    card = card_counter() if engine == "cuda" else None
    watcher = threading.Thread(target=look, name="gauge", daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()
        peak.memory = max(peak.memory, used_memory())
        peak.card = card.peak() if card else 0.0


class CardCounter:
    """What tensors hold on the current card at most, since it was made."""

    def __init__(self) -> None:
        import torch

        self._cuda = torch.cuda
        self._cuda.reset_peak_memory_stats()

    def peak(self) -> float:
        """Bytes."""
        return float(self._cuda.max_memory_allocated())


def card_memory(config: TrainConfig) -> float:
    """Bytes of the current graphics card that a training may take; 0 where tensors lie in the computer's own memory."""
    import torch

    from .cuda.model import usable_memory

    return float(usable_memory(config)[0]) if torch.cuda.is_available() else 0.0


def card_counter() -> CardCounter | None:
    """A counter for this computer's card; None where tensors lie in the computer's own memory."""
    import torch

    return CardCounter() if torch.cuda.is_available() else None
