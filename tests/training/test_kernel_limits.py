"""The edges of what the kernels are asked for: image sizes, empty tiles, any bits as parameters, piles. Also run with bounds checking on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.gaussians import Gaussians
from engine.training.backend import StepSettings, Target
from engine.training.cpu.library import Images, Kernels, ViewStruct
from engine.training.cpu.model import NAMES, CpuModel, view_struct
from tests.scenes import colored_ball, ring_cameras

BACKGROUND = (0.1, 0.5, 0.9)
RATES = {"means": 1e-3, "quats": 1e-3, "scales": 5e-3, "opacities": 5e-2, "sh0": 5e-3, "shN": 1e-3}
SETTINGS = StepSettings(RATES, 0, BACKGROUND, 0.2, 0.01, 0.01, 1.0, 7)
SIZES = [(1, 1), (1, 40), (2, 300), (16, 16), (17, 33), (33, 17), (255, 1), (97, 65)]


def view_of(width: int, height: int) -> ViewStruct:
    """The first of the ring's cameras with the origin in pixel (32, 32), whatever the size."""
    view = view_struct(ring_cameras(1, 64)[0], BACKGROUND)
    view.width, view.height, view.cx, view.cy = width, height, 32.5, 32.5
    return view


def draw(gaussians: Gaussians, view: ViewStruct, threads: int = 2) -> tuple[Images, dict[str, np.ndarray]]:
    """Images, and gradients of their sum; loss and optimiser run too."""
    kernels, parameters = Kernels(threads), {name: array.copy() for name, array in gaussians.arrays().items()}
    images = kernels.forward(parameters, gaussians.sh_degree, view, with_depth=True)
    gradients = {name: np.full_like(array, np.nan) for name, array in parameters.items()}
    kernels.backward(np.ones_like(images.rgb), gradients, np.ones_like(images.transmittance))
    kernels.loss(images.rgb, np.zeros_like(images.rgb), 0.2, np.empty_like(images.rgb))
    for name in NAMES:
        kernels.adam(parameters[name], gradients[name], np.zeros_like(gradients[name]), np.zeros_like(gradients[name]), 0.1, 1)
    kernels.close()
    return images, gradients


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_size_agrees_with_the_reference(width: int, height: int) -> None:
    pytest.importorskip("torch")
    from tests.training.test_kernels import assert_agree, camera, scene

    assert_agree(scene(40, width, scale=0.2), camera(width, height), 3)


def test_tiles_that_nothing_touches_show_the_background() -> None:
    dot = colored_ball(1).arrays() | {"means": np.zeros((1, 3), np.float32), "scales": np.full((1, 3), -5, np.float32)}
    images, gradients = draw(Gaussians(**dot), view_of(200, 120))
    beside = np.ones((120, 200), bool)
    beside[16:48, 16:48] = False
    assert images.transmittance.min() < 0.1 and (images.transmittance[beside] == 1).all() and not images.depth[beside].any()
    assert (images.rgb[:, beside] == np.array(BACKGROUND, np.float32)[:, None]).all()
    assert np.abs(gradients["sh0"]).max() > 0


@pytest.mark.parametrize("count", [0, 1, 7, 1025])
def test_every_count_of_gaussians(count: int) -> None:
    images, gradients = draw(colored_ball(count, sh_degree=2), view_of(40, 40))
    assert gradients["shN"].shape == (count, 8, 3) and all(np.isfinite(array).all() for array in gradients.values())
    assert (images.transmittance.min() < 0.1) == (count > 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(NAMES), st.integers(1, 60))
def test_any_bits_as_parameters_leave_the_others_alone(seed: int, name: str, count: int) -> None:
    """Half of the Gaussians hold any float at all: NaN, infinities, denormals, the largest ones."""
    rng = np.random.default_rng(seed)
    arrays = colored_ball(2 * count, sh_degree=3).arrays()
    bits = rng.integers(0, 2**32, arrays[name][count:].shape, np.uint32)
    arrays[name][count:] = bits.view(np.float32)
    images, gradients = draw(Gaussians(**arrays), view_of(37, 29))
    assert not np.isnan(images.transmittance).any() and images.transmittance.min() >= 0 and images.transmittance.max() <= 1
    assert not any(np.isnan(array[:count]).any() for array in gradients.values() if name not in ("sh0", "shN"))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-45, 45), st.floats(-40, 40))
def test_extreme_sizes_and_distances(seed: int, log_scale: float, log_distance: float) -> None:
    rng = np.random.default_rng(seed)
    arrays = colored_ball(40, seed % 1000).arrays()
    arrays["scales"] = (arrays["scales"] + log_scale * rng.random((40, 3))).astype(np.float32)
    arrays["means"] = (arrays["means"] * np.exp(log_distance * rng.random((40, 1)))).astype(np.float32)
    images, _ = draw(Gaussians(**arrays), view_of(50, 50))
    assert np.isfinite(images.rgb).all() and np.isfinite(images.depth).all()


@pytest.mark.parametrize("opacity", [8.0, 0.0, -5.4])
def test_a_pile_on_one_pixel(opacity: float) -> None:
    count = 20_000
    dot = colored_ball(1).arrays() | {"means": np.zeros((1, 3), np.float32), "scales": np.full((1, 3), -7, np.float32),
                                      "opacities": np.full(1, opacity, np.float32)}
    images, gradients = draw(Gaussians(**{name: np.repeat(array, count, axis=0) for name, array in dot.items()}), view_of(64, 64))
    assert 1e-4 < images.transmittance.min() < 2e-3
    assert all(np.isfinite(array).all() for array in gradients.values())
    model = CpuModel(Gaussians(**{name: np.repeat(array, count, axis=0) for name, array in dot.items()}), 2)
    camera = ring_cameras(1, 64)[0]
    assert np.isfinite(model.step(Target(camera, np.zeros((64, 64, 3), np.uint8)), SETTINGS))
    model.close()


@pytest.mark.parametrize("threads", [-3, 0, 1, 5, 1000])
def test_any_number_of_threads(threads: int) -> None:
    gaussians, view = colored_ball(3000), view_of(64, 64)
    images, gradients = draw(gaussians, view, threads)
    expected, expected_gradients = draw(gaussians, view, 1)
    assert np.array_equal(images.rgb, expected.rgb)
    assert all(np.array_equal(gradients[name], expected_gradients[name]) for name in NAMES)
