"""Floaters: what is found by each limit, and that the neighbours are counted right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import KDTree

from engine.core.errors import UserError
from engine.core.splats.floaters import FloaterLimits, extent, floaters, neighbor_counts, spacing
from engine.core.splats.gaussians import Gaussians
from tests.scenes import colored_ball
from tests.speed import cost

NOTHING = FloaterLimits(opacity=0, size=0, neighbors=0, distance=0)


@pytest.fixture
def ball() -> Gaussians:
    """2000 splats on a sphere, all alike in opacity."""
    return colored_ball(2000)


def test_a_clean_scene_has_none(ball: Gaussians) -> None:
    assert not floaters(ball, FloaterLimits()).any()


def test_each_limit_finds_its_own(ball: Gaussians) -> None:
    ball.opacities[3] = -6
    ball.scales[5, 1] = np.log(1.5)
    ball.means[7] = [4, 4, 4]
    limits = {3: FloaterLimits(0.02, 0, 0, 0), 5: FloaterLimits(0, 0.3, 0, 0), 7: FloaterLimits(0, 0, 4, 10)}
    for row, limit in limits.items():
        assert np.flatnonzero(floaters(ball, limit)).tolist() == [row]
    assert np.flatnonzero(floaters(ball, FloaterLimits())).tolist() == [3, 5, 7]
    assert not floaters(ball, NOTHING).any()


def test_the_scale_of_the_scene_does_not_matter(ball: Gaussians) -> None:
    ball.means[7], ball.scales[5] = [4, 4, 4], np.log(1.5)
    for factor in (1e-3, 1e3):
        arrays = {"means": ball.means * np.float32(factor), "scales": ball.scales + np.float32(np.log(factor))}
        larger = Gaussians(**{**ball.arrays(), **arrays})
        assert np.flatnonzero(floaters(larger, FloaterLimits())).tolist() == [5, 7]


def test_a_small_group_far_away_is_isolated_too(ball: Gaussians) -> None:
    """Three floaters together are floaters; what is faint keeps nobody company."""
    ball.means[:3] = [[5, 5, 5], [5.001, 5, 5], [5, 5.001, 5]]
    assert np.flatnonzero(floaters(ball, FloaterLimits())).tolist() == [0, 1, 2]
    ball.means[:10] = [5, 5, 5]
    ball.opacities[1:10] = -6
    assert np.flatnonzero(floaters(ball, FloaterLimits())).tolist() == list(range(10))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.02, 2.0), st.sampled_from([1e-3, 1.0, 1e4]))
def test_neighbours_lie_between_two_distances(seed: int, distance: float, scale: float) -> None:
    """No neighbour within the distance is missed, and none beyond the corner of the next cell is counted."""
    points = np.random.default_rng(seed).normal(size=(200, 3)) * scale
    distance *= scale
    counts = neighbor_counts(points, distance)
    tree = KDTree(points)
    near = np.array([len(found) - 1 for found in tree.query_ball_point(points, distance * (1 - 1e-9))])
    far = np.array([len(found) - 1 for found in tree.query_ball_point(points, 2 * np.sqrt(3) * distance * (1 + 1e-9))])
    assert (near <= counts).all() and (counts <= far).all()


def test_few_and_many_splats_have_the_same_limits() -> None:
    for count in (100, 20_000):
        ball = colored_ball(count)
        ball.means[7] = [9, 9, 9]
        assert np.flatnonzero(floaters(ball, FloaterLimits())).tolist() == [7]


def test_nothing_and_one(ball: Gaussians) -> None:
    assert floaters(ball.take(slice(0, 0)), FloaterLimits()).shape == (0,) and extent(ball.means[:0]) == 0
    assert not floaters(ball.take(slice(0, 1)), FloaterLimits()).any(), "one splat has no extent to be far away from"


def test_values_far_out_do_no_harm(ball: Gaussians) -> None:
    ball.means[:2] = [[1e30, 0, 0], [-1e30, 0, 0]]
    assert np.flatnonzero(floaters(ball, FloaterLimits())).tolist() == [0, 1]


def test_limits_that_make_no_sense(ball: Gaussians) -> None:
    for wrong in (FloaterLimits(opacity=1.5), FloaterLimits(size=-1), FloaterLimits(neighbors=-1), FloaterLimits(distance=-0.1)):
        with pytest.raises(UserError, match="limit"):
            floaters(ball, wrong)


def test_a_million_splats_are_quick() -> None:
    points = np.random.default_rng(0).normal(size=(1_000_000, 3)).astype(np.float32)
    assert cost(lambda: neighbor_counts(points, 10 * spacing(points)), 1) < 120
