"""Averages of images over areas, and samples between their pixels, in numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

BAND_PIXELS = 1 << 16
"""Samples that are resampled at a time: what fits into a processor's cache."""


@dataclass(frozen=True)
class BilinearSamples:
    """Where the pixels of a target lie in a photo: `times` x `times` samples for each, row by row."""

    times: int
    corner: np.ndarray  # [h * times, w * times] int32, index of the upper left of four pixels
    right: np.ndarray  # [h * times, w * times] float32, share of the right ones
    lower: np.ndarray  # [h * times, w * times] float32, share of the lower ones

    def bands(self) -> Iterator[tuple[slice, BilinearSamples]]:
        """Cut into bands of rows: those of the target, and their samples."""
        height, width = self.corner.shape
        count = max(1, BAND_PIXELS // (width * self.times))
        for first in range(0, height // self.times, count):
            rows = slice(first, min(first + count, height // self.times))
            fine = slice(rows.start * self.times, rows.stop * self.times)
            yield rows, BilinearSamples(self.times, self.corner[fine], self.right[fine], self.lower[fine])


@dataclass(frozen=True)
class Sampling:
    """What averages and samples images: numpy, or something faster that does the same."""

    area_average: Callable[[np.ndarray, int, int], np.ndarray]
    bilinear: Callable[[np.ndarray, BilinearSamples], np.ndarray]
    premultiplied: Callable[[np.ndarray], np.ndarray]


def area_average(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Average [H, W, C] over the area of each pixel of a smaller size, fractions of pixels included: float32 [height, width, C].

    Sizes that grow repeat pixels.
    """
    rows = _average_rows(image, height)
    return np.ascontiguousarray(_average_rows(np.ascontiguousarray(rows.swapaxes(0, 1)), width).swapaxes(0, 1))


def bilinear(image: np.ndarray, samples: BilinearSamples) -> np.ndarray:
    """The samples of an image uint8 or uint16 [H, W, C ≤ 4], averaged: float32 [h, w, C], values in the image's units."""
    height, width, channels = image.shape
    packed = np.zeros((height, width, 4), image.dtype)
    packed[..., :channels] = image
    flat = packed.view(f"u{4 * image.itemsize}").ravel()  # a pixel is one number, so that one look-up fetches it
    rows, columns = (side // samples.times for side in samples.corner.shape)
    out = np.empty((rows, columns, channels), np.float32)
    for band, part in samples.bands():
        out[band] = _averages(flat, width, image.dtype, part)[..., :channels]
    return out


def premultiplied(image: np.ndarray) -> np.ndarray:
    """Straight alpha uint8 [..., 4] -> uint16 times alpha, so that averages are right and nothing is rounded."""
    alpha = image[..., 3:].astype(np.uint16)
    return np.concatenate([image[..., :3] * alpha, alpha * np.uint16(255)], axis=-1)


IN_NUMPY = Sampling(area_average, bilinear, premultiplied)


def _average_rows(image: np.ndarray, count: int) -> np.ndarray:
    """Area average along the first axis."""
    length = len(image)
    borders = np.arange(count + 1) * (length / count)
    first = np.minimum(borders.astype(int), length - 1)
    share = (borders - first).astype(np.float32).reshape(-1, *(1,) * (image.ndim - 1))  # of pixel `first` that lies before the border
    split = image[first] * share  # [count + 1, ...] float32
    if count >= length:
        return image[first[:-1]].astype(np.float32)
    sums = np.add.reduceat(image, first[:-1], axis=0, dtype=np.float32)  # the last one also counts the last pixel
    sums += split[1:] - split[:-1]
    sums[-1] -= split[-1]
    return sums * np.float32(count / length)


def _averages(flat: np.ndarray, step: int, kind: np.dtype, samples: BilinearSamples) -> np.ndarray:
    """Bilinear samples of packed pixels [H * W], `step` in a row, averaged: float32 [h, w, 4]."""
    height, width = samples.corner.shape
    right, lower = samples.right[..., None], samples.lower[..., None]

    def fetch(offset: int) -> np.ndarray:
        return flat.take(samples.corner + offset, mode="clip").view(kind).reshape(height, width, 4).astype(np.float32)

    upper_left, lower_left = fetch(0), fetch(step)
    upper_left += (fetch(1) - upper_left) * right
    lower_left += (fetch(step + 1) - lower_left) * right
    upper_left += (lower_left - upper_left) * lower
    return _mean_of_squares(upper_left, samples.times)


def _mean_of_squares(samples: np.ndarray, times: int) -> np.ndarray:
    """Means [h, w, C] of `times` x `times` samples [h * times, w * times, C] each."""
    if times == 1:
        return samples
    height, width, channels = samples.shape
    split = samples.reshape(height // times, times, width // times, times, channels)
    across = np.zeros((height // times, times, width // times, channels), np.float32)
    for column in range(times):  # much quicker than mean()
        across += split[:, :, :, column]
    return across.sum(axis=1) * np.float32(1 / times**2)
