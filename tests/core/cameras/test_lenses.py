"""Lenses of COLMAP: the same pixels as pycolmap, fitted so that photos can be undistorted."""

from __future__ import annotations

import numpy as np
import pycolmap
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.cameras.camera import Camera
from engine.core.cameras.distortion import distort, undistorted_camera
from engine.core.cameras.lenses import MODELS, Lens, distorted, opencv_lens
from engine.core.errors import UserError

WIDTH, HEIGHT = 1600, 1200
BENT: dict[str, tuple[float, ...]] = {
    "SIMPLE_FISHEYE": (900, 800, 600), "FISHEYE": (900, 910, 800, 600), "SIMPLE_RADIAL_FISHEYE": (700, 800, 600, 0.03),
    "RADIAL_FISHEYE": (600, 800, 600, 0.03, -0.01), "OPENCV_FISHEYE": (500, 510, 810, 590, 0.03, -0.01, 0.002, -0.0005),
    "FOV": (700, 710, 800, 600, 0.9), "SIMPLE_DIVISION": (900, 800, 600, -0.2), "DIVISION": (900, 910, 800, 600, 0.05),
    "EUCM": (700, 710, 800, 600, 0.6, 1.1),
    "THIN_PRISM_FISHEYE": (700, 710, 800, 600, 0.03, -0.01, 0.0001, -0.0002, 0.003, -0.001, 0.0001, -0.0002),
    "RAD_TAN_THIN_PRISM_FISHEYE": (700, 710, 800, 600, 0.03, -0.01, 0.002, -0.0005, 0.0001, 0, 1e-4, -2e-4, 1e-4, -1e-4, 2e-4, 1e-4),
}


def pixels(model: str, points: np.ndarray) -> np.ndarray:
    """Where pycolmap's lens puts ideal points [N, 2]."""
    lens = pycolmap.Camera(model=model, width=WIDTH, height=HEIGHT, params=list(map(float, BENT[model])))
    return lens.img_from_cam(np.column_stack([points, np.ones(len(points))]))


def inside(points: np.ndarray) -> np.ndarray:
    return ((points >= 0) & (points <= [WIDTH, HEIGHT])).all(axis=1)


@pytest.mark.parametrize("model", BENT)
def test_bent_as_pycolmap_bends(model: str) -> None:
    points = np.random.default_rng(0).uniform(-1, 1, (500, 2))
    lens = Lens(model, WIDTH, HEIGHT, tuple(map(float, BENT[model])))
    ours = distorted(lens, points) * lens.pinhole[:2] + lens.pinhole[2:]
    assert np.abs(ours - pixels(model, points)).max() < 1e-6


@pytest.mark.parametrize("model", BENT)
def test_the_fitted_lens_is_right_wherever_an_undistorted_photo_looks(model: str) -> None:
    pinhole, distortion = opencv_lens(Lens(model, WIDTH, HEIGHT, tuple(map(float, BENT[model]))))
    target = undistorted_camera(Camera(WIDTH, HEIGHT, *pinhole, np.eye(4), distortion))
    x, y = np.meshgrid(np.linspace(0, WIDTH, 41), np.linspace(0, HEIGHT, 31))
    points = (np.stack([x, y], axis=2).reshape(-1, 2) - [target.cx, target.cy]) / [target.fl_x, target.fl_y]
    ours, theirs = distort(points, distortion) * pinhole[:2] + pinhole[2:], pixels(model, points)
    assert inside(theirs).mean() > 0.99, "an undistorted photo has no empty border"
    assert np.abs(ours - theirs).max() < (1.6 if "PRISM" in model else 0.1)


def test_every_model_is_known_to_one_side() -> None:
    plain = {"SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV"}
    assert {name for name, _ in MODELS.values()} == plain | set(BENT) | {"EQUIRECTANGULAR"}


@settings(max_examples=60, deadline=None)
@given(model=st.sampled_from(sorted(BENT)), numbers=st.lists(st.floats(-3, 3), min_size=12, max_size=12), focal=st.floats(1, 5000))
def test_no_lens_is_unforeseen(model: str, numbers: list[float], focal: float) -> None:
    count = dict(MODELS.values())[model]
    params = (*((focal,) if len(BENT[model]) < 5 and model.startswith("SIMPLE") else (focal, focal)), 800.0, 600.0, *numbers)[:count]
    if len(params) < count:
        return
    try:
        pinhole, distortion = opencv_lens(Lens(model, WIDTH, HEIGHT, params))
    except UserError as error:
        assert "Undistort" in error.hint
    else:
        assert np.isfinite((*pinhole, *distortion)).all() and min(pinhole[:2]) > 0
