"""The end of a training that has minutes: planned anew as the computer turns out to be slower or faster than foreseen."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..core.protocol.config import TrainConfig
from ..core.protocol.course import turned
from .schedule import share_at

Costs = tuple[float, ...]
"""Seconds that a step is expected to take in equal parts of the schedule."""

LOOK_SHARE, LOOK_SECONDS = 0.03, 0.3
"""Of the time that is left, and at least, between two looks at the clock."""

WORTH = 0.02
"""Share of the steps that are left by which another end must differ to be taken."""

TRUST = 0.6
"""Share that the latest look has in how much slower than expected the computer is."""

MOST_STEPS = 1_000_000


@dataclass
class TimeKeeper:
    """Watches the clock of a training whose steps shall end after `seconds` of it."""

    seconds: float
    costs: Costs
    slowness: float | None = None
    """times that steps take longer than `costs` say; None while nothing on this computer tells"""
    seen: tuple[int, float] | None = None
    """step and seconds of the last look"""

    def end(self, step: int, seconds: float, config: TrainConfig) -> int | None:
        """The step at which a training that is at `step` after so many seconds shall end; None while it is too early to say, and where
        that is about what was planned."""
        if self.seen and not self._due(step, seconds):
            return None
        self._learn(step, seconds, config)
        if self.slowness is None:
            return None
        share = share_at(step, config)
        each = self.slowness * self._expected(share, 1.0)
        left, planned = max(0.0, self.seconds - seconds) / each, config.planned_steps - step
        end = min(MOST_STEPS, step + round(left))
        return end if abs(left - planned) > max(0.5, WORTH * planned) and end > 0 else None

    def _due(self, step: int, seconds: float) -> bool:
        assert self.seen
        return step > self.seen[0] and seconds - self.seen[1] > max(LOOK_SECONDS, LOOK_SHARE * (self.seconds - seconds))

    def _learn(self, step: int, seconds: float, config: TrainConfig) -> None:
        if self.seen:
            before, since = self.seen
            expected = (step - before) * self._expected(share_at(before, config), share_at(step, config))
            found = (seconds - since) / expected
            self.slowness = found if self.slowness is None else self.slowness + TRUST * (found - self.slowness)
        self.seen = step, seconds

    def _expected(self, begin: float, end: float) -> float:
        """Mean seconds of a step between two shares of the schedule."""
        parts = len(self.costs)
        first = min(parts - 1, int(begin * parts))
        last = max(first + 1, min(parts, round(end * parts)))
        return sum(self.costs[first:last]) / (last - first)


def planned_anew(config: TrainConfig, step: int, end: int) -> TrainConfig:
    """The settings of a training that shall end elsewhere; its schedule goes on from where it is and ends with it."""
    return replace(config, max_steps=end, course=turned(config.course, config.planned_steps, step, end))
