"""Trainings that begin with splats of the depth maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.core.datasets.dataset import Dataset
from engine.core.datasets.read import read_dataset
from engine.core.datasets.transforms_json import write_transforms
from engine.core.errors import UserError
from engine.core.protocol.config import TrainConfig
from engine.training.cpu.model import CpuModel
from engine.training.data.targets import load_targets
from engine.training.evaluate import evaluate
from engine.training.init.depth_start import depth_gaussians
from engine.training.init.initialize import initial_gaussians, starts_from_depth
from tests.scenes import colored_ball, write_ball_dataset

CONFIG = TrainConfig(max_gaussians=2000, sh_degree=1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The ball with the depth that it is rendered at."""
    plain = write_ball_dataset(tmp_path_factory.mktemp("depth") / "ball", views=9, size=96)
    model, views = CpuModel(colored_ball(), 1), []
    for view in plain.views:
        path = plain.folder / f"{view.name}.npy"
        np.save(path, model.render(view.camera, 0, (0, 0, 0)).depth * 1000)
        views.append(replace(view, depth=path))
    model.close()
    write_transforms(replace(plain, views=tuple(views)))
    return read_dataset(plain.folder)


def test_a_start_from_depth_shows_the_scene_and_is_no_larger_than_asked(dataset: Dataset) -> None:
    targets = [pyramid.full for pyramid in load_targets(dataset.eval_views, 96)]

    def quality(config: TrainConfig) -> float:
        start = initial_gaussians(replace(dataset, points=None), config)
        assert len(start) <= config.max_gaussians and start.sh_degree == 1 and start.finite_rows().all()
        model = CpuModel(start, 1)
        score = evaluate(model, targets, 1)
        model.close()
        assert score
        return score.psnr

    assert quality(replace(CONFIG, start="depth")) > quality(replace(CONFIG, start="points")) + 5


def test_the_same_seed_makes_the_same_start(dataset: Dataset) -> None:
    one, same, other = (depth_gaussians(dataset.train_views, 500, seed) for seed in (1, 1, 2))
    assert one and same and other and np.array_equal(one.means, same.means) and not np.array_equal(one.means, other.means)
    assert len(one) <= 500 and np.abs(np.linalg.norm(one.means, axis=1) - 1).mean() < 0.15


def test_auto_takes_depth_only_where_it_is_whole_and_undistorted(dataset: Dataset) -> None:
    assert starts_from_depth(dataset, CONFIG)
    assert not starts_from_depth(dataset, replace(CONFIG, start="points"))
    first, *others = dataset.train_views
    for changed in (replace(first, depth=None), replace(first, camera=replace(first.camera, distortion=(0.1,)))):
        assert not starts_from_depth(replace(dataset, views=(changed, *others)), CONFIG)
    without = replace(dataset, views=tuple(replace(view, depth=None) for view in dataset.views))
    assert depth_gaussians(without.views, 100) is None
    with pytest.raises(UserError, match="no depth maps to start from"):
        initial_gaussians(without, replace(CONFIG, start="depth"))


@pytest.mark.parametrize("factor", [0.001, 1000.0], ids=["metres", "micrometres"])
def test_depth_in_another_unit_is_no_start(dataset: Dataset, tmp_path: Path, factor: float) -> None:
    wrong = []
    for view in dataset.views:
        assert view.depth
        np.save(tmp_path / f"{view.name}.npy", np.load(view.depth) * factor)
        wrong.append(replace(view, depth=tmp_path / f"{view.name}.npy"))
    other = replace(dataset, views=tuple(wrong))
    made, points = initial_gaussians(other, CONFIG), initial_gaussians(other, replace(CONFIG, start="points"))
    assert np.array_equal(made.means, points.means)
    with pytest.raises(UserError, match="By the depth maps the scene is") as caught:
        initial_gaussians(other, replace(CONFIG, start="depth"))
    assert "millimetres" in caught.value.hint


def test_a_sky_comes_beside_the_depth(dataset: Dataset) -> None:
    made = initial_gaussians(dataset, replace(CONFIG, sky=300))
    far = np.linalg.norm(made.means, axis=1) > 20
    assert 200 < far.sum() <= 300 and len(made) <= 2000


def test_empty_depth_maps_fall_back_to_points(dataset: Dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "empty.npy", np.zeros((96, 96)))
    empty = replace(dataset, views=tuple(replace(view, depth=tmp_path / "empty.npy") for view in dataset.views))
    assert dataset.points and len(initial_gaussians(empty, CONFIG)) == len(dataset.points)
