"""Posed photos as a structure from motion leaves them: a tilted floor with things on it, seen by a ring of cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.blender.conftest import module
from tests.scenes import look_at

TILT = np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]], float)
SHIFT = np.array([4.0, -3.0, 2.0])


def tilted(points: np.ndarray) -> np.ndarray:
    """Points [N, 3] of a level world in the dataset's."""
    return 0.5 * points @ TILT.T + SHIFT


def write_photos(folder: Path, count: int = 5, **changes: Any) -> Any:
    """A dataset of photos of 64 x 48 pixels; the centre of the lens is off the middle."""
    core = {name.rpartition(".")[2]: module(f"engine.core.{name}")
            for name in ("cameras.camera", "datasets.dataset", "images.png", "datasets.transforms_json")}
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    views = []
    for number in range(count):
        angle = 2 * np.pi * number / count
        pose = look_at(np.array([4 * np.cos(angle), 4 * np.sin(angle), 2.0]))
        pose[:3, :3], pose[:3, 3] = TILT @ pose[:3, :3], tilted(pose[None, :3, 3])[0]
        path = folder / "images" / f"photo {number}.png"
        core["png"].write_png(path, np.full((48, 64, 3), 40 * number + 40, np.uint8))
        values = {"width": 64, "height": 48, "fl_x": 60.0, "fl_y": 60.0, "cx": 34.0, "cy": 22.0, "camera_to_world": pose} | changes
        views.append(core["dataset"].View(path.name, path, core["camera"].Camera(**values)))
    floor = np.column_stack([rng.uniform(-3, 3, (400, 2)), np.zeros(400)])
    things = rng.uniform([-1, -1, 0], [1, 1, 1.5], (300, 3))
    positions = tilted(np.concatenate([floor, things])).astype(np.float32)
    points = core["dataset"].PointCloud(positions, rng.integers(0, 255, (700, 3)).astype(np.uint8))
    dataset = core["dataset"].Dataset(folder, tuple(views), points)
    core["transforms_json"].write_transforms(dataset)
    return dataset
