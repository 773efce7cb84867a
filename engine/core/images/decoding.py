"""Pixels of image files by OpenImageIO, as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .openimageio import opened
from .png import MOST_PIXELS, too_large

LIGHT = frozenset({"openexr", "hdr"})
"""Kinds of files whose numbers are linear light, of which 1 is white."""


def decode(path: Path) -> np.ndarray | None:
    """uint8 [H, W, 3 or 4] of an image file as it is stored: alpha straight, no EXIF turn, the first picture of several.

    16 bits keep their high byte. EXR and Radiance hold linear light, which becomes sRGB; what is brighter than white is white.
    None for a kind of file that OpenImageIO does not know, or when it is not there; ValueError for a damaged file, UserError for
    other floating-point images, which have no white, and for pictures that are too large.
    """
    with opened(path) as image:
        if image is None:
            return None
        spec = image.spec()
        if spec.width * spec.height > MOST_PIXELS:
            raise too_large()
        kind, names, alpha = image.format_name(), spec.channelnames, spec.alpha_channel
        pixels = image.read_image(0, 0, 0, spec.nchannels, _stored_as(spec))
        if pixels is None or image.geterror():
            raise ValueError("the image cannot be read whole")
    return _bytes_of(_color_and_alpha(np.asarray(pixels), names, alpha), kind)


def _stored_as(spec: Any) -> str:
    """The type to read in: bytes and words as they are, else floats."""
    stored = str(spec.format)
    return stored if stored in ("uint8", "uint16") else "float"


def _color_and_alpha(pixels: np.ndarray, names: Sequence[str], alpha: int) -> np.ndarray:
    """[H, W, C] of channels with these names -> [H, W, 3], or [H, W, 4] where one is alpha; grey is repeated.

    Of the layers of an EXR the first one with colours counts.
    """
    letters = [name.rpartition(".")[2].upper() for name in names]
    if set("RGB") <= set(letters):
        wanted = [letters.index(letter) for letter in "RGBA" if letter in letters]
    else:
        grey = next(channel for channel in range(pixels.shape[2]) if channel != alpha or len(names) == 1)
        wanted = [grey, grey, grey, *([alpha] if alpha >= 0 else [])]
    return pixels if wanted == list(range(pixels.shape[2])) else np.ascontiguousarray(pixels[..., wanted])


def _bytes_of(pixels: np.ndarray, kind: str) -> np.ndarray:
    """uint8, uint16 or float32 [H, W, 3 or 4] -> uint8."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return (pixels >> 8).astype(np.uint8)
    if kind not in LIGHT:
        raise UserError("Images with floating-point values are not read.", "Save them as 8-bit PNG or JPEG.", "image.floating_point")
    return display_values(pixels)


def display_values(light: np.ndarray) -> np.ndarray:
    """Linear light float32 [H, W, 3], or [H, W, 4] premultiplied with alpha, -> sRGB uint8 with straight alpha, clipped to 0 and 1."""
    light = np.nan_to_num(light, nan=0.0, posinf=1.0, neginf=0.0)
    colors, alpha = light[..., :3], light[..., 3:].clip(0, 1)
    if alpha.shape[2]:
        colors = colors / np.where(alpha > 0, alpha, 1)
    colors = colors.clip(0, 1)
    encoded = np.where(colors <= 0.0031308, 12.92 * colors, 1.055 * colors ** (1 / 2.4) - 0.055)
    return (np.concatenate([encoded, alpha], axis=2) * 255 + 0.5).astype(np.uint8)
