"""Whether start points, poses and images belong together: a point's colour must lie where its projection falls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.cameras.camera import FLIP_YZ, Camera
from ..core.cameras.distortion import distort
from ..core.datasets.dataset import PointCloud
from ..core.datasets.view_coverage import inside_view, seen_points
from ..core.errors import values
from ..core.protocol.events import Finding
from ..core.text import phrase
from . import thresholds as limit
from .findings import about_images
from .image_stats import ImageStats, linear

Convention = Callable[[np.ndarray], np.ndarray]
"""camera_to_world as it was read -> as it should have been read, both [4, 4]."""

_Z_UP = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])

CONVENTIONS: dict[str, Convention] = {
    "the cameras' y and z axes are flipped (OpenCV's instead of OpenGL's)": lambda pose: pose @ FLIP_YZ,
    "the poses are inverted (world to camera)": np.linalg.inv,
    "the poses are inverted (world to camera) and in OpenCV's axes": lambda pose: np.linalg.inv(pose) @ FLIP_YZ,
    "the images are upside down": lambda pose: pose @ np.diag([-1.0, -1.0, 1.0, 1.0]),
    "the poses are Y-up and the start points Z-up": lambda pose: _Z_UP @ pose,
    "the start points are Y-up and the poses Z-up": lambda pose: np.linalg.inv(_Z_UP) @ pose,
}


@dataclass(frozen=True)
class Agreement:
    """How well points fit one view."""

    inside: float
    """share of the points inside its image"""
    likeness: float
    """correlation of the points' colours with the pixels where they are seen; NaN for too few points, or no colours to compare"""


def check_reprojection(all_stats: Sequence[ImageStats], points: PointCloud) -> list[Finding]:
    """Poses in another convention than points and images, and single views that do not fit. Poses must be sound."""
    if not all_stats or not len(points):
        return []
    found = [agreement(stats, stats.view.camera, points) for stats in all_stats]
    likeness = np.array([fit.likeness for fit in found])
    blind = float(np.mean([fit.inside == 0.0 for fit in found]))
    judged = likeness[np.isfinite(likeness)]
    alike = float(np.median(judged)) if len(judged) else limit.ALIKE
    if blind <= limit.BLIND_VIEWS and alike >= limit.ALIKE:
        return _strangers(all_stats, likeness, limit.STRANGE * alike)
    if _mixed_up(all_stats, points, likeness):
        return [Finding("error", "Images and poses are mixed up: most images fit the pose of another one.",
                        "Check the order of the images, and whether they were renamed after the poses were made.", "mixed_up",
                        round(alike, 3), code="preflight.mixed_up")]
    cause = _better_convention(all_stats, points, found)
    if cause:
        return [Finding("error", f"Poses and start points do not fit the images: {cause}.",
                        "Convert the poses to Blender's and OpenGL's convention (the camera looks along -Z, +Y is up).",
                        "convention", round(alike, 3), code="preflight.convention", values=values(cause=cause))]
    return _no_cause_known(blind, alike)


def agreement(stats: ImageStats, camera: Camera, points: PointCloud) -> Agreement:
    """Compare the points with what an image shows through a camera."""
    positions = points.positions.astype(np.float64)
    inside = float(inside_view(camera, positions)[0].mean())
    rows = np.flatnonzero(seen_points(camera, positions))
    if len(rows) < limit.FEWEST_COMPARED_POINTS:
        return Agreement(inside, float("nan"))
    return Agreement(inside, _correlation(points.colors[rows].astype(np.float64), _pixels_at(stats, camera, positions[rows])))


def light_of_points(all_stats: Sequence[ImageStats], points: PointCloud) -> np.ndarray:
    """Mean linear colours [V, 3] that the points seen by each view should show; NaN where a view sees too few."""
    expected = []
    for stats in all_stats:
        rows = np.flatnonzero(seen_points(stats.view.camera, points.positions.astype(np.float64)))
        enough = len(rows) >= limit.FEWEST_COMPARED_POINTS
        expected.append(linear(points.colors[rows]).mean(axis=0) if enough else np.full(3, np.nan))
    return np.array(expected).reshape(-1, 3)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's, of colours [N, 3] around their means; NaN where either has one colour only."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    if min(a.std(), b.std()) < limit.ONE_COLOR:
        return float("nan")
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def _pixels_at(stats: ImageStats, camera: Camera, positions: np.ndarray) -> np.ndarray:
    """Colours [N, 3] of the thumbnail where points [N, 3] are seen; black where it is transparent."""
    height, width = stats.thumbnail.shape[:2]
    pixels, _ = camera.project(positions)
    if camera.distortion:
        center, focal = np.array([camera.cx, camera.cy]), np.array([camera.fl_x, camera.fl_y])
        pixels = distort((pixels - center) / focal, camera.distortion) * focal + center
    column, row = (pixels / [camera.width, camera.height] * [width, height]).clip(0, [width - 1, height - 1]).astype(int).T
    found = stats.thumbnail[row, column].astype(np.float64)
    return found[:, :3] * found[:, 3:] / 255.0


def _better_convention(all_stats: Sequence[ImageStats], points: PointCloud, now: list[Agreement]) -> str:
    """The convention that fits clearly better than the poses as they are; empty when none does."""
    fits = {name: _fit([agreement(stats, _reread(stats.view.camera, convention), points) for stats in all_stats])
            for name, convention in CONVENTIONS.items()}
    best = max(fits, key=lambda name: fits[name])
    return best if fits[best] > _fit(now) + limit.BETTER_BY else ""


def _mixed_up(all_stats: Sequence[ImageStats], points: PointCloud, likeness: np.ndarray) -> bool:
    """Whether images fit poses of others far better than their own. Judged by a few of them."""
    rows = [row for row in range(0, len(all_stats), max(1, len(all_stats) // limit.JUDGED_IMAGES)) if np.isfinite(likeness[row])]
    cameras = [stats.view.camera for stats in all_stats]
    best = [np.nanmax([agreement(all_stats[row], camera, points).likeness for camera in cameras]) for row in rows]
    better = [found >= limit.BELONGS and found > likeness[row] + limit.BETTER_BY for found, row in zip(best, rows, strict=True)]
    return len(rows) >= limit.FEWEST_COMPARED and float(np.mean(better)) > limit.MIXED_SHARE


def _reread(camera: Camera, convention: Convention) -> Camera:
    return replace(camera, camera_to_world=convention(camera.camera_to_world))


def _fit(found: list[Agreement]) -> float:
    """0 where nothing fits, 1 where every view sees every point in its colour. Without colours a view counts as just alike."""
    return float(np.mean([view.inside * float(np.nan_to_num(view.likeness, nan=limit.ALIKE)) for view in found]))


def _no_cause_known(blind: float, alike: float) -> list[Finding]:
    hint = phrase("Check that images, poses and points belong together, and that the axes of the poses are right.")
    if blind == 1.0:
        return [Finding("error", "No camera sees any of the start points: poses and points do not belong together.", hint,
                        "outside", blind, code="preflight.no_points_seen")]
    if blind > limit.BLIND_VIEWS:
        return [Finding("warning", f"{blind:.0%} of the cameras see none of the start points.", hint, "outside", blind,
                        code="preflight.blind_cameras", values=values(share=blind))]
    if alike < limit.UNLIKE:
        return [Finding("warning", "The start points do not have the colours of the images where they should be seen.", hint,
                        "disagreement", round(alike, 3), code="preflight.disagreement")]
    return []


def _strangers(all_stats: Sequence[ImageStats], likeness: np.ndarray, least: float) -> list[Finding]:
    """Views less alike than `least` while the others fit: another image, or a wrong pose."""
    rows = [row for row in np.argsort(np.nan_to_num(likeness, nan=1.0), kind="stable") if likeness[row] < least]
    measure = round(float(likeness[rows[0]]), 3) if rows else None
    return about_images("stranger", "Images that do not fit their poses", [all_stats[row].view.name for row in rows], len(all_stats),
                        "Check that images were not renamed or mixed up, or remove these.", measure=measure)
