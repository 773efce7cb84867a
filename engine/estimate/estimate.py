"""What a training will take on this computer: a probe is made, and the whole reckoned from it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..core.datasets.dataset import Dataset
from ..core.protocol.config import TrainConfig
from ..core.protocol.events import Estimated, Finding, error_of
from ..core.protocol.progress import OnProgress, ignore_progress
from ..preflight.left_out import check_left_out
from ..preflight.pose_checks import check_completeness, without_unsound
from ..training.backend import BackendName, Model
from ..training.engines import BackendChoice, choose_backend, create_model, device_errors
from ..training.requirements import check_demands
from .budget import free_disk
from .fit import Fitting, misfit
from .forecast import Forecast
from .probe import Tick, probe
from .timetable import timetable, tried_settings

CROWDED = 1.5
"""Load average a core from which on a computer counts as busy: what the estimate itself adds in a few seconds is less."""


def estimate(dataset: Dataset, config: TrainConfig, folder: Path, on_progress: OnProgress = ignore_progress, tick: Tick = lambda: None,
             make_model: Callable[..., Model] = create_model, choice: BackendChoice | None = None) -> tuple[Estimated, list[Finding]]:
    """Try the training for some seconds, and say what all of it takes and whether it fits.

    Files lie in `folder` for a moment, which should be on the disk of the jobs. `tick` is called before every step and may raise to
    end the probe. UserError for what would end the training at once too.
    """
    dataset = without_unsound(dataset)
    for finding in (*check_left_out(dataset, (), config.anyway), *check_completeness(dataset, config.anyway)):
        if finding.severity == "error":
            raise error_of(finding)
    choice = choice or choose_backend(config, tick)
    check_demands(config, dataset, choice.engine)
    decided = tried_settings(config, dataset, choice.engine)
    with device_errors(choice.engine):
        forecast = Forecast(probe(dataset, decided, choice.engine, folder, on_progress, tick, make_model), free_disk(folder))
    findings = [*crowded(choice.engine), *([choice.finding] if choice.hint else [])]
    if config.minutes:
        fitted = timetable(dataset, config, forecast, choice.engine)
        decided, findings = fitted.config, [*findings, fitted.finding]
    return forecast.estimate(decided), [*findings, *misfit(Fitting(forecast), forecast, decided)]


def crowded(engine: BackendName) -> list[Finding]:
    """That other programs were waiting for the processor in the last minute, where the system tells so."""
    cores = os.cpu_count() or 1
    if engine != "cpu" or not hasattr(os, "getloadavg") or os.getloadavg()[0] < cores * CROWDED:
        return []
    return [Finding("info", "Other programs keep the computer busy, so the minutes are rough: without them it is faster.",
                    "Estimate again when it has less to do.", "busy", code="estimate.computer_busy")]
