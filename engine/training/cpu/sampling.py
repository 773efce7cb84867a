"""Averages of images by the kernels: what core/cameras/sampling.py does in numpy."""

from __future__ import annotations

import numpy as np

from ...core.cameras import sampling
from ...core.cameras.sampling import BilinearSamples, Sampling
from .library import PictureStruct, SamplesStruct, floats, load

AVERAGED = (np.uint8, np.uint16, np.float32)
SAMPLED = (np.uint8, np.uint16)
MOST_CHANNELS = 4


def area_average(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """As sampling.area_average(), which averages what is no image of up to four channels."""
    if image.ndim != 3 or image.shape[2] > MOST_CHANNELS or image.dtype not in AVERAGED:
        return sampling.area_average(image, width, height)
    picture, image = _picture(image)
    sums, out = np.empty(picture.width * picture.pixel + 4, np.float32), np.empty((height, width, picture.channels), np.float32)
    load().splat_area_average(picture, height, width, floats(sums, *sums.shape), floats(out, *out.shape))
    return out


def bilinear(image: np.ndarray, samples: BilinearSamples) -> np.ndarray:
    """As sampling.bilinear(); ValueError for samples of another image."""
    picture, image = _picture(np.ascontiguousarray(image))
    if samples.corner.dtype != np.int32 or samples.corner.min() < 0 or samples.corner.max() >= picture.height * picture.width:
        raise ValueError("the samples lie outside of the image")
    height, width = (side // samples.times for side in samples.corner.shape)
    out = np.empty((height, width, image.shape[2]), np.float32)
    struct = SamplesStruct(samples.corner.ctypes.data, *(floats(share, *samples.corner.shape) for share in (samples.right, samples.lower)),
                           height, width, samples.times)
    if image.dtype not in SAMPLED or load().splat_average_samples(picture, struct, floats(out, *out.shape)) < 0:
        return sampling.bilinear(image, samples)
    return out


def premultiplied(image: np.ndarray) -> np.ndarray:
    """As sampling.premultiplied()."""
    image = np.ascontiguousarray(image)
    if image.dtype != np.uint8 or image.shape[-1] != 4:
        raise ValueError(f"expected uint8 [..., 4], got {image.dtype} {image.shape}")
    out = np.empty(image.shape, np.uint16)
    load().splat_premultiply(image.ctypes.data, image.size // 4, out.ctypes.data)
    return out


KERNELS = Sampling(area_average, bilinear, premultiplied)


def _picture(image: np.ndarray) -> tuple[PictureStruct, np.ndarray]:
    """An image [H, W, C] as the kernels take it, and the array that must live as long: the same, or a copy where its pixels are not in
    their order."""
    row, pixel, number = image.strides
    size = image.itemsize
    if number != size or pixel % size or pixel < image.shape[2] * size or row < pixel * image.shape[1]:
        image = np.ascontiguousarray(image)
        row, pixel, _ = image.strides
    return PictureStruct(image.ctypes.data, row, *image.shape, pixel // size, size), image
