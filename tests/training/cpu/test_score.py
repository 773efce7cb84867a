"""Quality of held-out views by the kernels, against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from engine.core.cameras.camera import Camera
from engine.training.backend import Target
from engine.training.cpu.model import CpuModel
from engine.training.evaluate import compared, masked_ssim, psnr, ssim
from tests.scenes import colored_ball, look_at


def target(width: int, height: int, channels: int, seed: int = 0) -> Target:
    """A photo of noise in broad spots, so that SSIM is neither 0 nor 1."""
    random = np.random.default_rng(seed)
    spots = random.integers(0, 256, (-(-height // 8), -(-width // 8), channels), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    view = Camera(width, height, 1.2 * width, 1.2 * width, width / 2, height / 2, look_at(np.array([2.5, -2.0, 1.0])))
    return Target(view, np.ascontiguousarray(spots[:height, :width]))


def by_numpy(model: CpuModel, seen: Target, degree: int) -> tuple[float, float]:
    image, truth = compared(model, seen, degree)
    if seen.mask is None:
        return psnr(image, truth), ssim(image, truth)
    kept = seen.mask >= 128
    return psnr(image[kept], truth[kept]), masked_ssim(ssim(image, truth), float(kept.mean()))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("width", "height", "channels"), [(97, 61, 3), (64, 64, 4), (5, 3, 3), (33, 100, 4)])
def test_the_kernels_measure_what_numpy_measures(width: int, height: int, channels: int, masked: bool) -> None:
    seen = target(width, height, channels)
    if masked:
        mask = np.random.default_rng(1).integers(0, 256, (height, width), np.uint8)
        seen = Target(seen.camera, seen.image, mask=mask)
    model = CpuModel(colored_ball(300, sh_degree=1), 3)
    try:
        expected, found = by_numpy(model, seen, 1), model.score(seen, 1)
    finally:
        model.close()
    assert found == pytest.approx(expected, rel=2e-5, abs=2e-5)
    assert 0 < expected[0] < 40 and expected[1] < 0.9


def test_equal_images_are_equal_and_colours_beyond_white_are_white() -> None:
    ball = colored_ball(200)
    ball.sh0[:] = 40.0  # far beyond white
    model = CpuModel(ball, 2)
    camera = target(48, 40, 3).camera
    try:
        truth = np.rint(model.render(camera, 0, (0.0, 0.0, 0.0)).rgb.clip(0, 1) * 255).astype(np.uint8)
        assert truth.max() == 255
        found = model.score(Target(camera, truth), 0)
        assert found[0] > 50 and found[1] > 0.999
        white = Target(camera, np.where(truth == 255, np.uint8(255), np.uint8(0)), mask=(truth == 255).all(axis=2).astype(np.uint8) * 255)
        assert model.score(white, 0) == (100.0, pytest.approx(1.0, abs=1e-6))
    finally:
        model.close()


def test_measuring_changes_nothing_of_a_training() -> None:
    """And the result does not depend on the number of threads."""
    seen = target(80, 60, 3)
    models = [CpuModel(colored_ball(300), threads) for threads in (1, 4)]
    before = models[0].state()
    scores = [model.score(seen, 0) for model in models]
    assert scores[0] == scores[1]
    for name, array in models[0].state().items():
        assert np.array_equal(array, before[name]), name
    for model in models:
        model.close()
