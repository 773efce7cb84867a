"""What a training will take, said at once by sizes alone, and whether the computer has it.

estimate.py tries the training and knows better; both reckon with the same forecast.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.datasets.dataset import Dataset
from ..core.errors import values
from ..core.protocol.config import TrainConfig
from ..core.protocol.estimate_text import amount
from ..core.protocol.events import Finding
from ..core.text import phrase
from ..training.backend import BackendName
from ..training.engines import likely_backend
from ..training.requirements import settled
from .fit import Fitting, misfit
from .forecast import Forecast
from .timetable import usual_timetable
from .usual_probe import usual_probe

LONG_HOURS = 4.0
"""Say how long it takes when it takes longer."""

HOPELESS = 1.5
"""A training that needs so many times the memory that it may use does not begin: figures by sizes alone are less wrong than that."""

HELP = {
    "memory": "Lower the resolution or the number of Gaussians, or close other programs.",
    "disk": "Free some space, or lower the number of Gaussians.",
    "time": "Estimate it: that tells the setting that helps.",
}
"""What helps against each kind of shortfall that sizes tell of. How much of a card is there is known to its engine alone."""


@dataclass(frozen=True)
class Needs:
    """What a training takes, by sizes alone."""

    memory: float
    """bytes of the computer's memory"""
    disk: float
    """bytes in the job folder"""
    seconds: float | None
    """None on graphics cards: between the slowest and the fastest lie worlds"""

    @property
    def sentence(self) -> str:
        """For people."""
        said = phrase(f"A training needs about {self.memory / 1e9:.1f} GB of memory and {amount(self.disk)} of disk")
        if self.seconds is None:
            return phrase(f"{said}; the graphics card decides how long it takes.")
        minutes = self.seconds / 60
        return phrase(f"{said}, and takes about {f'{minutes / 60:.1f} hours' if minutes > 90 else f'{max(1, round(minutes))} min'}.")


def budget_here(dataset: Dataset, config: TrainConfig) -> tuple[Needs, list[Finding]]:
    """What a training will take on this computer, and the findings about it; settings may leave open what it decides."""
    engine = likely_backend(config)
    decided = usual_timetable(dataset, config, engine).config if config.minutes else settled(config, dataset, engine)
    return needs(dataset, decided, engine), check_budget(dataset, decided, engine, dataset.folder)


def needs(dataset: Dataset, config: TrainConfig, engine: BackendName) -> Needs:
    """What a training with settled settings takes."""
    found = Forecast(usual_probe(dataset, config, engine)).estimate(config)
    return Needs(found.memory, found.disk, found.seconds if engine == "cpu" else None)


def check_budget(dataset: Dataset, config: TrainConfig, engine: BackendName, folder: Path) -> list[Finding]:
    """Whether memory, the disk of the job's `folder` and patience suffice; an error, with the settings that fit, where memory never can."""
    forecast = Forecast(usual_probe(dataset, config, engine), free_disk(folder))
    fitting, told = Fitting(forecast), set(HELP) if engine == "cpu" else set(HELP) - {"time"}
    lacks = [lack for lack in fitting.shortfalls(config) if lack.kind in told]
    if engine == "cpu" and any(lack.kind == "memory" and lack.needed > HOPELESS * lack.there for lack in lacks):
        return [replace(finding, severity="error") for finding in misfit(fitting, forecast, config)]
    findings = [Finding("warning", phrase(f"The training {lack.sentence}."), HELP[lack.kind], lack.kind, lack.needed,
                        code=f"estimate.{lack.kind}",
                        values=values(needed=lack.needed, there=lack.there)) for lack in lacks]
    seconds = forecast.estimate(config).seconds
    if engine == "cuda" or seconds < 3600 * LONG_HOURS or any(lack.kind == "time" for lack in lacks):
        return findings
    return [*findings, Finding("info", f"The training will take about {seconds / 3600:.0f} hours on this computer.",
                               "Lower the resolution, the steps or the number of Gaussians for a first look.", "time", seconds,
                               code="estimate.hours", values=values(seconds=seconds, hours=seconds / 3600))]


def free_disk(folder: Path) -> float | None:
    """Free bytes where `folder` is or will be; None when that is not known."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    try:
        return float(shutil.disk_usage(there).free) if there else None
    except OSError:
        return None
