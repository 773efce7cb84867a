"""The ground among points: found through clutter, brought level by the smallest turn, refused where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import UserError
from engine.core.splats.placing import ground_plane, levelling
from engine.core.splats.transform import rotation_matrices


def cluttered(tilt: np.ndarray, shift: np.ndarray, scale: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A floor with furniture above it and some noise, turned and moved: points [N, 3], and cameras' middle [3]."""
    rng = np.random.default_rng(seed)
    floor = np.column_stack([rng.uniform(-3, 3, (800, 2)), rng.normal(0, 0.005, 800)])
    things = rng.uniform([-1, -1, 0], [1, 1, 1.5], (900, 3))
    wild = rng.uniform(-4, 4, (60, 3))
    points = np.concatenate([floor, things, wild, [[0, 0, 1.6]]]) @ tilt.T * scale + shift
    return points[:-1], points[-1]


@settings(max_examples=25, deadline=None)
@given(quat=st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1),
       scale=st.floats(1e-3, 1e3), seed=st.integers(0, 5))
def test_a_floor_is_found_however_it_is_turned(quat: list[float], scale: float, seed: int) -> None:
    turn, shift = rotation_matrices(np.array([quat]))[0], scale * np.array([3.0, -2.0, 5.0])
    points, above = cluttered(turn, shift, scale, seed)
    place, normal, share = ground_plane(points, above)
    assert np.degrees(np.arccos(np.clip(normal @ turn[:, 2], -1, 1))) < 1 and 0.4 < share < 0.6
    matrix = levelling(place, normal)
    level = points @ matrix[:3, :3].T + matrix[:3, 3]
    assert np.abs(np.median(level[:800, 2])) < 0.02 * scale and (matrix[:3, :3] @ (above - place))[2] > 0
    assert np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12) and np.linalg.det(matrix[:3, :3]) == pytest.approx(1)
    assert np.allclose((matrix[:3, :3] @ place + matrix[:3, 3])[:2], place[:2])


@pytest.mark.parametrize("normal", [(0, 0, 1), (0, 0, -1), (1, 0, 0), (0.6, 0, 0.8), (0, -0.6, -0.8)], ids=str)
def test_the_turn_is_the_smallest(normal: tuple[float, ...]) -> None:
    matrix = levelling(np.array([1.0, 2, 3]), np.array(normal, float))
    assert np.allclose(matrix[:3, :3] @ normal, [0, 0, 1])
    angle = np.arccos(np.clip((np.trace(matrix[:3, :3]) - 1) / 2, -1, 1))
    assert angle == pytest.approx(np.arccos(normal[2]), abs=1e-9)


@pytest.mark.parametrize("points", [
    np.zeros((0, 3)), np.zeros((50, 3)), np.eye(3), np.random.default_rng(0).normal(size=(400, 3)),
    np.outer(np.arange(100.0), [1, 2, 3]), np.full((20, 3), np.nan),
], ids=["none", "one spot", "three", "a cloud", "a line", "no numbers"])
def test_where_there_is_no_ground(points: np.ndarray) -> None:
    with pytest.raises(UserError, match="no ground") as caught:
        ground_plane(points, np.array([0.0, 0, 5]))
    assert caught.value.hint
