"""What each Gaussian adds to images: against the torch model, whose sums are gradients, and by what must hold of any scene."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.cameras.camera import Camera
from engine.training.cpu.model import CpuModel
from tests.training.cpu.test_kernels import camera, scene

torch = pytest.importorskip("torch")

from engine.core.protocol.config import TrainConfig  # noqa: E402
from tests.training.cuda.torch_models import torch_model  # noqa: E402

SIZE = (41, 35)


def buffers(channels: int, seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((channels, size[1], size[0])).astype(np.float32)


@pytest.mark.parametrize("channels", [0, 1, 6, 7, 13])
@pytest.mark.parametrize("antialiased", [False, True])
def test_sums_are_the_gradients_of_drawn_features(channels: int, antialiased: bool) -> None:
    views = [(camera(*SIZE, distance=distance), buffers(channels, seed)) for seed, distance in enumerate((3.0, 3.6))]
    found = CpuModel(scene(90, 3), 2, antialiased).contribution(views, channels)
    truth = torch_model(scene(90, 3), TrainConfig(antialiased=antialiased)).contribution(views, channels)
    np.testing.assert_allclose(found.weight, truth.weight, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.channels, truth.channels, rtol=1e-3, atol=2e-4)
    assert found.channels.shape == (90, channels) and truth.largest is None


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(0, 10**6), st.sampled_from([0.01, 0.1, 0.6]), st.integers(3, 60), st.integers(3, 60))
def test_weights_are_what_is_opaque(count: int, seed: int, scale: float, width: int, height: int) -> None:
    """The sum over all Gaussians is the image's coverage, a buffer's that of the buffer; the largest weight lies between mean and one."""
    model, view = CpuModel(scene(count, seed, scale), 1), camera(width, height)
    alpha, buffer = model.render(view, 0, (0.0, 0.0, 0.0)).alpha, buffers(1, seed, (width, height))
    found = model.contribution([(view, buffer)], 1)
    assert found.weight.sum() == pytest.approx(alpha.sum(), rel=1e-4, abs=1e-4)
    assert found.channels.sum() == pytest.approx(float((alpha * buffer[0]).sum()), rel=1e-3, abs=1e-2)
    assert found.largest is not None and (found.largest <= 1).all()
    assert (found.largest * width * height * 1.0001 >= found.weight).all() and ((found.largest > 0) == (found.weight > 0)).all()
    model.close()


def test_hidden_and_unseen_gaussians_add_nothing() -> None:
    """A wall before everything: what lies behind it has no weight, nor what lies behind the camera."""
    view = camera(*SIZE)
    forward = -view.camera_to_world[:3, 2]
    gaussians = scene(20, 1)
    means = gaussians.means.copy()
    means[:10] = view.position + 1.0 * forward
    means[10:15] = view.position + 2.0 * forward
    means[15:] = view.position - 1.0 * forward
    scales = np.where(np.arange(20)[:, None] < 10, 0.0, -3.0).repeat(3, axis=1).astype(np.float32)
    opacities = np.full(20, 6.0, np.float32)
    wall = type(gaussians)(means.astype(np.float32), gaussians.quats, scales, opacities, gaussians.sh0, gaussians.shN)
    found = CpuModel(wall, 1).contribution([(view, buffers(0))])
    assert (found.weight[:2] > 0).any() and not found.weight[10:].any()


def test_views_add_up_for_any_number_of_threads() -> None:
    views: list[tuple[Camera, np.ndarray]] = [(camera(150, 110, distance), buffers(2, 0, (150, 110))) for distance in (2.5, 3.0, 3.5)]
    whole = CpuModel(scene(2000, 2), 1).contribution(views, 2)
    for threads in (2, 5):
        again = CpuModel(scene(2000, 2), threads).contribution(views, 2)
        assert np.array_equal(whole.weight, again.weight) and np.array_equal(whole.channels, again.channels)
        assert whole.largest is not None and again.largest is not None and np.array_equal(whole.largest, again.largest)
    alone = [CpuModel(scene(2000, 2), 1).contribution([view], 2) for view in views]
    np.testing.assert_allclose(whole.weight, sum(each.weight for each in alone), rtol=1e-5, atol=1e-5)
