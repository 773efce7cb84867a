"""Lens distortion by OpenCV's model, and removing it from photos."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .camera import Camera

BORDER_SAMPLES = 64


def distort(points: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    """Ideal image points [N, 2] at depth one -> where the lens puts them.

    OpenCV's rational model: k1, k2, p1, p2, k3, k4, k5, k6; missing ones are zero.
    """
    k1, k2, p1, p2, k3, k4, k5, k6 = (*coefficients, *(0.0,) * (8 - len(coefficients)))
    x, y = points[:, 0], points[:, 1]
    r2 = x * x + y * y
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    return np.stack([x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y], axis=1)


def undistorted_camera(camera: Camera, width: int, height: int) -> Camera:
    """A perfect pinhole of the given size that sees only what the photo shows: no empty border."""
    if not camera.distortion:
        return camera.resized(width, height)
    ideal = replace(camera, distortion=())
    zoom = 1.0
    for _ in range(60):
        if _sees_only_the_photo(camera, _zoomed(ideal, zoom)):
            break
        zoom *= 1.01
    return _zoomed(ideal, zoom).resized(width, height)


def _zoomed(camera: Camera, zoom: float) -> Camera:
    return replace(camera, fl_x=camera.fl_x * zoom, fl_y=camera.fl_y * zoom)


def _sees_only_the_photo(camera: Camera, ideal: Camera) -> bool:
    """Whether the border of the ideal image comes from inside the photo (half a pixel of the border may be repeated)."""
    across = np.linspace(0.5, ideal.width - 0.5, BORDER_SAMPLES)
    down = np.linspace(0.5, ideal.height - 0.5, BORDER_SAMPLES)
    border = np.concatenate([np.stack([across, np.full_like(across, y)], axis=1) for y in (0.5, ideal.height - 0.5)]
                            + [np.stack([np.full_like(down, x), down], axis=1) for x in (0.5, ideal.width - 0.5)])
    source = source_pixels(camera, ideal, border)
    return bool((source >= 0).all() and (source <= [camera.width, camera.height]).all())


def source_pixels(camera: Camera, ideal: Camera, pixels: np.ndarray) -> np.ndarray:
    """Where pixels [N, 2] of the ideal image lie in the photo."""
    points = (pixels - [ideal.cx, ideal.cy]) / [ideal.fl_x, ideal.fl_y]
    return distort(points, camera.distortion) * [camera.fl_x, camera.fl_y] + [camera.cx, camera.cy]


def undistort_image(image: np.ndarray, camera: Camera, ideal: Camera) -> np.ndarray:
    """Resample a float image [H, W, C], bilinear. `camera` has the image's size, `ideal` the result's."""
    x, y = np.meshgrid(np.arange(ideal.width) + 0.5, np.arange(ideal.height) + 0.5)
    source = source_pixels(camera, ideal, np.stack([x.ravel(), y.ravel()], axis=1)) - 0.5
    height, width = image.shape[:2]
    left = np.clip(np.floor(source).astype(int), 0, [width - 2, height - 2])
    share = np.clip(source - left, 0.0, 1.0).astype(np.float32)[:, :, None]  # [N, 2, 1]
    flat = image.reshape(height * width, -1)
    corner = left[:, 1] * width + left[:, 0]
    top = flat[corner] * (1 - share[:, 0]) + flat[corner + 1] * share[:, 0]
    bottom = flat[corner + width] * (1 - share[:, 0]) + flat[corner + width + 1] * share[:, 0]
    return (top * (1 - share[:, 1]) + bottom * share[:, 1]).reshape(ideal.height, ideal.width, -1)
