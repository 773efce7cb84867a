"""The figures of an estimate as people say them."""

from __future__ import annotations

from ..text import rough
from .events import Estimated

GIGABYTE = 1e9


def amount(count: float) -> str:
    """Bytes: 1.4 GB, 230 MB."""
    return f"{count / GIGABYTE:.1f} GB" if count >= GIGABYTE else f"{count / 1e6:.0f} MB"


def sentence(found: Estimated) -> str:
    """What a training takes, how sure that is, and what it costs where the engine has a price."""
    where = "graphics card" if found.card else "processor"
    card = f", {amount(found.card)} of the graphics card's memory" if found.card else ""
    return (f"On the {where} the training takes about {rough(found.seconds)} ({rough(found.fastest)} to {rough(found.slowest)}), "
            f"{amount(found.memory)} of memory{card} and {amount(found.disk)} of disk.{price(found)}")


def price(found: Estimated) -> str:
    """What it costs, as a sentence; empty where the engine has no price."""
    if not found.price_per_hour:
        return ""
    low, middle, high = (seconds / 3600 * found.price_per_hour for seconds in (found.fastest, found.seconds, found.slowest))
    return f" It costs about {middle:.2f} {found.currency} ({low:.2f} to {high:.2f})."
