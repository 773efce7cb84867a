"""Lens distortion by OpenCV's model, and removing it from photos."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from threading import Lock

import numpy as np

from ..errors import UserError
from .camera import Camera
from .sampling import IN_NUMPY, BilinearSamples, Sampling

ANGLES, RADII = 512, 256
"""Directions and steps in which the border of the photo is searched."""

MAX_FOV_SCALE = 3.0
"""The search ends at this many times the size of the undistorted photo, so no focal length shrinks to less than a third."""

NARROWEST = 4.0
"""A lens that needs a larger focal length than this many times the photo's is no lens."""

MARGIN = 1e-3
"""Share by which the undistorted view is narrower than it could be, so that no rounding reaches beyond the photo."""

NEWTON_STEPS = 30

_sampling = Lock()
"""Photos are read in several threads, which need the same samples at the same time."""

Coefficients = tuple[float, ...]


def distort(points: np.ndarray, coefficients: Coefficients) -> np.ndarray:
    """Ideal image points [N, 2] at depth one -> where the lens puts them [N, 2].

    OpenCV's rational model, `coefficients` = k1, k2, p1, p2, k3, k4, k5, k6; missing ones are zero
    (OpenCV, calib3d, "Detailed description"; COLMAP's SIMPLE_RADIAL to FULL_OPENCV).
    """
    _, _, p1, p2, *_ = _eight(coefficients)
    x, y = np.ascontiguousarray(points.T)
    r2 = x * x + y * y
    above, below = _polynomials(r2, coefficients)
    radial = above / below
    if p1 == p2 == 0:
        return np.stack([x * radial, y * radial], axis=1)
    return np.stack([x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y], axis=1)


def undistort(points: np.ndarray, coefficients: Coefficients) -> np.ndarray:
    """The inverse of distort() by Newton's method; NaN for points that the lens cannot have made."""
    ideal = np.array(points, np.float64)
    with np.errstate(all="ignore"):
        for _ in range(NEWTON_STEPS):
            error = distort(ideal, coefficients) - points
            (a, b, d), determinant = _jacobian(ideal, coefficients)
            ideal[:, 0] -= (d * error[:, 0] - b * error[:, 1]) / determinant
            ideal[:, 1] -= (a * error[:, 1] - b * error[:, 0]) / determinant
        wrong = ~(np.abs(distort(ideal, coefficients) - points).max(axis=1, initial=0.0) < 1e-9) | ~(_jacobian(ideal, coefficients)[1] > 0)
    ideal[wrong] = np.nan
    return ideal


def undistorted_camera(camera: Camera) -> Camera:
    """A perfect pinhole of the same size that sees as much as possible of the photo and nothing beyond: no empty border.

    The centre stays, both focal lengths change by one factor. UserError for coefficients that no lens has.
    """
    if not camera.distortion:
        return camera
    zoom = _zoom(_lens(camera)) * (1 + MARGIN)
    if not zoom < NARROWEST:
        raise UserError(f"The lens distortion ({', '.join(f'{value:.4g}' for value in camera.distortion)}) leaves no usable image.",
                        "Calibrate the camera again, or undistort the images first: colmap image_undistorter.", "lens.no_image",
                        distortion=", ".join(f'{value:.4g}' for value in camera.distortion))
    return replace(camera, fl_x=camera.fl_x * zoom, fl_y=camera.fl_y * zoom, distortion=())


def undistort_image(image: np.ndarray, camera: Camera, target: Camera, sampling: Sampling = IN_NUMPY) -> np.ndarray:
    """Resample an image uint8 or uint16 [H, W, C ≤ 4] of `camera` to what `target` sees: float32 [h, w, C], values in the image's units.

    `camera` has the size of `image`; `target` is an undistorted camera of any size. Bilinear; a smaller target averages over the
    area of its pixels.
    """
    image, camera = _prereduced(image, camera, target, sampling)
    times = max(1, math.ceil(camera.width / target.width - 0.3))
    with _sampling:
        samples = _samples(_lens(camera), _lens(target), times)
    return sampling.bilinear(image, samples)


_Lens = tuple[int, int, float, float, float, float, Coefficients]


def _lens(camera: Camera) -> _Lens:
    """All of a camera but its place, hashable: width, height, fl_x, fl_y, cx, cy, coefficients."""
    return camera.width, camera.height, camera.fl_x, camera.fl_y, camera.cx, camera.cy, camera.distortion


def _eight(coefficients: Coefficients) -> Coefficients:
    return (*coefficients, *(0.0,) * (8 - len(coefficients)))


def _radial(r2: np.ndarray, coefficients: Coefficients) -> tuple[np.ndarray, np.ndarray]:
    """The radial factor [N], and its derivative by r² [N]."""
    k1, k2, _, _, k3, k4, k5, k6 = _eight(coefficients)
    above, below = _polynomials(r2, coefficients)
    above_slope, below_slope = k1 + r2 * (2 * k2 + r2 * 3 * k3), k4 + r2 * (2 * k5 + r2 * 3 * k6)
    return above / below, (above_slope * below - above * below_slope) / (below * below)


def _polynomials(r2: np.ndarray, coefficients: Coefficients) -> tuple[np.ndarray, np.ndarray | float]:
    """Numerator and denominator of the radial factor [N]; most lenses have no denominator, and fewer than three coefficients."""
    k1, k2, _, _, k3, k4, k5, k6 = _eight(coefficients)
    above = 1 + r2 * (k1 + r2 * (k2 + r2 * k3) if k2 or k3 else k1)
    return above, 1 + r2 * (k4 + r2 * (k5 + r2 * k6)) if k4 or k5 or k6 else 1.0


def _jacobian(points: np.ndarray, coefficients: Coefficients) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """d(distort)/d(points), symmetric: its entries xx, xy, yy [N], and the determinant [N] (not positive: the image folds over)."""
    _, _, p1, p2, *_ = _eight(coefficients)
    x, y = points[:, 0], points[:, 1]
    radial, slope = _radial(x * x + y * y, coefficients)
    xx = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
    xy = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
    yy = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x
    return (xx, xy, yy), xx * yy - xy * xy


@lru_cache(maxsize=64)
def _zoom(lens: _Lens) -> float:
    """The smallest factor on the focal lengths at which a pinhole of the same size sees nothing beyond the photo."""
    width, height, fl_x, fl_y, cx, cy, _ = lens
    if not (0 < cx < width and 0 < cy < height):
        return 1.0
    x, y = np.array([-cx, width - cx]) / fl_x, np.array([-cy, height - cy]) / fl_y
    corners = np.arctan2(*np.meshgrid(y, x)).ravel()
    angles = np.concatenate([corners, np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)])
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)  # [A, 2]
    with np.errstate(divide="ignore"):
        sides = np.where(directions > 0, [x[1], y[1]], [x[0], y[0]]) / directions
    pinhole = np.where(np.abs(directions) > 1e-12, sides, np.inf).min(axis=1)  # [A] distance to the undistorted image's border
    photo = _border(lens, directions, pinhole * MAX_FOV_SCALE)
    return float((pinhole / np.maximum(photo, 1e-9)).max())


def _border(lens: _Lens, directions: np.ndarray, farthest: np.ndarray) -> np.ndarray:
    """How far [A] one can go in ideal `directions` [A, 2] before the photo ends or folds over, at most `farthest` [A]."""
    width, height, fl_x, fl_y, cx, cy, coefficients = lens
    near, far = np.zeros_like(farthest), farthest
    for _ in range(2):  # the second search refines the step at which the first one left the photo
        radii = near[:, None] + (far - near)[:, None] * np.linspace(0, 1, RADII + 1)  # [A, R + 1]
        points = (radii[..., None] * directions[:, None]).reshape(-1, 2)
        with np.errstate(all="ignore"):
            pixels = distort(points, coefficients) * [fl_x, fl_y] + [cx, cy]
            inside = ((pixels >= 0) & (pixels <= [width, height])).all(axis=1) & (_jacobian(points, coefficients)[1] > 0)
        left = ~inside.reshape(radii.shape)
        left[:, 0] = False
        step = np.where(left.any(axis=1), left.argmax(axis=1), RADII)
        rows = np.arange(len(radii))
        near, far = radii[rows, step - 1], radii[rows, step]
    return near


def _prereduced(image: np.ndarray, camera: Camera, target: Camera, sampling: Sampling) -> tuple[np.ndarray, Camera]:
    """Average whole blocks of a photo that is much larger than the target, to three pixels or more for each of the target's."""
    block = int(min(camera.width / target.width, camera.height / target.height) / 3)
    if block < 2:
        return image, camera
    height, width = image.shape[0] // block, image.shape[1] // block
    means = sampling.area_average(image[: height * block, : width * block], width, height)
    lens = {name: getattr(camera, name) / block for name in ("fl_x", "fl_y", "cx", "cy")}
    return (means + 0.5).astype(image.dtype), replace(camera, width=width, height=height, **lens)


@lru_cache(maxsize=2)
def _samples(lens: _Lens, target: _Lens, times: int) -> BilinearSamples:
    """Samples of a lens' photo for a pinhole target. Photos usually share one lens, so the last ones are kept."""
    width, height, fl_x, fl_y, cx, cy, coefficients = lens
    columns, rows, target_fl_x, target_fl_y, target_cx, target_cy, _ = target
    x = ((np.arange(columns * times) + 0.5) / times - target_cx) / target_fl_x
    y = ((np.arange(rows * times) + 0.5) / times - target_cy) / target_fl_y
    points = np.stack(np.meshgrid(x, y), axis=2).reshape(-1, 2)
    source = distort(points, coefficients) * [fl_x, fl_y] + [cx - 0.5, cy - 0.5]
    source = source.reshape(len(y), len(x), 2).clip(0, [width - 1, height - 1])
    corner = np.minimum(source.astype(np.int32), [width - 2, height - 2]).clip(0)
    right, lower = (np.ascontiguousarray(share, np.float32) for share in np.moveaxis(source - corner, 2, 0))
    return BilinearSamples(times, (corner[..., 1] * width + corner[..., 0]).astype(np.int32), right, lower)


def forget_samples() -> None:
    """Free the memory of the samples that are kept for the next photo."""
    _samples.cache_clear()
