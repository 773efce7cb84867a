"""Findings about images that differ from those that were taken beside them: exposure, white balance, blur."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from ..core.datasets.dataset import PointCloud, View
from ..core.datasets.spread import strays
from ..core.protocol.events import Finding, Fix
from . import thresholds as limit
from .findings import about_images
from .image_checks import AGAIN, shows_nothing
from .image_stats import ImageStats
from .reprojection_checks import light_of_points

TURN = 2.0
"""A turn by one radian counts as much as a move by this share of the cameras' spread."""

LEAST_LIGHT = 1e-3


def check_neighbours(all_stats: Sequence[ImageStats], points: PointCloud | None, rendered: bool = False) -> list[Finding]:
    """Compare each image with its neighbours; start points tell the scene's own light from the camera's. Poses must be sound.

    Of `rendered` images alone over-exposed ones are told: in a render softness and light are the scene's own.
    """
    shown = [stats for stats in all_stats if not shows_nothing(stats)]
    if len(shown) < limit.FEWEST_COMPARED:
        return []
    nearest = nearest_views([stats.view for stats in shown])
    compare = _Comparison(shown, nearest, len(all_stats))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # neighbours that are all flat have no median
        found = compare.findings(_light(shown, points))
    return [finding for finding in found if finding.kind == "over_exposed"] if rendered else found


def nearest_views(views: Sequence[View], count: int = limit.NEIGHBOURS) -> np.ndarray:
    """Indices [V, min(count, V - 1)] of the views whose cameras are placed and turned most alike, nearest first."""
    positions = np.stack([view.camera.position for view in views])
    axes = np.stack([view.camera.camera_to_world[:3, 2] for view in views])
    others = positions[~strays(positions)]
    spread = float(np.median(np.linalg.norm(others - others.mean(axis=0), axis=1))) or 1.0
    nearest = []
    for position, axis in zip(positions, axes, strict=True):
        distance = np.linalg.norm(positions - position, axis=1) / spread + TURN * np.arccos((axes @ axis).clip(-1.0, 1.0))
        distance[len(nearest)] = -1.0
        nearest.append(np.argsort(distance, kind="stable")[1 : count + 1])
    return np.array(nearest)


def _light(all_stats: Sequence[ImageStats], points: PointCloud | None) -> np.ndarray:
    """Stops of red, green and blue [V, 3], above what the start points in view have where most views see some."""
    stops = np.log2(np.array([stats.light for stats in all_stats]) + LEAST_LIGHT)
    if points is None or not len(points):
        return stops
    own = np.log2(light_of_points(all_stats, points) + LEAST_LIGHT)
    return stops - own if np.isfinite(own).mean() > 0.5 else stops


class _Comparison:
    """Views beside their neighbours `nearest` [V, K]."""

    def __init__(self, all_stats: Sequence[ImageStats], nearest: np.ndarray, total: int):
        self.all_stats, self.nearest, self.total = all_stats, nearest, total

    def findings(self, light: np.ndarray) -> list[Finding]:
        """`light` [V, 3] in stops."""
        clipped = self._above_usual(np.array([stats.clipped for stats in self.all_stats]))
        exposure = np.abs(self._above_usual(light.mean(axis=1)))
        exposure[clipped > limit.CLIPPED] = 0.0  # said as over-exposed
        balance = np.abs(self._above_usual(light[:, [0, 2]] - light[:, [1]])).max(axis=1)
        balance[clipped > limit.CLIPPED] = 0.0
        sharpness = np.array([stats.sharpness for stats in self.all_stats])
        softer = 1.0 - sharpness / (sharpness - self._above_usual(sharpness))
        return [
            *self._outliers("over_exposed", "Over-exposed images", clipped, limit.CLIPPED, AGAIN, ("relight",)),
            *self._outliers("exposure", "Images much brighter or darker than those beside them", exposure, limit.EXPOSURE_JUMP,
                            "Lock the exposure and take them again, or remove these images."),
            *self._outliers("white_balance", "Images with other colours than those beside them", balance, limit.BALANCE_JUMP,
                            "Lock the white balance and take them again, or remove these images."),
            *self._outliers("blur", "Blurred images", softer, 1.0 - limit.BLURRED,
                            "Hold the camera still and take them again, or remove these images."),
        ]

    def _above_usual(self, values: np.ndarray) -> np.ndarray:
        """Values [V, ...] less the median of each view's neighbours; NaN counts for nothing."""
        return values - np.nanmedian(values[self.nearest], axis=1)

    def _outliers(self, kind: str, what: str, off: np.ndarray, most: float, hint: str, fixes: tuple[Fix, ...] = ()) -> list[Finding]:
        """The images that are off [V] by more than `most`, and by more than the set usually is; worst first."""
        most = max(most, limit.UNUSUAL * float(np.nanmedian(off)))
        rows = [row for row in np.argsort(-np.nan_to_num(off), kind="stable") if off[row] > most]
        measure = round(float(off[rows[0]]), 3) if rows else None
        return about_images(kind, what, [self.all_stats[row].view.name for row in rows], self.total, hint, measure=measure,
                            fixes=("exclude", *fixes, "recapture"))
