"""Looks for trouble in a dataset before any training time is spent. Findings are data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from ..core.dataset import Dataset, View
from ..core.distortion import undistorted_camera
from ..core.errors import UserError
from ..core.events import Finding
from ..training.images import each_in_threads, fitted_camera, read_image

FEWEST_VIEWS = 3
DARKEST_MEAN = 2.0
"""An image whose mean value (0 to 255, of what is not transparent) is lower shows nothing."""

SAME_PLACE = 1e-6
"""Cameras closer than this share of the scene's size stand on one spot."""

SAME_TURN = 1e-6
"""Cameras whose rotation matrices differ by less look the same way."""

ROTATION_ERROR = 1e-3
"""How far the columns of a pose may be from a right-handed set of unit vectors."""

POINTS_OUTSIDE = 0.5
"""Warn when more than this share of the start points is seen by no camera."""

SAMPLE_POINTS = 2000
NAMED = 3
"""Images that are named before the rest is only counted."""


def check_dataset(dataset: Dataset, tick: Callable[[], None] = lambda: None) -> list[Finding]:
    """Everything suspicious about a dataset; severity "error" means that training would be pointless.

    Reads every image, which takes as long as loading them; `tick` is called for each.
    """
    findings = [*check_completeness(dataset), *check_poses(dataset.views)]
    if not any(finding.severity == "error" for finding in findings):  # the points are seen through sound poses only
        findings += check_points(dataset)
    return [*findings, *check_images(dataset.views, tick)]


def check_completeness(dataset: Dataset) -> list[Finding]:
    """Enough views, and none missing."""
    if len(dataset.views) < FEWEST_VIEWS:
        return [Finding("error", f"The dataset has {len(dataset.views)} images; training needs at least {FEWEST_VIEWS}.",
                        "Add images from other sides, 30 or more for a good result.")]
    if not dataset.train_views:
        return [Finding("error", "Every image of the dataset is held out, so there is none to train on.",
                        "Name some images in train_filenames of transforms.json.")]
    return [*_missing(dataset), *_interrupted(dataset)]


def _missing(dataset: Dataset) -> list[Finding]:
    if not dataset.missing:
        return []
    count, total = len(dataset.missing), len(dataset.missing) + len(dataset.views)
    return [Finding("warning", f"Images that have a camera but are not there ({count} of {total}): {_named(dataset.missing)}.",
                    "Copy them beside the others, or train without them.")]


def _interrupted(dataset: Dataset) -> list[Finding]:
    return [] if dataset.complete else [Finding("warning", f"The capture was interrupted: {len(dataset.views)} views are there.",
                                                "Train with what is there, or capture it again.")]


def check_poses(views: tuple[View, ...]) -> list[Finding]:
    """Poses that are none, and cameras that all stand on one spot or are there twice."""
    if not views:
        return []
    improper = [view.name for view in views if not _is_pose(view.camera.camera_to_world)]
    if improper:
        return [Finding("error", f"Images without a proper pose ({len(improper)} of {len(views)}): {_named(improper)}.",
                        "Remove these images, or make the poses again.")]
    positions = np.stack([view.camera.position for view in views])
    size = max(1e-9, float(np.abs(positions).max()))
    spread = np.linalg.norm(positions - positions.mean(axis=0), axis=1).max()
    if len(views) >= FEWEST_VIEWS and spread < SAME_PLACE * size:
        return [Finding("error", "All cameras stand on one spot, so there is no depth to learn.", "Move the camera between the images.")]
    twins = _twins(views, SAME_PLACE * size)
    message = f"Images with the same camera as another one ({len(twins)} of {len(views)}): {_named(twins)}."
    hint = "Check that nothing was captured twice; if the scene moved in between, the result will be blurred."
    return [Finding("warning", message, hint)] if twins else []


def _is_pose(pose: np.ndarray) -> bool:
    """Whether a matrix is finite, a rotation without mirror or scale, and a place."""
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        return False
    rotation = pose[:3, :3]
    return bool(np.abs(rotation @ rotation.T - np.eye(3)).max() < ROTATION_ERROR and np.linalg.det(rotation) > 0)


def _twins(views: tuple[View, ...], tolerance: float) -> list[str]:
    """Names of the views whose camera stands and looks like an earlier one's."""
    seen, twins = set(), []
    for view in views:
        pose = view.camera.camera_to_world
        key = (*np.round(pose[:3, 3] / tolerance).tolist(), *np.round(pose[:3, :3] / SAME_TURN).ravel().tolist())
        if key in seen:
            twins.append(view.name)
        seen.add(key)
    return twins


def check_points(dataset: Dataset) -> list[Finding]:
    """Start points: there, and seen."""
    if dataset.points is None or not len(dataset.points):
        return [Finding("info", "The dataset has no start points; training starts from random ones and needs longer.",
                        "Capture it again with start points, or add a points3d.ply.")]
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
        return [Finding("warning", f"{outside:.0%} of the start points are seen by no camera.",
                        "Check that poses and points belong together.")]
    return []


@dataclass(frozen=True)
class _Look:
    """What reading one image showed."""

    view: View
    error: UserError | None = None
    mean: float = 255.0


def check_images(views: tuple[View, ...], tick: Callable[[], None] = lambda: None) -> list[Finding]:
    """Images that cannot be read, do not fit their camera, or show nothing."""
    looks = []
    with closing(each_in_threads(_look, views)) as looked:
        for look in looked:
            tick()
            looks.append(look)
    errors = [look.error for look in looks if look.error]
    findings = [Finding("error", error.message, error.hint) for error in errors[:NAMED]]
    if len(errors) > NAMED:
        findings.append(Finding("error", f"{len(errors) - NAMED} more images cannot be used.", errors[-1].hint))
    dark = [look.view.name for look in looks if look.mean < DARKEST_MEAN]
    if dark:
        severity = "error" if len(dark) == len(views) else "warning"
        findings.append(Finding(severity, f"Black or empty images ({len(dark)} of {len(views)}): {_named(dark)}.",
                                "Check lights and exposure, then capture again, or remove these images."))
    return findings


def _look(view: View) -> _Look:
    try:
        image = read_image(view.image)
        undistorted_camera(fitted_camera(view, image))
    except UserError as error:
        return _Look(view, error)
    sample = image[::4, ::4].astype(np.float32)
    colors, weight = sample[..., :3].mean(axis=2), sample[..., 3] if image.shape[2] == 4 else np.ones(sample.shape[:2])
    return _Look(view, mean=float((colors * weight).sum() / max(1.0, float(weight.sum()))))


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
