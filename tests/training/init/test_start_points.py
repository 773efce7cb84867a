"""Which start points are kept where there are more than a training may begin with."""

from __future__ import annotations

import numpy as np

from engine.core.cameras.camera import Camera
from engine.core.datasets.dataset import PointCloud
from engine.training.init.start_points import chosen_points
from tests.scenes import look_at

CAMERAS = [Camera(64, 48, 60.0, 60.0, 32.0, 24.0, look_at(np.array(place))) for place in ([4.0, 0, 1], [0, 4.0, 1], [-4.0, 0, 1])]


def cloud(*parts: np.ndarray) -> PointCloud:
    positions = np.concatenate(parts).astype(np.float32)
    return PointCloud(positions, np.zeros((len(positions), 3), np.uint8))


def test_sparse_places_keep_more_of_their_points_than_dense_ones() -> None:
    rng = np.random.default_rng(3)
    dense, sparse = rng.normal(0, 0.02, (4000, 3)), rng.uniform(-0.8, 0.8, (400, 3))
    kept = chosen_points(cloud(dense, sparse), 800, CAMERAS, np.random.default_rng(0)).positions
    far = (np.linalg.norm(kept, axis=1) > 0.1).sum()
    assert len(kept) == 800 and far > 300 and 800 - far > 100, "nine in ten would go by chance alone, and what is dense has detail"


def test_points_that_no_image_shows_go_first() -> None:
    rng = np.random.default_rng(4)
    seen, unseen = rng.uniform(-0.5, 0.5, (500, 3)), rng.uniform(-0.5, 0.5, (500, 3)) + np.array([0, 0, 50])
    kept = chosen_points(cloud(seen, unseen), 500, CAMERAS, np.random.default_rng(0)).positions
    assert (kept[:, 2] < 1).mean() > 0.95


def test_the_same_seed_chooses_the_same_and_few_points_stay_as_they_are() -> None:
    points = cloud(np.random.default_rng(5).uniform(-1, 1, (300, 3)))
    points.positions[7] = np.nan
    chosen = [chosen_points(points, 100, CAMERAS, np.random.default_rng(1)).positions for _ in range(2)]
    assert np.array_equal(*chosen) and len(chosen[0]) == 100
    assert len(chosen_points(points, 1000, CAMERAS, np.random.default_rng(1))) == 299
