"""A sound dataset to plant trouble in: a ball seen by a ring of cameras, with start points on its surface."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from PIL import Image

from engine.core.cameras.camera import Camera
from engine.core.datasets.dataset import Dataset, PointCloud
from engine.core.datasets.read import read_dataset
from engine.core.protocol.events import Finding
from engine.preflight import check_dataset
from tests.scenes import speckled_ball, write_ball_dataset

VIEWS = 16


@cache
def _rendered() -> Path:
    return write_ball_dataset(Path(mkdtemp()) / "ball", views=VIEWS, size=96, truth=speckled_ball()).folder


def sound_dataset(folder: Path) -> Dataset:
    """A copy of the ball's dataset in `folder`."""
    shutil.copytree(_rendered(), folder, dirs_exist_ok=True)
    return read_dataset(folder)


def with_camera(dataset: Dataset, index: int, **changes: object) -> Dataset:
    """One view's camera changed."""
    views = list(dataset.views)
    views[index] = replace(views[index], camera=replace(views[index].camera, **changes))  # type: ignore[arg-type]
    return replace(dataset, views=tuple(views))


def with_cameras(dataset: Dataset, change: Callable[[Camera], Camera]) -> Dataset:
    """Every camera changed."""
    return replace(dataset, views=tuple(replace(view, camera=change(view.camera)) for view in dataset.views))


def with_poses(dataset: Dataset, change: Callable[[np.ndarray], np.ndarray]) -> Dataset:
    """Every pose changed."""
    return with_cameras(dataset, lambda camera: replace(camera, camera_to_world=change(camera.camera_to_world)))


def with_points(dataset: Dataset, positions: np.ndarray, colors: np.ndarray | None = None) -> Dataset:
    """Other start points."""
    assert dataset.points
    return replace(dataset, points=PointCloud(positions.astype(np.float32), dataset.points.colors if colors is None else colors))


def moved(pose: np.ndarray, position: tuple[float, float, float] | np.ndarray) -> np.ndarray:
    """The pose at another place."""
    pose = pose.copy()
    pose[:3, 3] = position
    return pose


def repaint(dataset: Dataset, index: int, change: Callable[[np.ndarray], np.ndarray]) -> str:
    """Rewrite one image, uint8 [H, W, 4] to uint8 [H, W, 1, 3 or 4]; returns its name."""
    view = dataset.views[index]
    with Image.open(view.image) as opened:
        pixels = np.asarray(opened.convert("RGBA"))
    Image.fromarray(change(pixels)).save(view.image)
    return view.name


def tinted(*factors: float) -> Callable[[np.ndarray], np.ndarray]:
    """Scale the display values of red, green and blue (or of all)."""
    return lambda pixels: np.concatenate(
        [(pixels[..., :3] * np.array(factors)).clip(0, 255), pixels[..., 3:]], axis=2).astype(np.uint8)


def only(dataset: Dataset) -> Finding:
    """The one finding of a check."""
    findings = check_dataset(dataset)
    assert len(findings) == 1, findings
    assert findings[0].hint
    return findings[0]
