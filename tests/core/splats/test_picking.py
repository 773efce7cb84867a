"""Picking splats with the mouse."""

from __future__ import annotations

import numpy as np
import pytest

from engine.core.splats.picking import pick_splat

# A camera at the origin that looks along -Z, 90 degrees wide, from 0.1 to 100.
PROJECTION = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, -100.1 / 99.9, -20 / 99.9], [0, 0, -1, 0]])


@pytest.mark.parametrize(("mouse", "row"), [((0.0, 0.0), 1), ((0.5, 0.5), 3), ((0.52, 0.5), 3), ((-0.9, 0.9), None)])
def test_the_foremost_solid_splat_is_picked(mouse: tuple[float, float], row: int | None) -> None:
    """Row 0 is behind row 1; row 2 is in front of both but faint; row 3 faint and alone; rows 4 and 5 cannot be seen."""
    means = np.array([[0, 0, -9], [0, 0, -5], [0, 0, -2], [2, 2, -4], [0, 0, 5], [0, 0, -0.01]], np.float32)
    opacities = np.array([3, 3, -4, -4, 9, 9], np.float32)
    assert pick_splat(means, opacities, PROJECTION, mouse, np.array([0.03, 0.03])) == row


def test_nothing_to_pick() -> None:
    assert pick_splat(np.zeros((0, 3), np.float32), np.zeros(0, np.float32), PROJECTION, (0, 0), np.ones(2)) is None
    assert pick_splat(np.zeros((3, 3), np.float32), np.zeros(3, np.float32), PROJECTION, (0, 0), np.ones(2)) is None, "in the camera itself"


def test_the_reach_is_round_on_a_wide_screen() -> None:
    """Ten pixels on a screen of 400 x 100 are a twentieth of its half width and a fifth of its half height."""
    means = np.array([[0.9, 0, -10], [0, 3, -10]], np.float32)
    reach, solid = np.array([0.05, 0.2]), np.full(2, 3, np.float32)
    assert pick_splat(means, solid, PROJECTION, (0.05, 0), reach) == 0 and pick_splat(means, solid, PROJECTION, (0.15, 0), reach) is None
    assert pick_splat(means, solid, PROJECTION, (0.0, 0.15), reach) == 1
