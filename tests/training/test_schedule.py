"""The schedule and the strategy's mathematics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import KDTree

from engine.core.protocol.config import TrainConfig
from engine.training.init.knn import neighbour_distance
from engine.training.schedule import background_at, learning_rates_at, reduction_at, refinement_at, settings_at, sh_degree_at, view_at
from engine.training.strategies.mcmc import shared_opacity_and_scale


@given(st.integers(1, 40), st.integers(0, 5), st.integers(0, 3))
def test_every_view_is_seen_once_in_each_round(views: int, seed: int, turn: int) -> None:
    seen = [view_at(step, views, seed) for step in range(turn * views, (turn + 1) * views)]
    assert sorted(seen) == list(range(views))


def test_schedule_grows_to_full() -> None:
    config = TrainConfig(max_steps=1000)
    assert [reduction_at(step, config) for step in (0, 149, 150, 599, 600, 999)] == [4, 4, 2, 2, 1, 1]
    degrees = [sh_degree_at(step, config) for step in range(1000)]
    assert degrees[0] == 0 and degrees[-1] == config.sh_degree and degrees == sorted(degrees)
    assert not refinement_at(0, config) and refinement_at(100, config) and not refinement_at(800, config)
    assert learning_rates_at(1000, config, 2.0)["means"] == config.lr_means * 2.0 * 0.01


def test_learning_rates_settle_at_the_end_where_they_may() -> None:
    settling, plain = TrainConfig(max_steps=1000, settle_from=0.7), TrainConfig(max_steps=1000)
    for name in ("quats", "scales", "opacities", "sh0", "shN"):
        rates = [learning_rates_at(step, settling, 1.0)[name] / learning_rates_at(step, plain, 1.0)[name]
                 for step in (0, 700, 850, 1000, 2000)]
        assert np.allclose(rates, [1, 1, 0.55, 0.1, 0.1]), name
    assert learning_rates_at(900, settling, 1.0)["means"] == learning_rates_at(900, plain, 1.0)["means"]
    assert learning_rates_at(10, replace(settling, settle_from=0.0), 1.0)["sh0"] < settling.lr_sh0


def test_random_background_depends_on_step_and_seed_alone() -> None:
    config = TrainConfig()
    assert background_at(5, config, True) == background_at(5, config, True) != background_at(6, config, True)
    assert background_at(5, config, False) == (0, 0, 0)


@given(st.floats(0.01, 0.99), st.integers(2, 20))
def test_copies_together_are_as_opaque_as_the_one_they_replace(opacity: float, count: int) -> None:
    shared, shrink = shared_opacity_and_scale(np.array([opacity]), np.array([count]))
    assert np.isclose(1 - (1 - shared[0]) ** count, opacity)
    assert 0 < shrink[0] <= 1.0001


def test_neighbour_distance_is_close_to_exact() -> None:
    rng = np.random.default_rng(1)
    surface = rng.random((20_000, 3)) * [1, 1, 0.001]
    dense = 0.01 * rng.random((5_000, 3))
    points = np.concatenate([surface, dense]).astype(np.float32)
    distances, _ = KDTree(points).query(points, 4)
    exact = np.sqrt((distances[:, 1:] ** 2).mean(axis=1))
    ratio = neighbour_distance(points) / exact
    assert np.median(ratio) < 1.1 and ratio.min() > 0.99 and np.percentile(ratio, 95) < 1.6


def test_neighbour_distance_of_a_lattice_is_its_spacing() -> None:
    lattice = np.stack(np.meshgrid(*[np.arange(8.0)] * 3), axis=-1).reshape(-1, 3)
    assert np.median(neighbour_distance(lattice)) < 1.2


def test_one_or_two_points_have_a_size() -> None:
    assert np.isfinite(neighbour_distance(np.zeros((1, 3)))).all()
    assert np.allclose(neighbour_distance(np.array([[0.0, 0, 0], [0, 0, 2]])), 2.0, rtol=1e-5)


def test_past_its_end_the_schedule_stays_as_it_ended() -> None:
    config = TrainConfig(max_steps=3000, strategy="mcmc")
    longer = config.lasting(9000)
    assert (longer.max_steps, longer.planned_steps) == (9000, 3000) and longer.lasting(12_000).planned_steps == 3000
    for step in range(0, 3000, 100):
        assert settings_at(step, longer, 2.0, transparent=True) == settings_at(step, config, 2.0, transparent=True)
        assert refinement_at(step, longer) == refinement_at(step, config)
    last = settings_at(3000, config, 2.0, transparent=False)
    for step in range(3000, 9000, 100):
        late = settings_at(step, longer, 2.0, transparent=False)
        assert late == replace(last, noise_seed=late.noise_seed) and late.noise == 0 and late.reduction == 1
        assert refinement_at(step, longer) is None


def test_a_shorter_training_ends_with_its_schedule() -> None:
    shorter = TrainConfig(max_steps=3000).lasting(1000)
    assert shorter.planned_steps == 1000 and shorter.schedule_steps == 0
    assert TrainConfig(max_steps=3000).lasting(9000).lasting(2000).schedule_steps == 0
