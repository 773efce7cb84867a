"""The edges of what the kernels are asked for: image sizes, empty tiles, any bits as parameters, piles. Run with bounds checking too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.cameras.camera import Camera
from engine.core.errors import UserError
from engine.core.splats.gaussians import Gaussians
from engine.training.cpu.blocks import NAMES, Blocks
from engine.training.cpu.library import (
    BesideImage,
    Gradients,
    Images,
    Kernels,
    KernelScene,
    StepInputStruct,
    TermWeightsStruct,
    ViewStruct,
    png_unfilter,
)
from engine.training.cpu.model import packed, view_struct
from engine.training.low_pass import ANTIALIASED, CLASSIC, LowPass
from tests.scenes import colored_ball, ring_cameras

BACKGROUND = (0.1, 0.5, 0.9)
LOW_PASSES = [CLASSIC, ANTIALIASED, CLASSIC.reduced(4)]
SIZES = [(1, 1), (1, 40), (2, 300), (16, 16), (17, 33), (33, 17), (255, 1), (97, 65)]


def view_of(width: int, height: int) -> ViewStruct:
    """The first of the ring's cameras with the origin in pixel (32, 32), whatever the size."""
    view = view_struct(ring_cameras(1, 64)[0], BACKGROUND)
    view.width, view.height, view.cx, view.cy = width, height, 32.5, 32.5
    return view


@dataclass(frozen=True)
class Outcome:
    """A frame, the gradients of the sum of its images, and a step of training."""

    images: Images
    gradients: Gradients
    loss: float | None
    learned: Blocks
    moments: tuple[Blocks, Blocks]

    def arrays(self) -> list[np.ndarray]:
        """Everything that was computed."""
        assert self.images.depth is not None and self.gradients.absolute is not None
        frame = [self.images.rgb, self.images.transmittance, self.images.depth]
        back = [*self.gradients.gaussians.unpack().values(), self.gradients.pose, self.gradients.absolute]
        return [*frame, *back, *self.learned.unpack().values()]


def beside_image(view: ViewStruct, count: int) -> BesideImage:
    """Everything that a step may be given, of ones."""
    def ones(*shape: int) -> np.ndarray:
        return np.ones(shape, np.float32)

    height, width = view.height, view.width
    return BesideImage(np.ones((height, width), np.uint8), ones(height, width), ones(height, width, 3), ones(3, 4), ones(3, 4), ones(12),
                       ones(count, 3))


def draw(gaussians: Gaussians, view: ViewStruct, threads: int = 2, low_pass: LowPass = CLASSIC) -> Outcome:
    """Everything that the kernels do, once."""
    kernels, learned = Kernels(threads), packed(gaussians.arrays())
    drawing = KernelScene(learned, gaussians.sh_degree, low_pass)
    images = kernels.forward(drawing, view, with_depth=True)
    gradients = kernels.backward(np.ones_like(images.rgb), np.ones_like(images.transmittance), absolute=True)
    step_input = StepInputStruct(ssim_lambda=0.2, opacity_regularisation=0.01, scale_regularisation=0.01, noise=1.0, seed=7, step=1)
    step_input.rates[:] = [0.1] * len(NAMES)
    moments = (Blocks.zeros(learned.count, learned.rest), Blocks.zeros(learned.count, learned.rest))
    image = np.zeros((view.height, view.width, 4), np.uint8)
    loss = kernels.step(drawing, view, image, step_input, moments)
    step_input.step, step_input.needle_weight = 2, 1.0
    step_input.weights = TermWeightsStruct(1.0, 1.0, 1.0, 1.0, 1.0)
    kernels.step(drawing, view, image, step_input, moments, beside_image(view, learned.count))
    kernels.contribution(drawing, view, np.ones((7, view.height, view.width), np.float32), np.zeros((learned.count, 8), np.float32),
                         np.zeros(learned.count, np.float32))
    kernels.close()
    return Outcome(images, gradients, loss, learned, moments)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_size_agrees_with_the_reference(width: int, height: int) -> None:
    pytest.importorskip("torch")
    from tests.training.cpu.test_kernels import assert_agree, camera, scene

    assert_agree(scene(40, width, scale=0.2), camera(width, height), 3)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_size_is_learned_from(width: int, height: int) -> None:
    outcome = draw(colored_ball(100, sh_degree=1), view_of(width, height))
    assert outcome.loss is not None and all(np.isfinite(array).all() for array in outcome.arrays())


def test_tiles_that_nothing_touches_show_the_background() -> None:
    dot = colored_ball(1).arrays() | {"means": np.zeros((1, 3), np.float32), "scales": np.full((1, 3), -5, np.float32)}
    outcome = draw(Gaussians(**dot), view_of(200, 120))
    images, beside = outcome.images, np.ones((120, 200), bool)
    beside[16:48, 16:48] = False
    assert images.transmittance.min() < 0.1 and (images.transmittance[beside] == 1).all() and not images.depth[beside].any()
    assert (images.rgb[:, beside] == np.array(BACKGROUND, np.float32)[:, None]).all()
    assert np.abs(outcome.gradients.gaussians.read("sh0")).max() > 0


@pytest.mark.parametrize("low_pass", LOW_PASSES)
@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 1025])
def test_every_count_of_gaussians(count: int, low_pass: LowPass) -> None:
    outcome = draw(colored_ball(count, sh_degree=2), view_of(40, 40), low_pass=low_pass)
    assert outcome.learned.read("shN").shape == (count, 8, 3) and all(np.isfinite(array).all() for array in outcome.arrays())
    assert (outcome.images.transmittance.min() < 0.1) == (count > 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(NAMES), st.integers(1, 60), st.sampled_from(LOW_PASSES))
def test_any_bits_as_parameters_leave_the_others_alone(seed: int, name: str, count: int, low_pass: LowPass) -> None:
    """Half of the Gaussians hold any float at all: NaN, infinities, denormals, the largest ones."""
    rng = np.random.default_rng(seed)
    arrays = colored_ball(2 * count, sh_degree=3).arrays()
    bits = rng.integers(0, 2**32, arrays[name][count:].shape, np.uint32)
    arrays[name][count:] = bits.view(np.float32)
    outcome = draw(Gaussians(**arrays), view_of(37, 29), low_pass=low_pass)
    transmittance, gradients = outcome.images.transmittance, outcome.gradients.gaussians.unpack()
    assert not np.isnan(transmittance).any() and transmittance.min() >= 0 and transmittance.max() <= 1
    if not name.startswith("sh"):  # a colour without bounds spoils every Gaussian of its pixels
        assert outcome.loss is not None and not any(np.isnan(gradient[:count]).any() for gradient in gradients.values())
        assert all(np.isfinite(values[:count]).all() for values in outcome.learned.unpack().values())
    if outcome.loss is None:
        assert np.array_equal(outcome.learned.values, packed(arrays).values, equal_nan=True)
        assert not any(moment.values.any() for moment in outcome.moments)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-45, 45), st.floats(-40, 40), st.sampled_from(LOW_PASSES))
def test_extreme_sizes_and_distances(seed: int, log_scale: float, log_distance: float, low_pass: LowPass) -> None:
    rng = np.random.default_rng(seed)
    arrays = colored_ball(40, seed % 1000).arrays()
    arrays["scales"] = (arrays["scales"] + log_scale * rng.random((40, 3))).astype(np.float32)
    arrays["means"] = (arrays["means"] * np.exp(log_distance * rng.random((40, 1)))).astype(np.float32)
    outcome = draw(Gaussians(**arrays), view_of(50, 50), low_pass=low_pass)
    assert outcome.loss is not None and all(np.isfinite(array).all() for array in outcome.arrays())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.05, 0.5, 1.0]), st.booleans())
def test_any_bits_as_a_camera_are_drawn_or_refused(seed: int, share: float, powers: bool) -> None:
    """Some of a camera's numbers are any float at all, or any power of ten that 32 bits hold, of either sign."""
    rng, camera = np.random.default_rng(seed), ring_cameras(1, 64)[0]
    wild = rng.integers(0, 2**64, 20, np.uint64).view(np.float64)
    if powers:
        wild = 10 ** rng.uniform(-40, 40, 20) * rng.choice([-1, 1], 20)
    tame = np.array([camera.fl_x, camera.fl_y, camera.cx, camera.cy, *camera.camera_to_world.ravel()])
    numbers = np.where(rng.random(20) < share, wild, tame)
    try:
        view = view_struct(Camera(37, 29, *numbers[:4].tolist(), numbers[4:].reshape(4, 4)), BACKGROUND)
    except UserError as error:
        assert "focal length, centre or pose" in error.message
        return
    outcome = draw(colored_ball(60, sh_degree=3), view)
    transmittance = outcome.images.transmittance
    assert not np.isnan(transmittance).any() and transmittance.min() >= 0 and transmittance.max() <= 1


@pytest.mark.parametrize("opacity", [8.0, 0.0, -5.4])
def test_a_pile_on_one_pixel(opacity: float) -> None:
    count = 20_000
    dot = colored_ball(1).arrays() | {"means": np.zeros((1, 3), np.float32), "scales": np.full((1, 3), -7, np.float32),
                                      "opacities": np.full(1, opacity, np.float32)}
    outcome = draw(Gaussians(**{name: np.repeat(array, count, axis=0) for name, array in dot.items()}), view_of(64, 64))
    assert 1e-4 < outcome.images.transmittance.min() < 2e-3
    assert outcome.loss is not None and all(np.isfinite(array).all() for array in outcome.arrays())


@pytest.mark.parametrize("threads", [-3, 0, 1, 5, 1000])
def test_any_number_of_threads(threads: int) -> None:
    gaussians, view = colored_ball(3000), view_of(64, 64)
    outcome, expected = draw(gaussians, view, threads), draw(gaussians, view, 1)
    assert outcome.loss == expected.loss
    assert all(np.array_equal(array, other) for array, other in zip(outcome.arrays(), expected.arrays(), strict=True))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 9), st.integers(0, 40), st.integers(1, 8), st.integers(4, 5))
def test_any_bytes_as_rows_of_a_png(seed: int, height: int, stride: int, pixel: int, highest_filter: int) -> None:
    rows = np.random.default_rng(seed).integers(0, 256, (height, stride + 1), np.uint8)
    rows[:, 0] %= highest_filter + 1
    if (rows[:, 0] > 4).any():
        with pytest.raises(ValueError, match="filter"):
            png_unfilter(rows.ravel(), height, stride, pixel)
    else:
        assert np.array_equal(png_unfilter(rows.ravel(), height, stride, pixel), unfiltered(rows, pixel))


def unfiltered(rows: np.ndarray, pixel: int) -> np.ndarray:
    """The same by section 9 of the PNG specification, byte by byte."""
    done = np.zeros((len(rows) + 1, rows.shape[1] - 1 + pixel), int)  # zeros above and to the left
    for y, (kind, *row) in enumerate(rows.tolist(), start=1):
        for x, byte in enumerate(row, start=pixel):
            left, up, corner = int(done[y, x - pixel]), int(done[y - 1, x]), int(done[y - 1, x - pixel])
            nearest = min((left, up, corner), key=lambda value: abs(left + up - corner - value))
            done[y, x] = byte + (0, left, up, (left + up) // 2, nearest)[kind] & 255
    return done[1:, pixel:]
