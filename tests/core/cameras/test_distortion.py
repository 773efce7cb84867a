"""Lens distortion: COLMAP's numbers, its inverse, and undistorted pictures without empty borders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pycolmap
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from engine.core.cameras.camera import Camera
from engine.core.cameras.distortion import distort, undistort, undistort_image, undistorted_camera
from engine.core.errors import UserError
from tests.speed import cost

LENSES = {
    "barrel": (-0.12,), "pincushion": (0.15,), "two": (-0.2, 0.05), "mixed": (-0.007, 0.149, 0.0013, -0.0005),
    "tangential": (0.0, 0.0, 0.01, -0.02), "full": (0.1, -0.05, 0.001, -0.002, 0.03, 0.08, -0.02, 0.01),
    "strong barrel": (-0.35, 0.12), "folding": (-0.3,),
}


def camera(coefficients: tuple[float, ...] = (), width: int = 640, height: int = 480, focal: float = 500.0) -> Camera:
    return Camera(width, height, focal, focal * 1.02, width / 2 + 13, height / 2 - 8, np.eye(4), coefficients)


def colmap_camera(ours: Camera) -> pycolmap.Camera:
    coefficients = (*ours.distortion, *(0.0,) * 8)[:8]
    return pycolmap.Camera(model="FULL_OPENCV", width=ours.width, height=ours.height, camera_id=1,
                           params=[ours.fl_x, ours.fl_y, ours.cx, ours.cy, *coefficients])


def grid(count: int = 21, reach: float = 0.6) -> np.ndarray:
    """Ideal image points [N, 2]."""
    line = np.linspace(-reach, reach, count)
    return np.stack(np.meshgrid(line, line * 0.75), axis=2).reshape(-1, 2)


def source(ours: Camera, ideal: Camera, pixels: np.ndarray) -> np.ndarray:
    """Where pixels [N, 2] of an undistorted camera lie in the photo."""
    points = (pixels - [ideal.cx, ideal.cy]) / [ideal.fl_x, ideal.fl_y]
    return distort(points, ours.distortion) * [ours.fl_x, ours.fl_y] + [ours.cx, ours.cy]


def border(ours: Camera) -> np.ndarray:
    """Points on the very border of the image [N, 2]."""
    t = np.linspace(0, 1, 400)
    sides = [(t, 0 * t), (t, 0 * t + 1), (0 * t, t), (0 * t + 1, t)]
    return np.concatenate([np.stack(side, axis=1) for side in sides]) * [ours.width, ours.height]


@pytest.mark.parametrize("name", LENSES)
def test_the_same_pixels_as_colmap(name: str) -> None:
    ours = camera(LENSES[name])
    ideal = np.concatenate([grid(), np.ones((len(grid()), 1))], axis=1)
    expected = colmap_camera(ours).img_from_cam(ideal)
    pinhole = replace(ours, distortion=())
    assert np.abs(source(ours, pinhole, grid() * [ours.fl_x, ours.fl_y] + [ours.cx, ours.cy]) - expected).max() < 1e-9


@pytest.mark.parametrize("name", LENSES)
def test_undistort_is_the_inverse(name: str) -> None:
    assert np.abs(undistort(distort(grid(), LENSES[name]), LENSES[name]) - grid()).max() < 1e-9


def test_points_beyond_the_fold_have_no_origin() -> None:
    back = undistort(np.array([[0.9, 0.0], [0.1, 0.0]]), (-0.3,))
    assert np.isnan(back[0]).all() and np.isfinite(back[1]).all()


@pytest.mark.parametrize("name", LENSES)
@pytest.mark.parametrize("focal", [300.0, 500.0, 1500.0])
def test_undistorted_views_reach_to_the_border_and_not_beyond(name: str, focal: float) -> None:
    ours = camera(LENSES[name], focal=focal)
    ideal = undistorted_camera(ours)
    assert (ideal.width, ideal.height, ideal.cx, ideal.cy, ideal.distortion) == (ours.width, ours.height, ours.cx, ours.cy, ())
    assert ideal.fl_x / ours.fl_x == pytest.approx(ideal.fl_y / ours.fl_y)
    inside = source(ours, ideal, border(ours))
    assert (inside >= 0).all() and (inside <= [ours.width, ours.height]).all()
    rays = (border(ours) - [ideal.cx, ideal.cy]) / [ideal.fl_x, ideal.fl_y]
    assert np.abs(undistort(distort(rays, ours.distortion), ours.distortion) - rays).max() < 1e-6, "folds over"
    wider = replace(ideal, fl_x=ideal.fl_x / 1.01, fl_y=ideal.fl_y / 1.01)
    outside = source(ours, wider, border(ours))
    wide_rays = (border(ours) - [wider.cx, wider.cy]) / [wider.fl_x, wider.fl_y]
    folded = not np.allclose(undistort(distort(wide_rays, ours.distortion), ours.distortion), wide_rays)
    assert folded or (outside < 0).any() or (outside > [ours.width, ours.height]).any(), "could see more"


@pytest.mark.parametrize("name", ["barrel", "pincushion", "two", "mixed", "full"])
def test_sees_what_colmap_s_undistorter_sees(name: str) -> None:
    """COLMAP crops each side on its own and keeps the focal length; with one factor for both, ours sees as much in one direction."""
    ours = camera(LENSES[name])
    ideal = undistorted_camera(ours)
    theirs = pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), colmap_camera(ours))
    across = (ideal.width / ideal.fl_x) / (theirs.width / theirs.focal_length_x)
    down = (ideal.height / ideal.fl_y) / (theirs.height / theirs.focal_length_y)
    assert min(across, down) > 0.9 and 0.97 < max(across, down) < 1.05


def test_a_pinhole_stays_as_it_is() -> None:
    ours = camera()
    assert undistorted_camera(ours) is ours


def test_an_impossible_lens_is_refused() -> None:
    with pytest.raises(UserError, match="no usable image"):
        undistorted_camera(camera((-50.0,)))


def test_a_centre_outside_the_photo_is_left_alone() -> None:
    ours = replace(camera((-0.1,)), cx=-20.0)
    assert undistorted_camera(ours).fl_x == pytest.approx(ours.fl_x, rel=2e-3)


def noise(height: int = 480, width: int = 640, channels: int = 3, kind: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(kind).max, (height, width, channels), dtype=kind, endpoint=True)


@pytest.mark.parametrize("kind, channels", [(np.uint8, 3), (np.uint8, 4), (np.uint16, 4), (np.uint8, 1)])
def test_bilinear_as_in_scipy(kind: type, channels: int) -> None:
    ours, image = camera(LENSES["mixed"]), noise(channels=channels, kind=kind)
    ideal = undistorted_camera(ours)
    x, y = np.meshgrid(np.arange(640) + 0.5, np.arange(480) + 0.5)
    at = source(ours, ideal, np.stack([x.ravel(), y.ravel()], axis=1)).T[::-1] - 0.5
    expected = np.stack([map_coordinates(image[..., c].astype(float), at, order=1, mode="nearest") for c in range(channels)], axis=1)
    ours_image = undistort_image(image, ours, ideal)
    assert ours_image.dtype == np.float32
    assert np.abs(ours_image.reshape(-1, channels) - expected).max() < 2e-3 * (np.iinfo(kind).max / 255)


@pytest.mark.parametrize("size", [(320, 240), (200, 150), (77, 58), (40, 30)])
def test_smaller_targets_average(size: tuple[int, int]) -> None:
    """A smooth picture, sampled where the lens says, whatever the reduction."""
    ours = camera(LENSES["mixed"])
    target = undistorted_camera(ours).resized(*size)
    y, x = np.mgrid[:480, :640] + 0.5
    image = np.stack([x / 640, y / 480, (x + y) / 1120], axis=2) * 65535
    out = undistort_image(image.astype(np.uint16), ours, target)
    pixels = np.stack(np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5), axis=2).reshape(-1, 2)
    at = source(ours, target, pixels)
    expected = np.stack([at[:, 0] / 640, at[:, 1] / 480, at.sum(axis=1) / 1120], axis=1) * 65535
    error = np.abs(out.reshape(-1, 3) - expected).reshape(size[1], size[0], 3)[1:-1, 1:-1]
    assert error.max() < 0.1 * 65535 / min(size)


@pytest.mark.parametrize("size", [(320, 240), (77, 58), (40, 30)])
def test_no_aliasing(size: tuple[int, int]) -> None:
    """Noise reduced n times loses n of its contrast: nothing is skipped."""
    ours = camera(LENSES["mixed"])
    out = undistort_image(noise(), ours, undistorted_camera(ours).resized(*size))
    assert out.std() < 1.2 * noise().std() * size[0] / 640


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 20), st.integers(1, 20))
def test_tiny_pictures(width: int, height: int, new_width: int, new_height: int) -> None:
    ours = Camera(width, height, 10.0, 10.0, width / 2, height / 2, np.eye(4), (0.01,))
    out = undistort_image(np.full((height, width, 3), 77, np.uint8), ours, undistorted_camera(ours).resized(new_width, new_height))
    assert out.shape == (new_height, new_width, 3) and np.abs(out - 77).max() < 1e-3


def test_a_photo_takes_a_fraction_of_a_second() -> None:
    ours = camera(LENSES["mixed"], 1280, 960, 1000.0)
    image, target = noise(960, 1280), undistorted_camera(camera(LENSES["mixed"], 1280, 960, 1000.0)).resized(400, 300)
    assert cost(lambda: undistort_image(image, ours, target)) < 4
