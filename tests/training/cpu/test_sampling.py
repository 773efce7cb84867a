"""Averages and samples of images by the kernels are those in numpy; what they are is tested in core/cameras and training/data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.core.cameras import sampling
from engine.core.cameras.camera import Camera
from engine.core.cameras.distortion import undistort_image, undistorted_camera
from engine.core.cameras.sampling import BilinearSamples
from engine.core.datasets.dataset import View
from engine.core.images.png import write_png
from engine.training.cpu import library
from engine.training.cpu.sampling import KERNELS, area_average, bilinear, premultiplied
from engine.training.data.images import fast_sampling
from engine.training.data.targets import load_pyramid

KINDS = (np.uint8, np.uint16, np.float32)


def noise(height: int, width: int, channels: int, kind: type = np.uint8) -> np.ndarray:
    made = np.random.default_rng(height * width + channels).random((height, width, channels), np.float32)
    return made if kind == np.float32 else (made * np.iinfo(kind).max).astype(kind)


@given(st.sampled_from(KINDS), st.integers(1, 40), st.integers(1, 40), st.integers(1, 4), st.integers(1, 50), st.integers(1, 50),
       st.booleans())
def test_areas_as_in_numpy(kind: type, height: int, width: int, channels: int, rows: int, columns: int, inner: bool) -> None:
    """Of whole images, and of parts that have gaps between rows and pixels."""
    image = noise(height + 2, width + 3, 4, kind)[1:-1, 2:-1, :channels] if inner else noise(height, width, channels, kind)
    mine, wanted = area_average(image, columns, rows), sampling.area_average(image, columns, rows)
    assert mine.dtype == np.float32 and mine.shape == wanted.shape
    assert np.abs(mine - wanted).max() <= 2e-6 * max(1, image.max())


@pytest.mark.parametrize("image", [
    np.arange(60.0).reshape(5, 6, 2), np.arange(60, dtype=np.float32).reshape(2, 6, 5), np.arange(60, dtype=np.float32).reshape(12, 5),
    np.arange(60, dtype=np.uint8).reshape(5, 6, 2)[::-1, ::-1],
])
def test_other_arrays_are_averaged_too(image: np.ndarray) -> None:
    assert np.allclose(area_average(image, 2, 2), sampling.area_average(image, 2, 2), atol=1e-4)


@given(st.sampled_from([np.uint8, np.uint16]), st.sampled_from([1, 2, 3, 4]), st.integers(1, 64), st.integers(1, 64),
       st.integers(1, 40), st.integers(1, 40), st.floats(-0.2, 0.2), st.floats(-0.02, 0.02))
def test_undistorted_as_in_numpy(kind: type, channels: int, height: int, width: int, rows: int, columns: int, k1: float, p1: float) -> None:
    lens = Camera(width, height, 60.0, 61.0, width / 2, height / 2, np.eye(4), (k1, 0.01, p1, -p1))
    image, target = noise(height, width, channels, kind), undistorted_camera(lens).resized(columns, rows)
    mine, wanted = (undistort_image(image, lens, target, way) for way in (KERNELS, sampling.IN_NUMPY))
    assert np.abs(mine - wanted).max() < (0.01 if kind == np.uint8 else 2.0)  # 16 bits are rounded once, where whole blocks are averaged


@given(arrays(np.uint8, st.tuples(st.integers(0, 5), st.integers(1, 9), st.just(4))))
def test_premultiplied_as_in_numpy(image: np.ndarray) -> None:
    assert np.array_equal(premultiplied(image), sampling.premultiplied(image))


def test_samples_of_the_last_pixels_read_nothing_beyond() -> None:
    """What lies behind an image does not shine through: a share of nothing of what is not a number would be none."""
    image = noise(3, 3, 3)
    last = BilinearSamples(1, np.full((1, 1), 8, np.int32), *np.zeros((2, 1, 1), np.float32))
    assert np.array_equal(bilinear(image, last)[0, 0], image[2, 2].astype(np.float32))


def test_samples_of_other_shapes_are_refused() -> None:
    odd = BilinearSamples(1, np.zeros((2, 2), np.int32), np.zeros((1, 2), np.float32), np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match="expected contiguous"):
        bilinear(noise(4, 4, 3), odd)
    with pytest.raises(ValueError, match="outside of the image"):
        bilinear(noise(4, 4, 3), BilinearSamples(1, np.full((1, 1), 16, np.int32), *np.zeros((2, 1, 1), np.float32)))
    with pytest.raises(ValueError, match="expected uint8"):
        premultiplied(noise(4, 4, 3))


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("distortion", [(), (-0.1, 0.02)])
def test_without_kernels_numpy_makes_the_same_targets(channels: int, distortion: tuple[float, ...], tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """The full engine's data come from the same files."""
    write_png(tmp_path / "a.png", noise(90, 120, channels))
    view = View("a.png", tmp_path / "a.png", Camera(120, 90, 100.0, 100.0, 60.0, 45.0, np.eye(4), distortion))
    fast = load_pyramid(view, 50)
    library.load.cache_clear()
    monkeypatch.setenv(library.OVERRIDE, str(tmp_path))
    assert fast_sampling() is sampling.IN_NUMPY
    plain = load_pyramid(view, 50)
    for reduction in (1, 2, 4):
        difference = np.abs(fast.at(reduction).image.astype(int) - plain.at(reduction).image)
        assert difference.max() <= 1 and (difference > 0).mean() < 0.01
