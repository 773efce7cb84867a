"""Whether depth and normal maps mean what a training takes them for: the scene's unit, and the world's axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.cameras.camera import Camera
from ..core.datasets.dataset import Dataset, LeftOut, Part
from ..core.datasets.labels import read_labels
from ..core.errors import UserError
from ..core.text import phrase
from ..training.data.view_files import ViewFiles
from .point_checks import sampled

FARTHEST = 3.0
"""Times that a view's depth may be larger than what its start points say, or smaller: wrong units are off by a thousand."""

FACING = 0.6
"""Share of a view's normals that must face its camera: in the world nearly all do, in the camera's axes as many as chance has it."""

FEWEST = 20
"""Start points in front of a camera, or known pixels, from which on a comparison means something."""

SPOILED = 0.1
"""Of the views with maps; where more are wrong, those that happen to look right are no better."""

SAMPLES = 64
"""Pixels of each row and column that are looked at."""


@dataclass(frozen=True)
class MapMeaning:
    """Compares the maps of a view with start points, [N, 3], and with its camera."""

    points: np.ndarray
    numbers: frozenset[int] | None = None
    """labels that the dataset names; None where it names none"""

    @staticmethod
    def of(dataset: Dataset) -> MapMeaning:
        """With a sample of the dataset's start points, where it has some."""
        return MapMeaning(sampled(dataset.points).positions if dataset.points else np.zeros((0, 3)), _named_numbers(dataset))

    def trouble(self, files: ViewFiles, part: Part) -> str:
        """Half a sentence about what a readable map means; empty where nothing is wrong."""
        if part == "depth" and files.depth is not None:
            return self._depth_trouble(files.depth, files.view.camera)
        if part == "normals" and files.normals is not None:
            return normals_trouble(files.normals, files.view.camera)
        if part == "labels" and files.labels is not None:
            return self._labels_trouble(files.labels)
        return ""

    def _labels_trouble(self, labels: np.ndarray) -> str:
        unknown = sorted({*np.unique(labels).tolist()} - {0} - self.numbers) if self.numbers is not None else []
        if not unknown:
            return ""
        return phrase(f"its labels have numbers that labels.json does not name: {', '.join(map(str, unknown[:5]))}")

    def _depth_trouble(self, depth: np.ndarray, camera: Camera) -> str:
        step = max(1, min(depth.shape) // SAMPLES)
        seen = depth[::step, ::step]
        seen = seen[seen > 0]
        pixels, distances = camera.project(self.points)
        shown = distances[(distances > camera.near) & ((pixels >= 0) & (pixels < [camera.width, camera.height])).all(axis=1)]
        if min(len(seen), len(shown)) < FEWEST:
            return ""
        said, known = float(np.median(seen)), float(np.median(shown))
        if known / FARTHEST < said < known * FARTHEST:
            return ""
        return phrase(f"its depth says {said:.3g}, the start points {known:.3g}: depth maps hold thousandths of the scene's unit")


def _named_numbers(dataset: Dataset) -> frozenset[int] | None:
    """Numbers that labels.json names; None where there is none, or it is damaged, which check_labels() says."""
    try:
        return frozenset(label.number for label in read_labels(dataset.labels_file)) if dataset.labels_file else None
    except UserError:
        return None


def normals_trouble(normals: np.ndarray, camera: Camera) -> str:
    """Half a sentence where most normals [h, w, 3] point away from the camera."""
    height, width = normals.shape[:2]
    step = max(1, min(height, width) // SAMPLES)
    rows, columns = (axis.ravel() for axis in np.mgrid[:height:step, :width:step])
    sample = normals[rows, columns]
    known = (sample**2).sum(axis=1) > 0
    if known.sum() < FEWEST:
        return ""
    pixels = np.column_stack([(columns + 0.5) * camera.width / width, (rows + 0.5) * camera.height / height])[known]
    rays = camera.unproject(pixels, np.ones(len(pixels))) - camera.position
    facing = float(((sample[known] * rays).sum(axis=1) < 0).mean())
    if facing >= FACING:
        return ""
    return phrase(f"{100 * (1 - facing):.0f} % of its normals point away from the camera: normal maps are in the world's axes")


def with_spoiled(dataset: Dataset, lost: Sequence[LeftOut]) -> list[LeftOut]:
    """All maps that are not used: those that are lost, of which the misread take the others of their kind along where they are many."""
    found = list(lost)
    for part in ("depth", "normals"):
        wrong = [each for each in lost if each.part == part and each.misread]
        mapped = [view.name for view in dataset.views if (view.depth if part == "depth" else view.normals)]
        if len(wrong) <= SPOILED * len(mapped):
            continue
        known = {each.name for each in found if each.part == part}
        found += [replace(wrong[0], name=name) for name in mapped if name not in known]
    return found
