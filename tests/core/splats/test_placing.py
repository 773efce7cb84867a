"""Placing: the mathematics of the ground, of three points, of measured distances and of moved points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from engine.core.errors import UserError
from engine.core.splats.gaussians import Gaussians
from engine.core.splats.placing import HALF_ALPHA, bottoms, fit_affine, lowest_height, scale_factor, scaling_about, three_point_alignment
from engine.core.splats.transform import transform_gaussians
from tests.scenes import colored_ball

places = hnp.arrays(np.float64, (3, 3), elements=st.floats(-100, 100))


@settings(max_examples=50, deadline=None)
@given(points=places, above=hnp.arrays(np.float64, 3, elements=st.floats(-100, 100)))
def test_three_points_come_to_the_ground(points: np.ndarray, above: np.ndarray) -> None:
    sides = points[1:] - points[0]
    normal = np.cross(*sides)
    assume(np.linalg.norm(normal) > 0.01 * np.prod(np.linalg.norm(sides, axis=1)) > 1e-6)
    assume(abs(normal @ (above - points[0])) > 1e-6)
    matrix = three_point_alignment(points, above)
    moved = points @ matrix[:3, :3].T + matrix[:3, 3]
    assert np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3)) and np.isclose(np.linalg.det(matrix[:3, :3]), 1)
    assert np.allclose(moved[0], 0, atol=1e-9) and np.allclose(moved[:, 2], 0, atol=1e-9)
    assert np.isclose(moved[1, 1], 0, atol=1e-9) and moved[1, 0] > 0
    assert (matrix[:3, :3] @ above + matrix[:3, 3])[2] > 0


@pytest.mark.parametrize("points", [[[0, 0, 0], [1, 1, 1], [2, 2, 2]], [[1, 2, 3]] * 3, [[0, 0, 0], [1, 0, 0], [float("nan"), 1, 0]]])
def test_points_on_a_line_are_refused(points: list[list[float]]) -> None:
    with pytest.raises(UserError, match="on one line"):
        three_point_alignment(np.array(points), np.zeros(3))


def test_a_measured_distance_gives_the_scale() -> None:
    first, second = np.array([1.0, 2, 3]), np.array([1.0, 2, 7])
    factor = scale_factor(first, second, 10.0)
    matrix = scaling_about(first, factor)
    assert factor == 2.5 and np.allclose(matrix[:3, :3] @ first + matrix[:3, 3], first)
    assert np.isclose(np.linalg.norm(matrix[:3, :3] @ (second - first)), 10)
    for wrong in ((first, first, 1.0), (first, second, 0.0), (first, second, float("nan"))):
        with pytest.raises(UserError):
            scale_factor(*wrong)


def lowest(gaussians: Gaussians, ignored: float = 0.01) -> float:
    return lowest_height(bottoms(gaussians, np.eye(4)), gaussians.opacities, ignored)


@settings(max_examples=30, deadline=None)
@given(matrix=hnp.arrays(np.float64, (3, 4), elements=st.floats(-5, 5)))
def test_bottoms_are_those_of_the_moved_splats(matrix: np.ndarray) -> None:
    matrix = np.vstack([matrix, [0, 0, 0, 1]])
    assume(np.linalg.cond(matrix[:3, :3]) < 100)
    ball = colored_ball(30)
    assert np.allclose(bottoms(ball, matrix), bottoms(transform_gaussians(ball, matrix), np.eye(4)), atol=1e-4)


def test_a_ball_stands_where_its_splats_fade() -> None:
    """One round splat: half of its alpha is gone 1.177 standard deviations below its middle."""
    one = Gaussians(np.array([[1, 2, 3]], np.float32), np.array([[1, 0, 0, 0]], np.float32), np.log(np.full((1, 3), 0.5, np.float32)),
                    np.zeros(1, np.float32), np.zeros((1, 1, 3), np.float32), np.zeros((1, 0, 3), np.float32))
    assert np.isclose(lowest(one), 3 - 0.5 * HALF_ALPHA, atol=1e-6)
    assert np.isclose(np.exp(-HALF_ALPHA**2 / 2), 0.5)


def test_the_height_follows_a_turn_and_forgives_floaters() -> None:
    ball = colored_ball(400)
    ball.means[0] = [0, 0, -50]
    height = lowest(ball)
    assert -1.4 < height < -1.0 and lowest(ball, 0.0) < -50
    shift = np.eye(4)
    shift[2, 3] = 7.0
    assert np.isclose(lowest(transform_gaussians(ball, shift)), height + 7, atol=1e-5)
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("x", np.pi).as_matrix()
    flat = colored_ball(1)
    flat.means[:], flat.quats[:], flat.scales[:] = 0, [1, 0, 0, 0], np.log([1, 1, 0.01])
    turned[:3, :3] = Rotation.from_euler("x", np.pi / 2).as_matrix()
    assert np.isclose(lowest(transform_gaussians(flat, turned)), -HALF_ALPHA, atol=1e-5)
    with pytest.raises(UserError, match="no splats"):
        lowest(ball.take(slice(0, 0)))


@settings(max_examples=50, deadline=None)
@given(matrix=hnp.arrays(np.float64, (3, 3), elements=st.floats(-5, 5)), shift=hnp.arrays(np.float64, 3, elements=st.floats(-50, 50)))
def test_any_affine_map_is_found_again(matrix: np.ndarray, shift: np.ndarray) -> None:
    points = np.random.default_rng(0).normal(size=(30, 3))
    found, left = fit_affine(points, points @ matrix.T + shift)
    assert np.allclose(found[:3, :3], matrix, atol=1e-9) and np.allclose(found[:3, 3], shift, atol=1e-9) and left < 1e-9


def test_what_the_points_do_not_show_stays() -> None:
    plane = np.random.default_rng(0).normal(size=(30, 3)) * [1, 1, 0]
    found, left = fit_affine(plane, plane * [2, 3, 1] + [0, 0, 4])
    assert np.allclose(found, [[2, 0, 0, 0], [0, 3, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]]) and left < 1e-9
    found, left = fit_affine(plane[:1], plane[:1] + 1)
    assert np.allclose(found[:3, :3], np.eye(3)) and np.allclose(found[:3, 3], 1)


def test_points_that_no_map_explains_leave_a_distance() -> None:
    points = np.random.default_rng(0).normal(size=(30, 3))
    moved = points.copy()
    moved[3] += 1
    assert fit_affine(points, moved)[1] > 0.5
