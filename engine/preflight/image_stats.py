"""What one image shows, measured while it is read once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from ..core.cameras.distortion import undistorted_camera
from ..core.datasets.dataset import LeftOut, View
from ..core.errors import UserError
from ..core.images.color_profile import color_profile
from ..training.data.images import area_average, each_in_threads, fitted_camera
from ..training.data.view_files import Seen, ViewFiles
from .mask_checks import mask_trouble

THUMBNAIL = 128
"""Longest side of the small copies that the contact sheet shows and that start points are compared with."""

MEASURED = 640
"""Images are averaged down to this longest side, or a little more, before they are measured: what a training sees."""

SAMPLE = 40_000
"""Pixels of an image that its colours are measured from."""

OPAQUE = 128
CLIPPED = 252
WEAKEST_STEP = 1.0
"""Mean squared difference of neighbours, in grey levels, from which on sharpness means anything."""

THIRDS = np.full(3, 1 / 3, np.float32)
_LINEAR = (np.arange(256) / 255.0) ** 2.2


@dataclass(frozen=True)
class Unreadable:
    """An image that cannot be used, and why."""

    view: View
    error: UserError


@dataclass(frozen=True)
class ImageStats:
    """The measures of one image. Means are over its opaque pixels alone; colours are display values from 0 to 255."""

    view: View
    size: tuple[int, int]
    """width and height in pixels"""
    digest: bytes
    """equal for equal pixels, at the size that they are measured at"""
    thumbnail: np.ndarray  # [h, w, 4] uint8, straight alpha
    profile: str
    """colour space that the file names; empty for none or sRGB"""
    transparent: bool
    """whether it has pixels that are not opaque"""
    opaque: float
    """share of its pixels that are opaque"""
    mean: float
    contrast: float
    """standard deviation of its grey values"""
    clipped: float
    """share of pixels that are white in all channels"""
    color: float
    """mean distance of the channels from grey"""
    light: np.ndarray  # [3] mean linear red, green, blue, from 0 to 1
    sharpness: float
    """squared differences of pixels 1 apart, as a share of those 4 apart; NaN where the image is flat"""


def linear(colors: np.ndarray) -> np.ndarray:
    """Display values uint8 -> light from 0 to 1, by a plain gamma of 2.2."""
    return _LINEAR[colors]


@dataclass(frozen=True)
class Looks:
    """What a look at every view has found."""

    all_stats: list[ImageStats]
    unreadable: list[Unreadable]
    masks: dict[str, str]
    """what is wrong with the mask of each view that has one, by its name; empty when nothing is"""
    maps: list[LeftOut]
    """what is wrong with other maps"""


MapCheck = Callable[[ViewFiles], list[LeftOut]]
"""Finds the maps of a view that cannot be used."""


def measure_images(views: tuple[View, ...], tick: Callable[[], None] = lambda: None, seen: Seen = lambda _: None,
                   maps: MapCheck = lambda _: []) -> Looks:
    """Read image and mask of every view once, and the maps that `maps` looks at.

    `tick` is called for each in the caller's thread, `seen` with the decoded files in the thread that has read them.
    """
    found = Looks([], [], {}, [])
    with closing(each_in_threads(lambda view: _measure(ViewFiles(view), seen, maps), views)) as looked:
        for view, (stats, trouble, lost) in zip(views, looked, strict=True):
            tick()
            found.maps.extend(lost)
            if isinstance(stats, ImageStats):
                found.all_stats.append(stats)
            else:
                found.unreadable.append(stats)
            if view.mask:
                found.masks[view.name] = trouble
    return found


def _measure(files: ViewFiles, seen: Seen, maps: MapCheck) -> tuple[ImageStats | Unreadable, str, list[LeftOut]]:
    """An image, and what is wrong with its mask and its other maps."""
    trouble = mask_trouble(files)
    try:
        undistorted_camera(fitted_camera(files.view, files.image))
        stats = measured(files.view, files.image)
    except UserError as error:
        return Unreadable(files.view, error), trouble, []
    lost = maps(files)
    seen(files)
    return stats, trouble, lost


def measured(view: View, image: np.ndarray) -> ImageStats:
    """The measures of an image uint8 [H, W, 3 or 4]."""
    small = _reduced(image, MEASURED)
    solid = small[..., 3] >= OPAQUE if small.shape[2] == 4 else np.ones(small.shape[:2], bool)
    colors = _sample(small, solid)
    grey = colors @ THIRDS
    return ImageStats(
        view=view, size=(image.shape[1], image.shape[0]), digest=hashlib.blake2b(small.tobytes(), digest_size=16).digest(),
        thumbnail=_thumbnail(small), profile=color_profile(view.image),
        transparent=image.shape[2] == 4 and bool((image[..., 3] < 255).any()), opaque=float(solid.mean()),
        mean=float(grey.mean()), contrast=float(grey.std()),
        clipped=float((colors >= CLIPPED).all(axis=1).mean()), color=float(np.abs(colors - grey[:, None]).mean()),
        light=_mean_light(colors), sharpness=_sharpness(small[..., 1].astype(np.float32), solid),
    )


def _mean_light(colors: np.ndarray) -> np.ndarray:
    """Mean linear red, green and blue [3] of display values uint8 [N, 3]."""
    return np.array([np.bincount(channel, minlength=256) @ _LINEAR for channel in colors.T]) / len(colors)


def _reduced(image: np.ndarray, longest: int) -> np.ndarray:
    """Average whole blocks of pixels so that the longest side is `longest` or a little more; uint8 [h, w, C]."""
    block = max(image.shape[:2]) // longest
    if block < 2:
        return image
    height, width = (max(1, side // block) for side in image.shape[:2])
    return (area_average(image[: height * block, : width * block], width, height) + 0.5).astype(np.uint8)


def _sample(image: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """At most about SAMPLE opaque colours, evenly spread, [N, 3] uint8; one black pixel where there are none."""
    rows = np.flatnonzero(solid)
    rows = rows[:: max(1, len(rows) // SAMPLE)]
    return image.reshape(-1, image.shape[2])[rows, :3] if len(rows) else np.zeros((1, 3), np.uint8)


def _thumbnail(image: np.ndarray) -> np.ndarray:
    """uint8 [h, w, 4], at most THUMBNAIL on the longest side."""
    height, width = image.shape[:2]
    factor = min(1.0, THUMBNAIL / max(height, width))
    small = (area_average(image, max(1, round(width * factor)), max(1, round(height * factor))) + 0.5).astype(np.uint8)
    return small if small.shape[2] == 4 else np.concatenate([small, np.full((*small.shape[:2], 1), 255, np.uint8)], axis=2)


def _sharpness(grey: np.ndarray, solid: np.ndarray) -> float:
    """The structure function of [H, W] at 1 pixel over the one at 4: about 0.2 to 0.3 for a sharp photo, a sixteenth for a smear.

    The smaller of rows and columns at 1 over their mean at 4, so that a smear in one direction shows.
    """
    near, far = min(_differences(grey, solid, 1)), sum(_differences(grey, solid, 4)) / 2
    return near / far if far > WEAKEST_STEP else float("nan")


def _differences(grey: np.ndarray, solid: np.ndarray, step: int) -> tuple[float, float]:
    """Mean squared differences of opaque pixels `step` apart, down and across."""
    down, across = (slice(step, None), slice(None, -step)), ((slice(None), slice(step, None)), (slice(None), slice(None, -step)))
    means = [float((np.square(grey[a] - grey[b]) * both).sum() / max(1, int(both.sum())))
             for a, b in (down, across) for both in (solid[a] & solid[b],)]
    return means[0], means[1]
