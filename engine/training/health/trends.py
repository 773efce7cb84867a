"""Checks of several measurements or refinements in a row; each returns a Finding, or None when all is well.

See checks.py for how the thresholds were found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ...core.errors import values
from ...core.protocol.config import TrainConfig
from ...core.protocol.events import Finding
from ...core.text import phrase
from ..schedule import refinement_at

IDLE = 5
"""Refinements without anything new, from the first one on, after which densification does not work."""

RUNAWAY, RUNAWAY_TIMES = 0.6, 3
"""Share of new Gaussians in so many refinements in a row that no scene needs."""

DOUBLING = 0.9
"""The same for the strategy default, which at most makes two of each. Healthy trainings come near that from few start points on (600: 98,
91, 84, 85, 70 % up to three quarters of the cap; 2,700: 91, 80, 61 %); where every gradient is enough it stays at 99, 95, 95 %."""

RUNAWAY_FROM = 0.2
"""Share of the cap that is there before the last of them: what has room does not grow without limit."""

FALLEN, RISEN = 0.7, 0.3
"""dB that held-out views have lost, and training views gained, since the best measurement, when a training overfits."""

STILL, STILL_TIMES = 0.05, 4
"""Gain in dB over so many measurements in a row below which the quality has stopped improving."""

SLOW, SLOW_TIMES, SLOW_AFTER = 0.2, 3, 4
"""Share of the usual speed, in so many measurements in a row after so many at the usual one, below which a training is slow."""

SLOW_SECONDS = 0.5
"""Shortest interval between measurements that speed is judged by."""

GROWING_TIMES = 6
"""Measurements in a row at which memory must have grown."""

GAUSSIAN_BYTES = 4000
"""Bytes of memory that each added Gaussian accounts for."""


@dataclass(frozen=True)
class Pace:
    """Time, size and used memory at one measurement."""

    step: int
    seconds: float
    count: int
    memory: float
    stage: tuple[int, int]
    """reduction and SH degree: each stage has a speed of its own"""


@dataclass(frozen=True)
class Refinement:
    """Number of Gaussians before and after a refinement, and how many changed."""

    before: int
    after: int
    changed: int


@dataclass(frozen=True)
class Measurement:
    """PSNR in dB on held-out views, and on a few of those that are trained on."""

    step: int
    held_out: float
    learned: float


def densification_idle(done: Sequence[Refinement], config: TrainConfig) -> Finding | None:
    """Refinements that never add or move a Gaussian, though there is room."""
    if len(done) < IDLE or any(each.changed for each in done) or done[-1].after >= config.max_gaussians:
        return None
    cause = phrase(f"No gradient is above grow_gradient ({config.grow_gradient:g}).") if config.strategy == "default" else (
        phrase(f"grow_rate is {config.grow_rate:g}.") if config.grow_rate * done[-1].after < 1 else
        phrase("All Gaussians are transparent."))
    return Finding("warning", f"Densification adds nothing: {len(done)} refinements have left {done[-1].after:,} Gaussians as they were. "
                   f"{cause}", "Check the strategy's settings; without new Gaussians fine detail stays blurred.", "no_densification",
                   float(len(done)),
                   code="health.nothing_added", values=values(refinements=len(done), gaussians=done[-1].after, cause=cause))


def switched_off(config: TrainConfig, count: int) -> Finding | None:
    """Settings with which no refinement ever comes, though there is room for more than the `count` Gaussians at the start."""
    possible = range(0, config.planned_steps, config.refine_every)
    if count >= config.max_gaussians or config.planned_steps < IDLE * config.refine_every or any(
            refinement_at(step, config) is not None for step in possible):
        return None
    return Finding("warning", f"Densification is off: refine_from is {config.refine_from:g}, refine_until {config.refine_until:g}.",
                   "Without new Gaussians fine detail stays blurred; set refine_until above refine_from.", "no_densification",
                   code="health.densification_off", values=values(refine_from=config.refine_from, refine_until=config.refine_until))


def runaway_growth(done: Sequence[Refinement], config: TrainConfig) -> Finding | None:
    """The number of Gaussians grows too fast in several refinements in a row, and still does with a good part of the cap there."""
    last, most = done[-RUNAWAY_TIMES:], DOUBLING if config.strategy == "default" else RUNAWAY
    if len(last) < RUNAWAY_TIMES or last[-1].before < RUNAWAY_FROM * config.max_gaussians:
        return None
    if any(each.after < (1 + most) * each.before for each in last):
        return None
    cause = phrase(f"grow_gradient is {config.grow_gradient:g}" if config.strategy == "default" else f"grow_rate is {config.grow_rate:g}")
    return Finding("warning", f"The number of Gaussians grows without limit: {last[0].before:,} have become {last[-1].after:,} in "
                   f"{RUNAWAY_TIMES} refinements; {cause}.", "Stop, and set it back to its default.", "runaway",
                   round(last[-1].after / max(1, last[0].before), 1),
                   code="health.runaway", values=values(before=last[0].before, after=last[-1].after, refinements=RUNAWAY_TIMES,
                                                        cause=cause))


def overfitting(measured: Sequence[Measurement]) -> Finding | None:
    """Held-out views that get worse while training views get better, in two measurements in a row."""
    if len(measured) < 3:
        return None
    best = max(measured[:-2], key=lambda each: each.held_out)
    if any(best.held_out - each.held_out < FALLEN or each.learned - best.learned < RISEN for each in measured[-2:]):
        return None
    return Finding("warning", f"The training is overfitting: since step {best.step} held-out views have lost "
                   f"{best.held_out - measured[-1].held_out:.1f} dB, those trained on have gained "
                   f"{measured[-1].learned - best.learned:.1f} dB.",
                   "Stop here, add photos from more sides, or lower max_gaussians and sh_degree.", "overfit",
                   round(best.held_out - measured[-1].held_out, 2), fixes=("finish",),
                   code="health.overfit", values=values(step=best.step, lost=best.held_out - measured[-1].held_out,
                                                        gained=measured[-1].learned - best.learned))


def plateaued(measured: Sequence[Measurement], config: TrainConfig) -> Finding | None:
    """The PSNR has stopped rising, at full size and after the last refinement."""
    settled = [each for each in measured if each.step > max(config.refine_until, config.half_until) * config.planned_steps]
    last = settled[-STILL_TIMES:]
    if len(last) < STILL_TIMES or max(each.held_out for each in last) - last[0].held_out > STILL:
        return None
    return Finding("info", f"The quality has stopped improving: since step {last[0].step} held-out views have gained "
                   f"{last[-1].held_out - last[0].held_out:.2f} dB.", "You can finish early; the result is kept.", "plateau",
                   round(last[-1].held_out - last[0].held_out, 3), fixes=("finish",),
                   code="health.plateau", values=values(step=last[0].step, gained=last[-1].held_out - last[0].held_out))


def slowdown(paces: Sequence[Pace]) -> Finding | None:
    """Steps that take several times as long as they did at the same size of images."""
    same = [pace for pace in paces if pace.stage == paces[-1].stage]
    if len(same) <= SLOW_TIMES + SLOW_AFTER or same[-1].seconds - same[-1 - SLOW_TIMES].seconds < SLOW_SECONDS:
        return None
    rates = [(b.step - a.step) / max(1e-9, b.seconds - a.seconds) for a, b in pairwise(same)]
    usual, count = float(np.median(rates[:-SLOW_TIMES])), float(np.median([pace.count for pace in same[:-SLOW_TIMES]]))
    share = max(rates[-SLOW_TIMES:]) / max(1e-9, usual * min(1.0, count / max(1, same[-1].count)))
    return Finding("warning", f"Steps have become slow: {rates[-1]:.1f} a second instead of {usual:.1f}.",
                   "Another program may be using the processor or the graphics card, or the computer is hot or saves its battery.",
                   "speed", round(share, 3), code="health.slow", values=values(rate=rates[-1], usual=usual)) if share < SLOW else None


def memory_growth(paces: Sequence[Pace], max_steps: int, free: float) -> Finding | None:
    """Memory that grows from measurement to measurement and will not suffice to the end. `free` bytes are left."""
    last = paces[-GROWING_TIMES:]
    held = [pace.memory - GAUSSIAN_BYTES * pace.count for pace in last]
    if len(last) < GROWING_TIMES or any(b <= a for a, b in pairwise(held)) or last[-1].step == last[0].step:
        return None
    each = (held[-1] - held[0]) / (last[-1].step - last[0].step)
    if each * (max_steps - last[-1].step) < free:
        return None
    return Finding("warning", f"The engine's memory grows by {each / 1000:.0f} kB a step and will be used up at step "
                   f"{last[-1].step + int(free / each):,}.", "Stop before that and resume: a new engine begins with little memory.",
                   "memory", round(each), code="health.memory_grows", values=values(bytes=each, step=last[-1].step + int(free / each),
                                                                                    kilobytes=each / 1000))
