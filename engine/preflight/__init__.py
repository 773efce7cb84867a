"""Looks for trouble in a dataset before any training time is spent. Findings are data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..core.datasets.dataset import Dataset, LeftOut
from ..core.protocol.config import TrainConfig
from ..core.protocol.events import Finding
from ..training.data.view_files import Seen, ViewFiles
from ..training.requirements import guided
from .contact_sheet import contact_sheet
from .image_checks import check_images
from .image_stats import ImageStats, Unreadable, measure_images
from .label_checks import LabelCover, check_labels
from .left_out import check_left_out, maps_wanted, unusable_maps, without_unusable
from .map_checks import MapMeaning
from .mask_checks import check_masks
from .neighbour_checks import check_neighbours
from .point_checks import check_points, sampled
from .pose_checks import check_completeness, check_directions, check_lenses, check_placement, without_unsound
from .reprojection_checks import check_reprojection

SERIOUS_FIRST = ("error", "warning", "info")


@dataclass(frozen=True)
class Check:
    """The findings of a check, and the measures of all images."""

    dataset: Dataset
    usable: Dataset
    """the dataset without what cannot be used of it"""
    findings: tuple[Finding, ...]
    all_stats: tuple[ImageStats, ...]
    unreadable: tuple[Unreadable, ...]

    @property
    def pointless(self) -> bool:
        """Whether training on the dataset would be pointless: there is a finding of severity "error"."""
        return any(finding.severity == "error" for finding in self.findings)

    def sheet(self) -> np.ndarray:
        """The contact sheet, uint8 [H, W, 3]."""
        held_out = {view.name for view in self.dataset.eval_views}
        all_stats = {stats.view.name: stats for stats in self.all_stats}
        return contact_sheet([view.name for view in self.dataset.views], all_stats, self.findings, held_out)


def check(dataset: Dataset, tick: Callable[[], None] = lambda: None, seen: Seen = lambda _: None,
          config: TrainConfig = TrainConfig()) -> Check:  # noqa: B008 (a frozen default)
    """Everything suspicious about a dataset for a training with these settings; severity "error" means that it would be pointless.

    Reads every image, which takes as long as loading them; `tick` is called for each, `seen` with the decoded files. What cannot be used
    is left out of `usable`, which is what is looked at further, and what a training goes on with.
    """
    wanted, meaning = maps_wanted(dataset, guided(config, dataset)), MapMeaning.of(dataset)
    cover = LabelCover()

    def bad_maps(files: ViewFiles) -> list[LeftOut]:
        lost = unusable_maps(files, wanted, meaning)
        if wanted.surfaces and not any(each.part == "labels" for each in lost):
            cover.look(files)
        return lost

    found = measure_images(dataset.views, tick, seen, bad_maps)
    all_stats, unreadable = found.all_stats, found.unreadable
    usable = without_unsound(without_unusable(dataset, unreadable, found.masks, found.maps))
    findings = [*check_left_out(usable, unreadable, config.anyway), *check_completeness(usable, config.anyway),
                *check_images(all_stats, unreadable), *check_masks(dataset.views, found.masks),
                *check_labels(dataset, cover)]
    if usable.views:
        used = {view.name for view in usable.views}
        findings += _check_geometry(usable, [stats for stats in all_stats if stats.view.name in used])
    findings.sort(key=lambda finding: SERIOUS_FIRST.index(finding.severity))
    return Check(dataset, usable, tuple(findings), tuple(all_stats), tuple(unreadable))


def _check_geometry(dataset: Dataset, all_stats: list[ImageStats]) -> list[Finding]:
    """Findings that need valid poses: placement, lenses, points, and images compared with their neighbours."""
    placed = [*check_placement(dataset), *check_lenses(dataset.views)]
    if any(finding.severity == "error" for finding in placed):
        return placed
    if not dataset.points:
        return [*placed, *check_points(dataset), *check_directions(dataset.views), *check_neighbours(all_stats, None, dataset.rendered)]
    points = sampled(dataset.points)
    agreeing = check_reprojection(all_stats, points)
    if any(finding.kind in ("convention", "outside") for finding in agreeing):  # nothing follows from such poses
        return agreeing
    return [*placed, *agreeing, *check_points(dataset), *check_neighbours(all_stats, points, dataset.rendered)]


def check_dataset(dataset: Dataset, tick: Callable[[], None] = lambda: None, seen: Seen = lambda _: None) -> list[Finding]:
    """The findings of check()."""
    return list(check(dataset, tick, seen).findings)
