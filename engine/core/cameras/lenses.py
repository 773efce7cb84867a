"""Every lens of COLMAP as OpenCV's rational distortion model: exact where it is one of its family, else fitted to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..errors import UserError
from .distortion import MAX_FOV_SCALE, Coefficients, distort

# COLMAP's camera models: id, name, number of parameters (colmap/src/colmap/sensor/models.h)
MODELS = {0: ("SIMPLE_PINHOLE", 3), 1: ("PINHOLE", 4), 2: ("SIMPLE_RADIAL", 4), 3: ("RADIAL", 5), 4: ("OPENCV", 8),
          5: ("OPENCV_FISHEYE", 8), 6: ("FULL_OPENCV", 12), 7: ("FOV", 5), 8: ("SIMPLE_RADIAL_FISHEYE", 4),
          9: ("RADIAL_FISHEYE", 5), 10: ("THIN_PRISM_FISHEYE", 12), 11: ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
          12: ("SIMPLE_DIVISION", 4), 13: ("DIVISION", 5), 14: ("SIMPLE_FISHEYE", 3), 15: ("FISHEYE", 4), 16: ("EUCM", 6),
          17: ("EQUIRECTANGULAR", 2)}
PARAMETERS = dict(MODELS.values())
ONE_FOCAL_LENGTH = ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "SIMPLE_DIVISION",
                    "SIMPLE_FISHEYE")
UNDISTORT = "Undistort the images first: colmap image_undistorter."

BROWN = "BROWN"
"""Brown's lens with four radial terms, as Metashape, RealityScan and nerfstudio have it: fl_x fl_y cx cy k1 k2 p1 p2 k3 k4, in OpenCV's
order and signs, k4 being the factor of r⁸. OpenCV's own k4 divides instead."""

ANGLES, RADII = 96, 96
"""Directions and angles off the axis at which a lens is fitted."""

FIT_STEPS = 8
SMALL = 1e-6
TOLERANCE = 1e-3
"""How wrong a fitted lens may be somewhere in the photo, as a share of its longest side."""

Pinhole = tuple[float, float, float, float]
"""fl_x, fl_y, cx, cy in pixels."""

_Bend = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Lens:
    """A lens as COLMAP describes it: name of the model, photo size in pixels, parameters in the model's order."""

    model: str
    width: int
    height: int
    params: tuple[float, ...]

    @property
    def pinhole(self) -> Pinhole:
        """What the lens would be without its bending."""
        p = self.params
        return (p[0], *p[:3]) if self.model in ONE_FOCAL_LENGTH else p[:4]  # type: ignore[return-value]

    @property
    def distortion_params(self) -> tuple[float, ...]:
        """The parameters after the pinhole's."""
        return self.params[3 if self.model in ONE_FOCAL_LENGTH else 4 :]


def opencv_lens(lens: Lens) -> tuple[Pinhole, Coefficients]:
    """The pinhole and OpenCV's k1, k2, p1, p2, k3, k4, k5, k6 of a lens, without zeros at the end.

    UserError for lenses that no pinhole photo can be made of, and for those that the rational model fits badly.
    """
    match lens.model:
        case "SIMPLE_PINHOLE" | "PINHOLE" | "SIMPLE_RADIAL" | "RADIAL" | "OPENCV" | "FULL_OPENCV":
            return lens.pinhole, trimmed(lens.distortion_params)
        case model if model in _BENDS:
            return _fitted(lens)
        case other:
            raise UserError(f"The lens model {other} is not supported.", UNDISTORT, "lens.unsupported", other=other)


def brown_lens(size: tuple[int, int], pinhole: Pinhole, radial: Coefficients,
               tangential: tuple[float, float]) -> tuple[Pinhole, Coefficients]:
    """The pinhole and OpenCV's coefficients of Brown's lens with up to four `radial` terms; `tangential` are OpenCV's p1 and p2.

    UserError where k4 bends more than the rational model follows.
    """
    k1, k2, k3, k4 = (*radial, 0.0, 0.0, 0.0, 0.0)[:4]
    if not k4:
        return pinhole, trimmed((k1, k2, *tangential, k3))
    return opencv_lens(Lens(BROWN, *size, (*pinhole, k1, k2, *tangential, k3, k4)))


def trimmed(distortion: Coefficients) -> Coefficients:
    """Without zeros at the end."""
    while distortion and not distortion[-1]:
        distortion = distortion[:-1]
    return distortion


def distorted(lens: Lens, points: np.ndarray) -> np.ndarray:
    """Ideal image points [N, 2] at depth one -> where a fisheye, division or other bent lens puts them [N, 2]; NaN where it ends."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return _BENDS[lens.model](lens.distortion_params)(points)


@lru_cache(maxsize=64)
def _fitted(lens: Lens) -> tuple[Pinhole, Coefficients]:
    """The rational model that is nearest to a lens wherever an undistorted photo can look."""
    fl_x, fl_y, cx, cy = lens.pinhole
    points = _seen(lens)
    middle = float(np.linalg.norm(distorted(lens, np.array([[SMALL, 0.0]])))) / SMALL  # what the lens does to the focal length
    bent = distorted(lens, points) / middle
    coefficients = _fit(points, bent) if len(points) >= ANGLES and np.isfinite(bent).all() else ()
    if not coefficients or not misfit(lens, coefficients, middle) < TOLERANCE * max(lens.width, lens.height):
        numbers = ", ".join(f"{value:.4g}" for value in lens.params)
        raise UserError(f"The lens {lens.model} ({numbers}) bends light in a way that training cannot follow.", UNDISTORT, "lens.bends",
                        model=lens.model, numbers=numbers)
    return (fl_x * middle, fl_y * middle, cx, cy), trimmed(coefficients)


def misfit(lens: Lens, coefficients: Coefficients, middle: float) -> float:
    """The largest distance in pixels between a lens and its rational model within the photo."""
    points = _seen(lens)
    error = (distort(points, coefficients) * middle - distorted(lens, points)) * lens.pinhole[:2]
    return float(np.linalg.norm(error, axis=1).max(initial=0.0))


def _seen(lens: Lens) -> np.ndarray:
    """Ideal points [N, 2] that the lens puts into the photo, up to where undistorted photos end."""
    fl_x, fl_y, cx, cy = lens.pinhole
    low, high = np.array([-cx / fl_x, -cy / fl_y]), np.array([(lens.width - cx) / fl_x, (lens.height - cy) / fl_y])
    farthest = MAX_FOV_SCALE * float(np.linalg.norm(np.maximum(np.abs(low), np.abs(high))))
    angles = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)
    radii = np.tan(np.linspace(0, np.arctan(farthest), RADII + 1)[1:])
    rays = radii[None, :, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)[:, None]  # [A, R, 2]
    bent = distorted(lens, rays.reshape(-1, 2)).reshape(rays.shape)
    reach = np.linalg.norm(bent, axis=2)
    inside = ((bent >= low) & (bent <= high)).all(axis=2) & (np.diff(reach, axis=1, prepend=0) > 0)
    return rays[np.logical_and.accumulate(inside, axis=1)]


def _fit(points: np.ndarray, bent: np.ndarray) -> Coefficients:
    """Least squares for N/D + tangential terms, with the last round's D as weight (Sanathanan and Koerner 1963)."""
    (x, y), (u, v) = points.T, bent.T
    r2 = x * x + y * y
    powers = np.stack([r2, r2**2, r2**3])  # [3, N]
    below, coefficients = np.ones_like(r2), np.zeros(8)
    for _ in range(FIT_STEPS):
        rows_x = [*(x * powers), *(-u * powers), 2 * below * x * y, below * (r2 + 2 * x * x)]
        rows_y = [*(y * powers), *(-v * powers), below * (r2 + 2 * y * y), 2 * below * x * y]
        rows = np.concatenate([np.stack(rows_x, axis=1) / below[:, None], np.stack(rows_y, axis=1) / below[:, None]])
        wanted = np.concatenate([(u - x) / below, (v - y) / below])
        size = np.linalg.norm(rows, axis=0) + 1e-30
        k1, k2, k3, k4, k5, k6, p1, p2 = coefficients = np.linalg.lstsq(rows / size, wanted, rcond=1e-12)[0] / size
        below = np.maximum(1 + k4 * powers[0] + k5 * powers[1] + k6 * powers[2], 1e-6)
    k1, k2, k3, k4, k5, k6, p1, p2 = (float(value) for value in coefficients)
    return k1, k2, p1, p2, k3, k4, k5, k6


def _angular(points: np.ndarray) -> np.ndarray:
    """Points whose distance to the centre is the angle off the axis [N, 2]."""
    radius = np.linalg.norm(points, axis=1, keepdims=True)
    return points * np.arctan(radius) / np.maximum(radius, 1e-12)


def _series(points: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    """k1 r² + k2 r⁴ + ... [N, 1]."""
    r2 = (points**2).sum(axis=1, keepdims=True)
    total = np.zeros_like(r2)
    for k in reversed(coefficients):
        total = (total + k) * r2
    return total


def _tangential(points: np.ndarray, p1: float, p2: float) -> np.ndarray:
    """OpenCV's tangential shift [N, 2]."""
    x, y = points.T
    r2 = x * x + y * y
    return np.stack([2 * p1 * x * y + p2 * (r2 + 2 * x * x), 2 * p2 * x * y + p1 * (r2 + 2 * y * y)], axis=1)


def _fisheye(k: tuple[float, ...]) -> _Bend:
    def bent(points: np.ndarray) -> np.ndarray:
        angular = _angular(points)
        return angular * (1 + _series(angular, k))
    return bent


def _thin_prism(k: tuple[float, ...]) -> _Bend:
    k1, k2, p1, p2, k3, k4, s1, s2 = k

    def bent(points: np.ndarray) -> np.ndarray:
        angular = _angular(points)
        return angular * (1 + _series(angular, (k1, k2, k3, k4))) + _tangential(angular, p1, p2) + _series(angular, (1.0,)) * [s1, s2]
    return bent


def _rad_tan_thin_prism(k: tuple[float, ...]) -> _Bend:
    *radial, p0, p1, s0, s1, s2, s3 = k

    def bent(points: np.ndarray) -> np.ndarray:
        angular = _angular(points)
        bare = angular * (1 + _series(angular, tuple(radial)))
        prism = np.concatenate([_series(bare, (s0, s1)), _series(bare, (s2, s3))], axis=1)
        return bare + _tangential(bare, p1, p0) + prism
    return bent


def _brown(k: tuple[float, ...]) -> _Bend:
    k1, k2, p1, p2, k3, k4 = k
    return lambda points: points * (1 + _series(points, (k1, k2, k3, k4))) + _tangential(points, p1, p2)


def _field_of_view(k: tuple[float, ...]) -> _Bend:
    """Devernay and Faugeras 2001; a small angle is a pinhole."""
    def bent(points: np.ndarray) -> np.ndarray:
        radius = np.linalg.norm(points, axis=1, keepdims=True)
        return points * np.arctan(2 * radius * np.tan(k[0] / 2)) / np.maximum(radius * k[0], 1e-12) if abs(k[0]) > 1e-6 else points
    return bent


def _division(k: tuple[float, ...]) -> _Bend:
    """Fitzgibbon 2001, solved for the bent radius."""
    return lambda points: 2 * points / (1 + np.sqrt(1 - 4 * k[0] * (points**2).sum(axis=1, keepdims=True)))


def _unified(k: tuple[float, ...]) -> _Bend:
    """The enhanced unified camera model (Khomutenko et al. 2016)."""
    alpha, beta = k
    return lambda points: points / (alpha * np.sqrt(1 + beta * (points**2).sum(axis=1, keepdims=True)) + 1 - alpha)


_BENDS: dict[str, Callable[[tuple[float, ...]], _Bend]] = {
    BROWN: _brown,
    "SIMPLE_FISHEYE": _fisheye, "FISHEYE": _fisheye, "SIMPLE_RADIAL_FISHEYE": _fisheye, "RADIAL_FISHEYE": _fisheye,
    "OPENCV_FISHEYE": _fisheye, "FOV": _field_of_view, "THIN_PRISM_FISHEYE": _thin_prism,
    "RAD_TAN_THIN_PRISM_FISHEYE": _rad_tan_thin_prism, "SIMPLE_DIVISION": _division, "DIVISION": _division, "EUCM": _unified,
}
