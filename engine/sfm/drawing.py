"""The report as one image: the scene from above and from the side, and the photos that are not registered."""

from __future__ import annotations

import textwrap
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..core.cameras.camera import Camera
from ..core.datasets.dataset import Dataset
from ..core.datasets.poses_report import Gap, PosesReport, UnregisteredPhoto
from ..core.errors import UserError
from ..core.files import replacing
from .photos import open_photo

WIDE_FONTS = ("Noto Sans CJK JP", "Noto Sans CJK SC", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic", "Hiragino Sans", "PingFang SC",
              "Apple SD Gothic Neo", "Arial Unicode MS", "WenQuanYi Zen Hei", "Droid Sans Fallback")
MOST_POINTS = 20_000
MOST_THUMBNAILS = 12
MANY = 20
"""Cameras from which on they are drawn smaller."""
COLUMNS = 6
CAMERA, MISSING, INK, PAPER = "#d1495b", "#edae49", "#22313f", "#ffffff"
KEPT = 97.0
"""Percent of the points that lie within the drawn area."""


def draw(report: PosesReport, dataset: Dataset, photos: Path, path: Path) -> None:
    """Write the image of a report as PNG. `photos` is the folder that the names of unregistered photos refer to."""
    from matplotlib import rc_context

    with rc_context({"font.family": _fonts()}):
        _draw(report, dataset, photos, path)


def _draw(report: PosesReport, dataset: Dataset, photos: Path, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = report.unplaced[:MOST_THUMBNAILS]
    rows = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(14, 7.6 + 2.4 * rows), facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(1 + rows, COLUMNS, height_ratios=[7.0, *[2.4] * rows])
    figure.suptitle(_title(report), color=INK, fontsize=15)
    plan, side = figure.add_subplot(grid[0, :3]), figure.add_subplot(grid[0, 3:])
    _view(plan, dataset, report, (0, 1), "from above")
    _view(side, dataset, report, (0, 2), "from the side")
    if report.gap:
        _draw_gap(plan, report.gap, report, dataset)
    for index, photo in enumerate(shown):
        _thumbnail(figure.add_subplot(grid[1 + index // COLUMNS, index % COLUMNS]), photo, photos)
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(temporary, format="png", dpi=100)


def _fonts() -> list[str]:
    """Matplotlib's own, and what this computer has for names in other alphabets."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in WIDE_FONTS if name in installed)]


def _title(report: PosesReport) -> str:
    more = len(report.unplaced) - MOST_THUMBNAILS
    hidden = f"; {more} that are not registered are not shown" if more > 0 else ""
    return (f"{len(report.placed)} of {report.photos} photos are registered, {report.points:,} points, "
            f"reprojection error {report.reprojection_error:.2f} pixels{hidden}")


def _view(axes: Any, dataset: Dataset, report: PosesReport, plane: tuple[int, int], title: str) -> None:
    """Points and cameras projected onto two world axes."""
    positions, colors = _points(dataset)
    axes.scatter(*positions[:, list(plane)].T, s=2.0, c=colors, linewidths=0)
    cameras = [view.camera for view in dataset.views]
    size = 0.05 * _extent(dataset) * min(1.0, (MANY / len(cameras)) ** 0.5)
    for camera in cameras:
        axes.plot(*_frustum(camera, size)[:, list(plane)].T, color=CAMERA, linewidth=1.0)
    low, high = _bounds(dataset)
    axes.set(xlim=(low[plane[0]], high[plane[0]]), ylim=(low[plane[1]], high[plane[1]]), aspect="equal", title=title)
    axes.set_facecolor("#f3f4f6")
    axes.set_xticks([])
    axes.set_yticks([])
    _label(axes, dataset, report.gap, plane)


def _points(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Some of the points [N, 3], and their colours [N, 3] from 0 to 1."""
    if dataset.points is None or not len(dataset.points):
        return np.empty((0, 3)), np.empty((0, 3))
    step = -(-len(dataset.points) // MOST_POINTS)
    return dataset.points.positions[::step], dataset.points.colors[::step] / 255


def _places(dataset: Dataset) -> np.ndarray:
    return np.array([view.camera.position for view in dataset.views])


def _bounds(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Corners of a box around all cameras and nearly all points, with a margin."""
    places, points = _places(dataset), _points(dataset)[0]
    seen = np.percentile(points, [100 - KEPT, KEPT], axis=0) if len(points) else places
    everything = np.concatenate([places, seen])
    low, high = everything.min(axis=0), everything.max(axis=0)
    margin = 0.12 * max(float((high - low).max()), 1e-6)
    return low - margin, high + margin


def _extent(dataset: Dataset) -> float:
    low, high = _bounds(dataset)
    return float((high - low).max())


def _frustum(camera: Camera, size: float) -> np.ndarray:
    """A line [12, 3] that draws a camera: its image plane and the rays through its corners."""
    half = np.array([camera.width / camera.fl_x, camera.height / camera.fl_y]) / 2
    corners = [(x * half[0], y * half[1], -1) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    local = [corner for first, second in pairwise([*corners, corners[0]]) for corner in ((0, 0, 0), first, second)]
    return camera.position + size * np.array(local) @ camera.camera_to_world[:3, :3].T


def _label(axes: Any, dataset: Dataset, gap: Gap | None, plane: tuple[int, int]) -> None:
    """Write the names of a few photos, and of those at the ends of a gap, beside their cameras."""
    step = max(1, len(dataset.views) // 8)
    ends = {Path(name).stem for name in (gap.first, gap.second)} if gap else set()
    for view in (view for number, view in enumerate(dataset.views) if number % step == 0 or Path(view.name).stem in ends):
        place = view.camera.position[list(plane)]
        axes.annotate(Path(view.name).stem, place, xytext=(4, 4), textcoords="offset points", fontsize=7, color=INK, parse_math=False)


def _draw_gap(axes: Any, gap: Gap, report: PosesReport, dataset: Dataset) -> None:
    """The empty angle as a wedge around the middle of the scene."""
    from matplotlib.patches import Wedge

    middle = np.array(report.centre[:2])
    radius = float(np.median(np.linalg.norm(_places(dataset)[:, :2] - middle, axis=1)))
    axes.add_patch(Wedge(tuple(middle), radius, gap.start, gap.start + gap.degrees, facecolor=MISSING, alpha=0.25, edgecolor=MISSING))
    angle = np.radians(gap.start + gap.degrees / 2)
    place = middle + 0.7 * radius * np.array([np.cos(angle), np.sin(angle)])
    axes.annotate(f"{gap.degrees:.0f}° without photos", place, ha="center", fontsize=9, color=INK, annotation_clip=True)


def _thumbnail(axes: Any, photo: UnregisteredPhoto, photos: Path) -> None:
    """A photo without a camera, its name and why."""
    try:
        image = open_photo(photos / photo.name, 320).convert("RGB")
        image.thumbnail((320, 320))
        axes.imshow(np.asarray(image))
    except UserError:
        axes.text(0.5, 0.5, "unreadable", ha="center", va="center", color=INK, transform=axes.transAxes)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(textwrap.shorten(photo.name, 30), fontsize=8, color=CAMERA, parse_math=False)
    first = photo.reason.split(". ")[0]
    axes.set_xlabel(textwrap.fill(textwrap.shorten(first, 96), 34), fontsize=7, color=INK, parse_math=False)
