"""Values that make a splat file hard to use though it can be read: what is said about them, and which splats lie far off.

Nothing here depends on the unit of length or on where the origin is: sizes and distances count against the splats' own spread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..splats.gaussians import LARGEST_LOG_SCALE, Gaussians
from ..splats.offset import NO_OFFSET, Offset, offset_words
from .quantization import SURE

SAMPLE = 10_000
"""Rows that percentiles are taken of: more change nothing and cost time."""

FEWEST = 100
"""Among fewer splats the strange few cannot be told from the rest."""

FAR = 200.0
"""Times the spread beyond which a splat is no part of the scene: skies and backgrounds lie within a hundred."""

SEEN = 1e-6
"""The splats' areas together against the scene's, below which nothing is seen."""

ROUGH = 1e-5
"""Rounding of places against the spread that is worth a sentence."""


@dataclass(frozen=True)
class Spread:
    """Where the mass of the splats lies."""

    middle: np.ndarray  # [3] float64
    radius: float  # nineteen of twenty lie within, by their largest coordinate

    @property
    def limit(self) -> float:
        """The distance beyond which splats are far."""
        return FAR * self.radius


def spread_of(means: np.ndarray) -> Spread:
    """The middle and the radius of the mass of places [N, 3]."""
    if not len(means):
        return Spread(np.zeros(3), 0.0)
    sample = np.array(means[:: max(1, len(means) // SAMPLE)].T, np.float64, order="C")  # [3, S]: numpy is quick along long rows
    middle = np.median(sample, axis=1)
    return Spread(middle, float(np.quantile(np.abs(sample - middle[:, None]).max(axis=0), 0.95)))


def far_rows(means: np.ndarray, spread: Spread | None = None) -> np.ndarray | None:
    """Mask [N] of the few splats that lie far beyond all others, whose spread may be known; None when there are none."""
    if len(means) < FEWEST:
        return None
    spread = spread or spread_of(means)
    if not spread.radius or reach(means, spread.middle) <= spread.limit:
        return None
    return np.abs(means - spread.middle).max(axis=1) > spread.limit


def reach(means: np.ndarray, middle: np.ndarray) -> float:
    """The largest distance of a place [N, 3] from the middle, by its largest coordinate."""
    ends = [(column.min(initial=np.inf), column.max(initial=-np.inf)) for column in means.T]
    return float(np.abs(np.array(ends).T - middle).max()) if len(means) else 0.0


def without_far(gaussians: Gaussians) -> Gaussians:
    """The splats without the few that lie far beyond all others, which would take the precision of a format from the rest."""
    far = far_rows(gaussians.means)
    return gaussians if far is None else gaussians.take(~far)


def far_lost(label: str, gaussians: Gaussians) -> tuple[str, ...]:
    """A sentence about the splats that without_far leaves out."""
    far = far_rows(gaussians.means)
    if far is None:
        return ()
    return (f"{label} holds no splats far beyond all others beside fine places: {_count(int(far.sum()))} left out.",)


def size_lost(label: str, scales: np.ndarray, least: float, most: float) -> tuple[str, ...]:
    """A sentence about log scales [N, 3] beyond what a format holds; a thin side that gets thicker does not count."""
    smallest, largest = scales.min(axis=1, initial=np.inf), scales.max(axis=1, initial=-np.inf)
    wrong = int(((largest > most) | ((smallest < least) & (least > largest + np.log(0.1)))).sum())
    if not wrong:
        return ()
    return (f"{label} holds sizes from {np.exp(least):.2g} to {np.exp(most):.3g}: {wrong:,} of {len(scales):,} splats are "
            "smaller or larger and were given the nearest.",)


def notes_about(gaussians: Gaussians) -> tuple[str, ...]:
    """Sentences about splats that were read and whose values are all finite."""
    if len(gaussians) < 2:
        return ()
    spread = spread_of(gaussians.means)
    if not spread.radius:
        return ()
    if origin := _origin_note(spread):
        return origin  # too few splats for a spread
    step = max(1, len(gaussians) // SAMPLE)
    sizes = _size_notes(gaussians.scales[::step], gaussians.opacities[::step], len(gaussians), spread)
    return (*_far_note(gaussians.means, spread), *sizes)


def offset_note(offset: Offset) -> tuple[str, ...]:
    """A sentence about places that were moved near the origin."""
    if offset == NO_OFFSET:
        return ()
    return (f"Its coordinates are large: ({', '.join(offset_words(offset).split())}) was taken from them, so that single precision holds "
            "them; the offset is remembered.",)


def rounding_note(places: list[np.ndarray], rounded: np.ndarray, offset: Offset = NO_OFFSET) -> tuple[str, ...]:
    """A sentence where double-precision coordinates [N] each of x, y, z lost more than a trifle in float32 [N, 3], beside their offset."""
    if not any(column.dtype.itemsize == 8 for column in places) or not len(rounded):
        return ()
    with np.errstate(invalid="ignore", over="ignore"):
        moved = np.array([np.nanmax(np.abs(column - offset[index] - rounded[:, index]), initial=0, where=np.isfinite(rounded[:, index]))
                          for index, column in enumerate(places)])
    loss, radius = float(moved.max()), spread_of(rounded[np.isfinite(rounded).all(axis=1)]).radius
    if loss <= 0.1 * ROUGH * radius or not loss:
        return ()
    return (f"Its places are double precision: in single precision they moved by up to {1000 * loss:.3g} mm (where a unit is a metre).",)


def huge_note(scales: np.ndarray) -> tuple[str, ...]:
    """A sentence about log scales [N, 3] as they stand in a file, where lengths of them are beyond float's range."""
    huge = (scales > LARGEST_LOG_SCALE) & (scales < np.inf)
    if not huge.any():
        return ()
    return (f"{_count(int(huge.any(axis=1).sum()))} larger than numbers can be, and got the largest size: Remove Floaters takes them out.",)


def as_linear(gaussians: Gaussians) -> Gaussians:
    """Splats whose scales were written as lengths instead of logarithms; opacities too where all of them lie in 0 ... 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        changed = replace(gaussians, scales=np.log(gaussians.scales))
        if not _are_shares(gaussians.opacities):
            return changed
        shares = gaussians.opacities.clip(SURE, 1 - SURE)
        return replace(changed, opacities=np.log(shares) - np.log1p(-shares))


def _far_note(means: np.ndarray, spread: Spread) -> tuple[str, ...]:
    far = far_rows(means, spread)
    if far is None:
        return ()
    distance = np.abs(means[far] - spread.middle).max()
    return (f"{_count(int(far.sum()), 'lies', 'lie')} far beyond all others, up to {distance:,.0f} from their middle, where "
            f"{spread.radius:,.3g} holds nearly all: Remove Floaters takes them out.",)


def _origin_note(spread: Spread) -> tuple[str, ...]:
    distance = float(np.abs(spread.middle).max())
    step = float(np.spacing(np.float32(distance)))
    if step <= ROUGH * spread.radius:
        return ()
    return (f"Its splats lie {distance:,.0f} from the origin, where single precision knows places to {1000 * step:.3g} mm "
            "(where a unit is a metre): move them nearer before you export or train on.",)


def _size_notes(scales: np.ndarray, opacities: np.ndarray, count: int, spread: Spread) -> tuple[str, ...]:
    """Sentences about the sizes of `count` splats, by a sample of them."""
    largest = np.array(scales.T, np.float64, order="C").max(axis=0)
    middle = float(np.median(largest))
    if scales.min() > 0 and middle < 0.1 * spread.radius < np.exp(min(middle, 80.0)) and scales.max() < spread.radius:
        shares = " and opacities like shares" if _are_shares(opacities) else ""
        return (f"Its sizes look like lengths{shares}, not like the logarithms that splat files hold: "
                "import it again with Scales Are Linear (--linear-scales).",)
    if middle > np.log(spread.radius):
        return (f"Half of its splats are larger than the whole scene (about {np.exp(min(middle, 80.0)):.3g} in {spread.radius:.3g}).",)
    with np.errstate(under="ignore"):
        area = count * float(np.mean(np.exp(2 * np.minimum(largest - np.log(spread.radius), 40.0))))
    if area < SEEN:
        return (f"Its splats are so small (about {np.exp(middle):.3g} in a scene of {spread.radius:.3g}) that hardly any is seen.",)
    return ()


def _are_shares(opacities: np.ndarray) -> bool:
    return bool(len(opacities)) and bool(opacities.min() >= 0 and opacities.max() <= 1)


def _count(number: int, one: str = "was", many: str = "were") -> str:
    return f"{number:,} splat {one}" if number == 1 else f"{number:,} splats {many}"
