"""How figures are said in sentences for people."""

from __future__ import annotations

import math
from collections.abc import Iterable

NAMED = 3
"""Names that are listed before the others are only counted."""


def phrase(text: str) -> str:
    """Marks a text without a code, a part of a sentence for instance, as one that interfaces translate; returns it as it is."""
    return text


def duration(seconds: float | None) -> str:
    """Seconds as text: 1 h 5 min, 2 min 3 s, 7 s; "some time" for None and values that are not finite."""
    if seconds is None or not math.isfinite(seconds):
        return "some time"
    minutes, rest = divmod(int(max(0.0, seconds) + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def rough(seconds: float | None) -> str:
    """As duration, for what nobody knows to the second: 1 h 10 min, 40 min, 4 min, 20 s, a few seconds."""
    if seconds is None or not math.isfinite(seconds):
        return "some time"
    if seconds < 10:
        return "a few seconds"
    grain = 10 if seconds < 55 else 60 if seconds < 570 else 300 if seconds < 3450 else 600 if seconds < 6 * 3600 else 3600
    minutes, rest = divmod(int(seconds / grain + 0.5) * grain, 60)
    hours, minutes = divmod(minutes, 60)
    return " ".join(f"{count} {unit}" for count, unit in ((hours, "h"), (minutes, "min"), (rest, "s")) if count)


def named(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    listed = list(names)
    return ", ".join(listed[:NAMED]) + (f" and {len(listed) - NAMED} more" if len(listed) > NAMED else "")
