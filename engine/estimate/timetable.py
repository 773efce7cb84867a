"""A training that fits into the minutes that were named: its resolution, steps and Gaussians by the forecast."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..core.datasets.dataset import Dataset
from ..core.errors import values
from ..core.protocol.config import LONG, SHORTEST, TrainConfig
from ..core.protocol.course import turned
from ..core.protocol.events import Finding
from ..core.protocol.progress import ignore_progress
from ..training.backend import BackendName, Model
from ..training.engines import create_model
from ..training.pace import Costs
from ..training.requirements import GUIDES, settled
from .fit import Fitting, bisected
from .forecast import Forecast
from .probe import BRIEF, THOROUGH, Tick, probe
from .usual_probe import usual_probe

SIDE, SIDE_GROWS = 320, 0.27
STEPS, STEPS_GROW = 1000, 0.46
"""Resolution and steps of a training of size 1, a quick look, and the powers of the size with which they grow: where the time becomes
ten times as long, pixels become three and a half times as many, and steps three times."""

SIZES = (0.02, 50_000.0)
"""The smallest and the largest training."""

RATES = ("lr_means", "lr_scales", "lr_opacities", "lr_quats", "lr_sh0")
COURSE_OF_RATES: tuple[tuple[float, dict[str, float]], ...] = ((600, SHORTEST), (3_000, {}), (15_000, LONG))
"""Steps for which the RATES of the presets were chosen, beside the usual ones; between them their weighted geometric mean holds."""

MEASURED = 6
"""Times that a training is measured on its way."""

LATE = 1.2
"""Times the minutes from which on a training counts as not to be fitted into them."""

PROBED_SIDE = 640
"""Pixels of the largest pictures that are tried."""

PATIENT_MINUTES = 5.0
"""From so many on there is time for a thorough probe."""


@dataclass(frozen=True)
class Timetable:
    """Settings that fit into the minutes, what their steps cost, and the seconds that the end takes."""

    config: TrainConfig
    costs: Costs
    ending: float
    seconds: float
    """that it takes by the forecast, from the start of the engine to the result"""

    @property
    def finding(self) -> Finding:
        """What was chosen, in words."""
        config = self.config
        if self.seconds > LATE * 60 * config.minutes:
            seconds, minutes = self.seconds, config.minutes
            return Finding("warning", f"Even the smallest training takes about {seconds:.0f} s here, more than the {minutes:.2g} min.",
                           "Allow more minutes, or train on a faster computer.", "time", seconds,
                           code="estimate.short_time", values=values(seconds=seconds, minutes=minutes))
        minutes, steps, pixels, splats = config.minutes, config.max_steps, config.resolution, config.max_gaussians
        return Finding("info", f"Within {minutes:.1f} min: {steps} steps, images of {pixels} pixels, at most {splats} splats.",
                       "The steps change on the way when the computer is slower or faster than it was found to be.",
                       code="estimate.timetable", values=values(minutes=minutes, steps=steps, pixels=pixels, splats=splats))


def probed_timetable(dataset: Dataset, config: TrainConfig, engine: BackendName, folder: Path, tick: Tick = lambda: None,
                     make_model: Callable[..., Model] = create_model) -> Timetable:
    """Try some steps, with files in `folder` for a moment, and find the training that fits."""
    effort = THOROUGH if config.minutes >= PATIENT_MINUTES else BRIEF
    found = probe(dataset, tried_settings(config, dataset, engine), engine, folder, ignore_progress, tick, make_model, effort)
    return timetable(dataset, config, Forecast(found), engine, found.seconds)


def tried_settings(config: TrainConfig, dataset: Dataset, engine: BackendName) -> TrainConfig:
    """What a probe tries: the settled settings, where minutes are named those that may come out, but for their largest pictures."""
    if not config.minutes:
        return settled(config, dataset, engine)
    guess = usual_timetable(dataset, config, engine).config
    return replace(guess, resolution=min(guess.resolution, PROBED_SIDE))


def usual_timetable(dataset: Dataset, config: TrainConfig, engine: BackendName) -> Timetable:
    """By sizes alone, as on an ordinary computer."""
    small = settled(sized(config, 1.0, SIDE), dataset, engine)
    return timetable(dataset, config, Forecast(usual_probe(dataset, small, engine)), engine)


def timetable(dataset: Dataset, config: TrainConfig, forecast: Forecast, engine: BackendName, gone: float = 0.0) -> Timetable:
    """The largest training that by the forecast ends within the minutes, of which some seconds are gone, and within memory; else the
    smallest. A plan that was made already stays."""
    chosen = config if config.course else largest(dataset, config, forecast, engine, gone)
    ending = forecast.ending(chosen, float(forecast.most_gaussians(chosen)))
    return Timetable(chosen, tuple(forecast.costs(chosen)), ending, forecast.estimate(chosen).seconds)


def largest(dataset: Dataset, config: TrainConfig, forecast: Forecast, engine: BackendName, gone: float) -> TrainConfig:
    """As timetable() chooses."""
    minutes, fitting = max(1e-3, config.minutes - gone / 60), Fitting(forecast)

    def of_size(power: float) -> TrainConfig:
        return settled(sized(config, math.exp(power), forecast.longest_side), dataset, engine)

    chosen = of_size(bisected(lambda power: not fitting.shortfalls(replace(of_size(power), max_minutes=minutes)), *map(math.log, SIZES)))
    as_asked = {name: getattr(config, name) for name in ("guides", *GUIDES, "alpha_weight")}  # maps may turn out to be unusable
    return replace(chosen, course=turned("", 0, 0, chosen.max_steps), **as_asked)


def sized(config: TrainConfig, size: float, longest_side: int) -> TrainConfig:
    """The training of a size; photos of `longest_side` pixels are never enlarged."""
    steps = max(100, round(STEPS * size**STEPS_GROW))
    return replace(config, resolution=max(16, min(longest_side, round(SIDE * size**SIDE_GROWS))), max_steps=steps, schedule_steps=0,
                   refine_every=max(25, min(100, steps // 10)), eval_every=max(500, steps // MEASURED), **rates(config, steps))


def rates(config: TrainConfig, steps: int) -> dict[str, float]:
    """Learning rates for so many steps, and the SH degree of long trainings; what the settings have of their own stays."""
    usual = [name for name in RATES if getattr(config, name) in [_rate(name, known) for _, known in COURSE_OF_RATES]]
    places = [math.log(place) for place, _ in COURSE_OF_RATES]
    found = {name: math.exp(np.interp(math.log(steps), places, [math.log(_rate(name, known)) for _, known in COURSE_OF_RATES]))
             for name in usual}
    long = steps >= COURSE_OF_RATES[-1][0] and config.sh_degree == TrainConfig.sh_degree
    return found | ({"sh_degree": LONG["sh_degree"]} if long else {})


def _rate(name: str, known: dict[str, float]) -> float:
    return known[name] if name in known else getattr(TrainConfig, name)
