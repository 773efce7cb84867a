"""Whether a training fits the computer and the time that it may take, and the setting that would make it fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..core.errors import values
from ..core.protocol.config import TrainConfig
from ..core.protocol.estimate_text import amount
from ..core.protocol.events import Estimated, Finding
from ..core.text import phrase, rough
from ..training.data.image_store import AHEAD, GIGABYTE
from .forecast import Forecast

MEMORY_SHARE = 0.9
"""Share of the free memory that a training may need."""

ROOM: dict[str, float] = {"max_gaussians": 0.01, "resolution": 0.1}
"""What is lowered for want of room, and the least share of it that may be left; in the order of what costs the least quality."""

TIME: dict[str, float] = {"max_gaussians": 0.2, "resolution": 0.4, "max_steps": 0.2}
"""The same for want of time."""

SUGGESTED = 0.95
"""Share of what there is that suggested settings may take: another program may need a little meanwhile."""

LACKS = {"memory": "memory", "card": "the graphics card's memory", "disk": "disk"}


@dataclass(frozen=True)
class Shortfall:
    """What does not suffice."""

    kind: str
    needed: float  # bytes or seconds
    there: float

    @property
    def sentence(self) -> str:
        """For people."""
        if self.kind == "time":
            return phrase(f"takes about {rough(self.needed)}, more than the {self.there / 60:g} min that it may")
        return phrase(f"needs about {amount(self.needed)} of {LACKS[self.kind]}, and {amount(self.there)} may be used")


class Fitting:
    """Judges settings by a forecast, and by the minutes that they allow."""

    def __init__(self, forecast: Forecast):
        self._forecast = forecast

    def shortfalls(self, config: TrainConfig, share: float = 1.0) -> list[Shortfall]:
        """What does not suffice for a training with these settings, of a share of what there is."""
        needed = self._forecast.estimate(config)
        rows = [Shortfall("memory", needed.memory, MEMORY_SHARE * needed.free_memory),
                Shortfall("card", max(needed.card, self._forecast.planned_card(config)), needed.free_card or float("inf")),
                Shortfall("disk", needed.disk, needed.free_disk or float("inf")),
                Shortfall("time", needed.seconds, config.max_minutes * 60 or float("inf"))]
        return [row for row in rows if row.needed > share * row.there]

    def mended(self, config: TrainConfig) -> TrainConfig | None:
        """Settings that fit, with as little given up as it takes; None where nothing helps."""
        lacks = {row.kind for row in self.shortfalls(config)}
        found: TrainConfig | None = config
        if lacks - {"time"}:
            found = self._lowered(config, ROOM, {"memory", "card", "disk"})
        if found is not None and any(row.kind == "time" for row in self.shortfalls(found)):
            found = self._lowered(found, TIME, {"memory", "card", "disk", "time"})
        return found

    def _lowered(self, config: TrainConfig, least: dict[str, float], kinds: set[str]) -> TrainConfig | None:
        """The settings with one of them lowered until no kind of shortfall is left, else with several; None where that is not enough."""
        wishes = {name: share * getattr(config, name) for name, share in least.items()}
        alone = {"image_memory": self._photo_memory(config), **wishes} if least is ROOM else wishes
        for name, lowest in alone.items():
            found = self._largest(config, name, lowest, kinds)
            if found is not None:
                return found
        for name, lowest in wishes.items():  # each but the last as low as it may become
            found = self._largest(config, name, lowest, kinds)
            if found is not None:
                return found
            config = replace(config, **{name: rounded(name, lowest)})
        return None

    def _photo_memory(self, config: TrainConfig) -> float:
        """Gigabytes without which photos could not be read ahead."""
        return max(0.1, AHEAD * self._forecast.photo_bytes(config) / GIGABYTE)

    def _largest(self, config: TrainConfig, name: str, least: float, kinds: set[str]) -> TrainConfig | None:
        """The settings with the largest value of one of them that leaves no shortfall of these kinds; None where even the least does."""
        def fits(value: float) -> bool:
            return not any(row.kind in kinds for row in self.shortfalls(replace(config, **{name: rounded(name, value)}), SUGGESTED))

        most = self._most(config, name)
        if most <= least or not fits(least):
            return None
        return replace(config, **{name: rounded(name, bisected(fits, least, most))})

    def _most(self, config: TrainConfig, name: str) -> float:
        match name:
            case "image_memory":
                return config.image_memory or self._forecast.all_photos(config) / GIGABYTE
            case "max_gaussians":
                return min(config.max_gaussians, self._forecast.most_gaussians(config))
            case "resolution":
                return min(config.resolution, self._forecast.longest_side)
            case _:
                return getattr(config, name)


def misfit(fitting: Fitting, forecast: Forecast, config: TrainConfig) -> list[Finding]:
    """One warning when a training does not fit, with the settings that would make it fit."""
    lacks = fitting.shortfalls(config)
    if not lacks:
        return []
    message = phrase(f"The training {', and '.join(lack.sentence for lack in lacks)}.")
    mended = fitting.mended(config)
    if mended is None:
        return [Finding("warning", message, oversized(lacks), "fit", lacks[0].needed,
                        code="estimate.oversized", values=values(**lacking(lacks)))]
    changed = [name for name in ("image_memory", *TIME) if getattr(mended, name) != getattr(config, name)]
    hint = phrase(f"Set {' and '.join(change(config, mended, name) for name in changed)}: then it {takes(forecast.estimate(mended))}.")
    settings = tuple(f"{name}={getattr(mended, name)}" for name in changed)
    return [Finding("warning", message, hint, "fit", lacks[0].needed, fixes=("settings",), settings=settings,
                    code="estimate.fit", values=values(**lacking(lacks), settings=", ".join(settings)))]


def lacking(lacks: list[Shortfall]) -> dict[str, float]:
    """By name what is needed and what there is of that which does not suffice, in bytes or seconds."""
    return {f"{lack.kind}_{name}": figure for lack in lacks for name, figure in (("needed", lack.needed), ("there", lack.there))}


def oversized(lacks: list[Shortfall]) -> str:
    """What helps where no setting does."""
    if any(lack.kind == "disk" for lack in lacks):
        return phrase("No setting makes it fit: free some disk space.")
    if all(lack.kind == "time" for lack in lacks):
        return phrase("No setting makes it as short: allow more minutes, or train on a faster computer.")
    return phrase("No setting makes it fit: close other programs, or train on a larger computer.")


def change(before: TrainConfig, after: TrainConfig, name: str) -> str:
    """One changed setting, in words."""
    old, new = (getattr(config, name) for config in (before, after))
    if name == "image_memory":
        return f"image_memory to {new:g} GB" + (f" instead of {old:g}" if old else "")
    return phrase(f"{name} to {new:,} instead of {old:,}")


def takes(needed: Estimated) -> str:
    """The figures of an estimate, in a few words."""
    card = f", {amount(needed.card)} on the graphics card" if needed.card else ""
    return phrase(f"needs about {amount(needed.memory)} of memory{card} and {rough(needed.seconds)}")


def rounded(name: str, value: float) -> float:
    """Down to two digits, as people set it; whole but for gigabytes."""
    if name == "image_memory":
        return int(value * 100) / 100
    unit = 10 ** max(0, len(str(int(value))) - 2)
    return max(1, int(value) // unit * unit)


def bisected(fits: Callable[[float], bool], least: float, most: float) -> float:
    """About the largest value that fits, where `least` does and what is larger than one that does not fit does not either."""
    for _ in range(12):
        middle = (least + most) / 2
        least, most = (middle, most) if fits(middle) else (least, middle)
    return least
