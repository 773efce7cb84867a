"""Looks for trouble in a dataset before any training time is spent. Findings are data."""

from __future__ import annotations

import numpy as np

from ..core.dataset import Dataset, View
from ..core.errors import UserError
from ..core.events import Finding
from ..training.images import read_image

FEWEST_VIEWS = 3
DARKEST_MEAN = 2.0
"""An image whose mean value (0 to 255) is lower shows nothing."""

SAME_PLACE = 1e-6
"""Cameras closer than this share of the scene's size stand on one spot."""

POINTS_OUTSIDE = 0.5
"""Warn when more than this share of the start points is seen by no camera."""

SAMPLE_POINTS = 2000


def check_dataset(dataset: Dataset) -> list[Finding]:
    """Everything suspicious about a dataset; severity "error" means that training would be pointless."""
    return [*check_completeness(dataset), *check_images(dataset.views), *check_poses(dataset), *check_points(dataset)]


def check_completeness(dataset: Dataset) -> list[Finding]:
    """Enough views, and none missing."""
    if len(dataset.views) < FEWEST_VIEWS:
        return [Finding("error", f"The dataset has {len(dataset.views)} images; training needs at least {FEWEST_VIEWS}.",
                        "Add images from other sides, 30 or more for a good result.")]
    if not dataset.complete:
        return [Finding("warning", f"The dataset is not complete: {len(dataset.views)} images are there.",
                        "Train with what is there, or capture it again.")]
    return []


def check_images(views: tuple[View, ...]) -> list[Finding]:
    """Images that cannot be read or show nothing."""
    findings, dark = [], []
    for view in views:
        try:
            image = read_image(view.image)
        except UserError as error:
            findings.append(Finding("error", error.message, error.hint))
            continue
        if image[::4, ::4, :3].mean() < DARKEST_MEAN:
            dark.append(view.name)
    if dark:
        severity = "error" if len(dark) == len(views) else "warning"
        findings.append(Finding(severity, f"{len(dark)} of {len(views)} images are black: {', '.join(dark[:3])}.",
                                "Check lights and exposure, then capture again, or remove these images."))
    return findings


def check_poses(dataset: Dataset) -> list[Finding]:
    """Cameras that all stand on one spot teach no depth."""
    positions = np.stack([view.camera.position for view in dataset.views])
    spread = np.linalg.norm(positions - positions.mean(axis=0), axis=1).max()
    size = max(1e-9, float(np.abs(positions).max()))
    if len(positions) >= FEWEST_VIEWS and spread < SAME_PLACE * size:
        return [Finding("error", "All cameras stand on one spot, so there is no depth to learn.", "Move the camera between the images.")]
    return []


def check_points(dataset: Dataset) -> list[Finding]:
    """Start points: there, and seen."""
    if dataset.points is None or not len(dataset.points):
        return [Finding("info", "The dataset has no start points; training starts from random ones and needs longer.", "")]
    sample = dataset.points.positions[:: max(1, len(dataset.points) // SAMPLE_POINTS)].astype(np.float64)
    sample = sample[np.isfinite(sample).all(axis=1)]
    seen = np.zeros(len(sample), bool)
    for view in dataset.views:
        pixels, depth = view.camera.project(sample)
        seen |= (depth > 0) & (pixels >= 0).all(axis=1) & (pixels <= [view.camera.width, view.camera.height]).all(axis=1)
    outside = 1.0 - float(seen.mean()) if len(sample) else 1.0
    if outside == 1.0:
        return [Finding("error", "No camera sees any of the start points: poses and points do not belong together.",
                        "Check that the axes of the poses are right, or make the dataset again.")]
    if outside > POINTS_OUTSIDE:
        return [Finding("warning", f"{outside:.0%} of the start points are seen by no camera.", "Check that poses and points belong together.")]
    return []
