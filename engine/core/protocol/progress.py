"""How far a longer piece of work has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """`done` of `total` are through the stage `name`; a total of 0 is not known. `note` is a sentence worth showing once."""

    name: str
    done: int = 0
    total: int = 0
    note: str = ""


OnProgress = Callable[[Step], None]
"""Hears of every step. It may raise KeyboardInterrupt to cancel the work."""


def ignore_progress(_: Step) -> None:
    """Hears nothing."""
