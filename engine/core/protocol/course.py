"""The course of a training whose length was planned anew on the way: at which steps that was, and the end that was planned at each.

As text `0:2735 812:2650`: planned were 2,735 steps, and from step 812 on 2,650.
"""

from __future__ import annotations

from functools import lru_cache

COURSE = r"(0:[1-9]\d{0,8}( [1-9]\d{0,8}:[1-9]\d{0,8})*)?"
"""The form of the text."""


@lru_cache(maxsize=64)
def stretches_of(course: str) -> tuple[tuple[int, int], ...]:
    """Pairs of a step and the end that was planned at it; empty where nothing was planned anew."""
    return tuple((int(begun), int(planned)) for begun, _, planned in (part.partition(":") for part in course.split()))


def turned(course: str, planned: int, step: int, end: int) -> str:
    """The course after it was planned anew at a step; `planned` is the end that held until then."""
    return f"{course or f'0:{planned}'} {step}:{end}" if step else f"0:{end}"
