"""Equirectangular panoramas as cubes of pinhole views.

The middle of a panorama is where its camera looks, its left and right borders are behind it, its first row is above
(OpenSfM, "Spherical Camera"; nerfstudio's EQUIRECTANGULAR): u = lon / 2π + 1/2, v = 1/2 - lat / π. Turned photos of the whole sphere are
twice as wide as high.
"""

from __future__ import annotations

from functools import lru_cache
from math import pi

import numpy as np

from .camera import Camera
from .sampling import IN_NUMPY, BilinearSamples, Sampling


def _about(axis: int, degrees: float) -> np.ndarray:
    """A turn [4, 4] about x (0) or y (1)."""
    c, s = round(np.cos(np.radians(degrees))), round(np.sin(np.radians(degrees)))
    matrix = np.eye(4)
    matrix[:3, :3] = [[1, 0, 0], [0, c, -s], [0, s, c]] if axis == 0 else [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    return matrix


FACES = {"front": np.eye(4), "right": _about(1, -90), "back": _about(1, 180), "left": _about(1, 90),
         "up": _about(0, 90), "down": _about(0, -90)}
"""The six cuts, each with its turn [4, 4] from its own camera to the panorama's, in Blender's axes."""

QUARTERS = {"right": 1, "back": 2, "left": -1}
"""Quarters of a turn to the right from the front."""

WHOLE = 2.0
"""Width over height of a whole sphere."""
OFF_SHAPE = 0.02


def is_whole_sphere(width: float, height: float) -> bool:
    """Whether an image has the shape of a whole equirectangular panorama."""
    return height > 0 and abs(width / height / WHOLE - 1) < OFF_SHAPE


def face_size(width: int) -> int:
    """Pixels on each side of a cut of a panorama of that width."""
    return max(1, round(width / 4))


def face_camera(pose: np.ndarray, face: str, width: int) -> Camera:
    """The pinhole of a cut: 90 degrees wide. `pose` [4, 4] is the panorama's camera_to_world in Blender's convention."""
    size = face_size(width)
    return Camera(size, size, size / 2, size / 2, size / 2, size / 2, np.asarray(pose, np.float64) @ FACES[face])


def face_name(name: str, face: str) -> str:
    """What the cut of an image is called: a/b.jpg -> a/b_front.jpg."""
    stem, dot, ending = name.rpartition(".")
    return f"{stem}_{face}{dot}{ending}" if stem and "/" not in ending else f"{name}_{face}"


def cut_face(image: np.ndarray, face: str, sampling: Sampling = IN_NUMPY) -> np.ndarray:
    """A cut of a panorama uint8 [H, W, C ≤ 4], bilinear across its seam: uint8 [S, S, C], S = W / 4."""
    height, width, _ = image.shape
    if face in QUARTERS and width % 4 == 0:  # the same as the front of a turned panorama, whose samples are known
        return cut_face(np.roll(image, -QUARTERS[face] * (width // 4), axis=1), "front", sampling)
    seamless = np.pad(image, ((0, 0), (1, 1), (0, 0)), "wrap")
    return (sampling.bilinear(seamless, _samples(face, width, height)) + 0.5).astype(np.uint8)


def cut_mask(mask: np.ndarray, face: str) -> np.ndarray:
    """The nearest pixels of a mask [H, W] of a panorama: [S, S]."""
    height, width = mask.shape
    column, row = _places(face, width, height)
    return mask[np.rint(row).astype(np.int32).clip(0, height - 1), np.rint(column).astype(np.int32) % width]


@lru_cache(maxsize=3)
def _samples(face: str, width: int, height: int) -> BilinearSamples:
    """Where the pixels of a cut lie in a panorama with one more column on each side. Images usually share one size."""
    column, row = _places(face, width, height)
    row = row.clip(0, height - 1)
    left, top = np.floor(column), np.minimum(np.floor(row), height - 2).clip(0)
    corner = (top * (width + 2) + left + 1).astype(np.int32)
    return BilinearSamples(1, corner, (column - left).astype(np.float32), (row - top).astype(np.float32))


def _places(face: str, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Column and row [S, S] in the panorama of the middle of each pixel of a cut, counted from the middle of its first pixel."""
    size = face_size(width)
    across = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(across, -across)
    rays = np.stack([x, y, -np.ones_like(x)], axis=2) @ FACES[face][:3, :3].T  # [S, S, 3] in the panorama's camera
    longitude = np.arctan2(rays[..., 0], -rays[..., 2])
    latitude = np.arctan2(rays[..., 1], np.hypot(rays[..., 0], rays[..., 2]))
    return (longitude / (2 * pi) + 0.5) * width - 0.5, (0.5 - latitude / pi) * height - 0.5
