"""Findings about the start points, and about how much of the surface the cameras see."""

from __future__ import annotations

import numpy as np

from ..core.datasets.dataset import Dataset, PointCloud
from ..core.datasets.view_coverage import NEEDED, inside_view, suggested_poses, view_counts
from ..core.errors import values
from ..core.protocol.events import Finding
from . import thresholds as limit

AGAIN = "Capture it again with start points, or add a points3d.ply."


def check_points(dataset: Dataset) -> list[Finding]:
    """Start points: there, enough, spread, coloured, and seen. Poses must be sound."""
    points = dataset.points
    if points is None or not len(points):
        return [Finding("info", "The dataset has no start points; training starts from random ones and needs longer.", AGAIN, "no_points",
                        fixes=("recapture",), code="preflight.no_points")]
    finite = points_of(points, np.flatnonzero(np.isfinite(points.positions).all(axis=1)))
    sample = sampled(finite)
    return [*_finite(points, finite), *_count(finite), *_spacing(finite, dataset), *_colors(finite), *_unseen(sample, dataset),
            *_weakly_seen(sample, dataset)]


def points_of(points: PointCloud, rows: np.ndarray) -> PointCloud:
    """The points of some rows."""
    return PointCloud(points.positions[rows], points.colors[rows])


def sampled(points: PointCloud) -> PointCloud:
    """At most about SAMPLE_POINTS finite points, evenly chosen."""
    rows = np.flatnonzero(np.isfinite(points.positions).all(axis=1))
    return points_of(points, rows[:: max(1, len(rows) // limit.SAMPLE_POINTS)])


def _finite(points: PointCloud, finite: PointCloud) -> list[Finding]:
    broken = len(points) - len(finite)
    return [Finding("warning", f"{broken} of {len(points)} start points have NaN or infinite positions; they are left out.", AGAIN,
                    "broken_points", float(broken),
                    code="preflight.broken_points", values=values(count=broken, total=len(points)))] if broken else []


def _count(points: PointCloud) -> list[Finding]:
    if not 0 < len(points) < limit.FEWEST_POINTS:
        return []
    return [Finding("warning", f"There are only {len(points)} start points; fine parts will be found late or not at all.",
                    "Capture again with more start points, or check the reconstruction.", "few_points", float(len(points)),
                    fixes=("recapture",), code="preflight.few_points", values=values(count=len(points)))]


def _spacing(points: PointCloud, dataset: Dataset) -> list[Finding]:
    """Points in one blob, on top of each other, or far from everything."""
    if len(points) < limit.FEWEST_COMPARED_POINTS:
        return []
    positions = points.positions.astype(np.float64)
    away = np.linalg.norm(positions - np.median(positions, axis=0), axis=1)
    usual, cameras = float(np.median(away)), np.stack([view.camera.position for view in dataset.views])
    distance = float(np.median(np.linalg.norm(cameras - np.median(positions, axis=0), axis=1)))
    if usual < limit.TINY_EXTENT * distance:
        return [Finding("warning", f"The start points lie in one spot: they span {usual / distance:.1%} of the cameras' distance.",
                        "Check that points and poses have the same unit.", "tiny_extent", usual / distance,
                        code="preflight.tiny_extent", values=values(share=usual / distance))]
    far, twice = float((away > limit.FAR_DISTANCE * usual).mean()), 1.0 - len(np.unique(positions, axis=0)) / len(points)
    findings = []
    if far > limit.FAR_POINTS:
        findings.append(Finding("warning", f"{far:.0%} of the start points lie far away from all others.",
                                "Remove outliers from the points, or check the reconstruction.", "far_points", far,
                                code="preflight.far_points", values=values(share=far)))
    if twice > limit.SAME_POINT:
        findings.append(Finding("warning", f"{twice:.0%} of the start points lie on top of others.", "Remove points that are there twice.",
                                "same_points", twice, code="preflight.same_points", values=values(share=twice)))
    return findings


def _colors(points: PointCloud) -> list[Finding]:
    if len(points) < limit.FEWEST_COMPARED_POINTS or points.colors.std(axis=0).max() >= limit.ONE_COLOR:
        return []
    return [Finding("info", "All start points have the same colour; training has to find the colours.", AGAIN, "point_colors",
                    code="preflight.point_colors")]


def _unseen(points: PointCloud, dataset: Dataset) -> list[Finding]:
    """Points in no camera's image. When no camera sees any point, reprojection_checks reports it instead."""
    seen = np.zeros(len(points), bool)
    for view in dataset.views:
        seen |= inside_view(view.camera, points.positions.astype(np.float64))[0]
    outside = 1.0 - float(seen.mean()) if len(points) else 0.0
    if not limit.POINTS_OUTSIDE < outside < 1.0:
        return []
    return [Finding("warning", f"{outside:.0%} of the start points are seen by no camera.", "Check that poses and points belong together.",
                    "unseen_points", outside, code="preflight.unseen_points", values=values(share=outside))]


def _weakly_seen(points: PointCloud, dataset: Dataset) -> list[Finding]:
    """Parts of the surface that too few training cameras see, and where cameras would help."""
    cameras = [view.camera for view in dataset.train_views]
    positions = points.positions.astype(np.float64)
    counts = view_counts(positions, cameras)
    weak = float((counts[counts > 0] < NEEDED).mean()) if counts.any() else 0.0
    if weak <= limit.WEAK_SHARE or len(cameras) < limit.FEWEST_COMPARED:
        return []
    poses = suggested_poses(positions, counts, cameras)
    return [Finding("warning", f"{weak:.0%} of the surface is seen by fewer than {NEEDED} training cameras.", _where(poses, positions),
                    "coverage", round(weak, 3), fixes=("cover",),
                    code="preflight.coverage", values=values(share=weak, needed=NEEDED, where=_where(poses, positions)))]


def _where(poses: list[np.ndarray], positions: np.ndarray) -> str:
    """In which directions the suggested cameras stand, in words."""
    directions = dict.fromkeys(_direction(pose[:3, 3] - np.median(positions, axis=0)) for pose in poses)
    return f"Add images from {', '.join(directions)}." if directions else "Add images that show these parts."


def _direction(offset: np.ndarray) -> str:
    """The main axis of an offset [3] in Blender's world."""
    axis = int(np.abs(offset).argmax())
    names = (("the left (-X)", "the right (+X)"), ("the front (-Y)", "the back (+Y)"), ("below", "above"))
    return names[axis][int(offset[axis] > 0)]
