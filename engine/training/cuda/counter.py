"""Bytes of tensors on the current card, and the limit for them."""

from __future__ import annotations

import torch

from ...core.protocol.config import TrainConfig
from .model import usable_memory


def count_anew() -> None:
    """Reset the peak."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def most_held() -> float:
    """Bytes that tensors held at most since count_anew(); 0 where they lie in the computer's own memory."""
    return float(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else 0.0


def card_memory(config: TrainConfig) -> float:
    """Bytes that a training may use; 0 without a card."""
    return float(usable_memory(config)[0]) if torch.cuda.is_available() else 0.0
