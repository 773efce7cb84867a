"""Photos and renders as training targets: decoded, undistorted, reduced, kept as bytes."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.camera import Camera
from ..core.dataset import View
from ..core.distortion import undistort_image, undistorted_camera
from ..core.errors import UserError
from ..core.files import disk_error
from ..core.png import SIGNATURE, Unfilter, decode_png
from .backend import Target

REDUCTIONS = (1, 2, 4)
SMALLEST_SIDE = 8


@dataclass(frozen=True)
class TargetPyramid:
    """One view at full, half and quarter size."""

    full: Target
    half: Target
    quarter: Target

    def at(self, reduction: int) -> Target:
        """The target at 1, 1/2 or 1/4 of the size."""
        return {1: self.full, 2: self.half, 4: self.quarter}[reduction]


def load_targets(views: Sequence[View], resolution: int, tick: Callable[[], None] = lambda: None) -> list[TargetPyramid]:
    """Read every view at no more than `resolution` pixels on the longest side. `tick` is called for each."""
    pyramids = []
    for view in views:
        tick()
        pyramids.append(load_pyramid(view, resolution))
    return pyramids


def load_pyramid(view: View, resolution: int) -> TargetPyramid:
    """Read one view; UserError names the file when it is damaged or does not fit its camera."""
    image = read_image(view.image)
    camera = _fitted(view, image)
    linear = _premultiplied(image)
    factor = min(1.0, resolution / max(camera.width, camera.height))
    sizes = [(max(SMALLEST_SIDE, round(camera.width * factor / n)), max(SMALLEST_SIDE, round(camera.height * factor / n))) for n in REDUCTIONS]
    if camera.distortion:
        ideal = undistorted_camera(camera, camera.width, camera.height)
        linear, camera = undistort_image(linear, camera, ideal), ideal
    return TargetPyramid(*(Target(camera.resized(*size), _straight(_reduced(linear, *size))) for size in sizes))


def read_image(path: Path) -> np.ndarray:
    """uint8 [H, W, 3 or 4] of an image file. PNG needs no package, everything else needs Pillow."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise disk_error(path, error) from error
    try:
        return decode_png(data, _fast_unfilter()) if data.startswith(SIGNATURE) else _with_pillow(path, data)
    except UserError as error:
        raise UserError(f"{path.name}: {error.message}", error.hint) from None
    except (ValueError, zlib.error, OSError, SyntaxError, OverflowError):
        raise UserError(f"{path.name} is damaged and cannot be read.", "Replace the image, or remove it from the dataset.") from None


def _with_pillow(path: Path, data: bytes) -> np.ndarray:
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise UserError("The built-in engine reads PNG images only.", "Convert the images to PNG (in Blender: button Convert Images), or install the full engine.") from None
    try:
        with Image.open(io.BytesIO(data)) as opened:
            upright = ImageOps.exif_transpose(opened) or opened
            mode = "RGBA" if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info else "RGB"
            return np.asarray(upright.convert(mode))
    except UnidentifiedImageError:
        raise UserError("This is no image.", "Remove it from the dataset.") from None


def _fast_unfilter() -> Unfilter | None:
    """The kernels' PNG unfilter; None (plain Python) where there are no kernels."""
    try:
        from .cpu.library import png_unfilter
    except ImportError:
        return None
    return png_unfilter


def _fitted(view: View, image: np.ndarray) -> Camera:
    """The view's camera at the size of its image; UserError when the proportions differ."""
    height, width = image.shape[:2]
    camera = view.camera
    if (width, height) == (camera.width, camera.height):
        return camera
    if abs(width * camera.height / camera.width - height) > 1.5:
        raise UserError(f"{view.image.name} is {width} x {height} pixels, its camera says {camera.width} x {camera.height}.",
                        "Use the images that the poses were made with.")
    return camera.resized(width, height)


def _premultiplied(image: np.ndarray) -> np.ndarray:
    """uint8 straight alpha -> float32 in [0, 255] with colours multiplied by alpha, so that averages are right."""
    out = image.astype(np.float32)
    if image.shape[2] == 4:
        out[..., :3] *= out[..., 3:] / 255.0
    return out


def _straight(image: np.ndarray) -> np.ndarray:
    """The inverse of _premultiplied, rounded to uint8. A picture without any transparency loses its alpha."""
    if image.shape[2] == 4:
        if (image[..., 3] >= 254.5).all():
            image = image[..., :3]
        else:
            image = image.copy()
            image[..., :3] *= 255.0 / np.maximum(image[..., 3:], 1e-3)
    return np.ascontiguousarray((image + 0.5).clip(0, 255).astype(np.uint8))


def _reduced(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Area average of [H, W, C] to a smaller size."""
    return _reduced_rows(_reduced_rows(image, height).swapaxes(0, 1), width).swapaxes(0, 1)


def _reduced_rows(image: np.ndarray, count: int) -> np.ndarray:
    """Area average along the first axis, by differences of the running sum at fractional borders."""
    length = len(image)
    if count >= length:
        return image
    borders = np.linspace(0, length, count + 1)
    whole = np.minimum(borders.astype(int), length - 1)
    share = (borders - whole).astype(np.float32).reshape(-1, *(1,) * (image.ndim - 1))
    sums = np.concatenate([np.zeros_like(image[:1], np.float64), np.cumsum(image, axis=0, dtype=np.float64)])
    at_borders = sums[whole] + share * image[whole]
    return (np.diff(at_borders, axis=0) * (count / length)).astype(np.float32)
