"""Maps found from points that were moved in groups."""

from __future__ import annotations

import numpy as np
import pytest

from engine.core.splats.moved_points import MovedPoints, moved_points


def cloud(count: int, seed: int = 0, spread: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(count, 3)) * spread).astype(np.float32)


def turn(angle: float, scale: tuple[float, float, float] = (1, 1, 1), place: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    """A turn about (1, 2, 3) after scaling, then a shift."""
    axis = np.array([1, 2, 3]) / np.sqrt(14)
    cross = np.cross(np.eye(3), axis)
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) + np.sin(angle) * cross.T + (1 - np.cos(angle)) * cross @ cross) @ np.diag(scale)
    matrix[:3, 3] = place
    return matrix


def moved_by(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """In single precision, as Blender does."""
    return points @ matrix[:3, :3].T.astype(np.float32) + matrix[:3, 3].astype(np.float32)


def joined(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([part for part, _ in parts]), np.concatenate([moved_by(*part) for part in parts])


def assert_explained(found: MovedPoints, rest: np.ndarray, moved: np.ndarray, parts: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Every turned row has its part's linear map."""
    linear = np.concatenate([np.broadcast_to(matrix[:3, :3], (len(part), 3, 3)) for part, matrix in parts])
    known = np.broadcast_to(np.eye(3), linear.shape).copy()
    for group in found.groups:
        known[group.rows] = group.matrix[:3, :3]
    assert np.abs(known - linear).max() < 2e-4 * max(1, np.abs(linear).max())
    assert not len(found.loose) and not len(found.unknown)


@pytest.mark.parametrize("few", [200, 2000])
@pytest.mark.parametrize("scale", [(1, 1, 1), (2, 2, 2), (1, 2, 0.5), (-1, 1, 1)])
def test_a_few_among_many(few: int, scale: tuple[float, float, float]) -> None:
    parts = [(cloud(20_000), np.eye(4)), (cloud(few, 1), turn(0.7, scale, (3, 1, 0)))]
    rest, moved = joined(parts)
    found = moved_points(rest, moved)
    assert_explained(found, rest, moved, parts)
    assert len(found.turned) == 1 and len(found.turned[0].rows) == few


def test_many_different_maps() -> None:
    """Copies of one object, of which rest places are the same; a shifted one, a scaled one, turned ones, a small one."""
    same = cloud(500)
    parts = [(same, np.eye(4)), (same, turn(0.3)), (same, turn(0, (2, 2, 2))), (same, turn(0, place=(5, 0, 0))),
             (same, turn(-1.3, (1, 3, 1), (0, 9, 0))),
             (cloud(9, 3), turn(2.0)), (cloud(5, 4), turn(1.0, (1, 2, 3))), (cloud(3, 5), turn(1.5))]
    rest, moved = joined(parts)
    found = moved_points(rest, moved)
    assert_explained(found, rest, moved, parts)
    assert len(found.groups) == 7 and len(found.turned) == 6


@pytest.mark.parametrize("spread", [1e-4, 1.0, 1e4])
def test_no_unit_of_length(spread: float) -> None:
    parts = [(cloud(300, 0, spread), np.eye(4)), (cloud(300, 1, spread), turn(0.01, place=(spread, 0, 0)))]
    rest, moved = joined(parts)
    assert_explained(moved_points(rest, moved), rest, moved, parts)


@pytest.mark.parametrize("order", ["as_trained", "shuffled"])
def test_selections_turned_one_after_another(order: str) -> None:
    """In Edit Mode: two overlapping boxes, so that four maps are mixed in any order of the rows."""
    rest = cloud(4000)
    if order == "as_trained":
        rest = rest[np.lexsort(rest.T)]
    left, upper = rest[:, 0] < 0.3, rest[:, 2] > 0
    moved, linear = rest.copy(), np.broadcast_to(np.eye(3), (4000, 3, 3)).copy()
    for chosen, matrix in ((left, turn(0.5, place=(0, 1, 0))), (upper, turn(-0.8, (1.5, 1.5, 1.5)))):
        moved[chosen] = moved_by(moved[chosen], matrix)
        linear[chosen] = matrix[:3, :3] @ linear[chosen]
    found = moved_points(rest, moved)
    known = np.broadcast_to(np.eye(3), linear.shape).copy()
    for group in found.groups:
        known[group.rows] = group.matrix[:3, :3]
    assert (np.abs(known - linear).max(axis=(1, 2)) < 1e-3).mean() > 0.999 and len(found.loose) < 5


def test_a_wall_turns_with_its_normal() -> None:
    """Points of a plane do not show what became of their normal: a turn brings it along."""
    flat = cloud(100) * np.array([1, 1, 0], np.float32)
    for matrix in (turn(0.6, (2, 2, 2)), turn(0.6)):
        found = moved_points(flat, moved_by(flat, matrix))
        assert np.allclose(found.turned[0].matrix, matrix, atol=1e-4)


def test_shifts_turn_nothing() -> None:
    rest = cloud(1000)
    assert not moved_points(rest, rest).groups
    assert not moved_points(rest, rest + np.float32(5)).turned
    far = rest + np.float32(1e6)
    assert not moved_points(far, far + np.float32([1e5, 3, 7])).turned


def test_points_moved_one_by_one_are_no_group() -> None:
    rest, rng = cloud(3000), np.random.default_rng(1)
    chosen = rng.random(3000) < 0.5
    moved = rest + np.where(chosen[:, None], rng.normal(0, 0.1, rest.shape), 0).astype(np.float32)
    found = moved_points(rest, moved)
    assert not found.turned and len(found.loose) == chosen.sum()


def test_rows_that_nobody_noted_and_rows_that_are_not_finite() -> None:
    rest, moved = joined([(cloud(50), np.eye(4)), (cloud(30, 1), turn(0.5))])
    rest, moved = np.concatenate([rest, np.zeros((20, 3), np.float32)]), np.concatenate([moved, cloud(20, 2)])
    moved[3] = np.nan
    found = moved_points(rest, moved)
    assert len(found.unknown) == 20 and [len(group.rows) for group in found.turned] == [30]
    assert not len(moved_points(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)).groups)
