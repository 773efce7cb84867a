"""What each rule of the strategies does to small scenes, on the built-in kernels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.core.cameras.camera import Camera
from engine.core.errors import UserError
from engine.core.protocol.config import TrainConfig
from engine.core.splats.gaussians import Gaussians
from engine.training.backend import StepSettings, Target
from engine.training.cpu.library import Kernels, KernelScene
from engine.training.cpu.model import CpuModel, packed, view_struct
from engine.training.schedule import settings_at
from engine.training.strategies import create_strategy
from engine.training.strategies.default import APART, HALF_OPACITY, RESET_OPACITY, DefaultStrategy
from engine.training.strategies.mcmc import MCMCStrategy, logit, sigmoid
from tests.scenes import colored_ball, look_at, write_ball_dataset
from tests.training.test_trainer import finished, interrupt_after, make_job, run

STILL = StepSettings({name: 0.0 for name in ("means", "quats", "scales", "opacities", "sh0", "shN")}, 0, (0.0, 0.0, 0.0), 1.0, 0.0, 0.0,
                     0.0, 1, 0, gather=True)
"""Steps that look and learn nothing."""

PULLED = 0.06
"""Mean gradient that tells wrong from right in images as small as these."""

CAMERA = Camera(64, 48, 80.0, 80.0, 32.0, 24.0, look_at(np.array([0.0, -4.0, 0.0])))
RNG = np.random.default_rng


def blobs(x: list[float], size: list[float], opacity: list[float] | None = None) -> Gaussians:
    """White round Gaussians along the camera's horizontal axis."""
    count = len(x)
    means = np.zeros((count, 3), np.float32)
    means[:, 0] = x
    return Gaussians(means, np.tile(np.float32([1, 0, 0, 0]), (count, 1)), np.log(np.repeat(np.float32(size)[:, None], 3, 1)),
                     logit(np.asarray(opacity or [0.8] * count)).astype(np.float32), np.full((count, 1, 3), 1.7, np.float32),
                     np.zeros((count, 0, 3), np.float32))


def seen(gaussians: Gaussians, image: np.ndarray, steps: int = 1) -> CpuModel:
    """A model that has looked at an image without learning from it."""
    model = CpuModel(gaussians, 2)
    for _ in range(steps):
        model.step(Target(CAMERA, image), STILL)
    return model


def picture(gaussians: Gaussians) -> np.ndarray:
    model = CpuModel(gaussians, 2)
    image = model.render(CAMERA, 0, (0.0, 0.0, 0.0)).rgb
    model.close()
    return (image.clip(0, 1) * 255 + 0.5).astype(np.uint8)


BLACK = np.zeros((48, 64, 3), np.uint8)


def test_sights_are_the_kernels_absolute_gradients() -> None:
    gaussians = colored_ball(300)
    kernels, view = Kernels(2), view_struct(CAMERA, (0.0, 0.0, 0.0))
    image = RNG(0).integers(0, 256, (48, 64, 3), np.uint8)
    drawn = kernels.forward(KernelScene(packed(gaussians.arrays()), 0), view)
    slope = np.empty_like(drawn.rgb)
    kernels.loss(view, image, drawn.rgb, 1.0, slope)
    absolute = kernels.backward(slope, absolute=True).absolute
    model = seen(gaussians, image, steps=3)
    found = model.take_statistics()
    expected = np.hypot(absolute[:, 0] * 32, absolute[:, 1] * 24)
    np.testing.assert_allclose(found.gradient, 3 * expected, rtol=1e-4, atol=1e-9)
    assert set(found.seen) <= {0, 3} and (found.seen > 0)[expected > 0].all() and (found.seen == 3).sum() > 200
    assert 0 < found.radius.max() < 0.5
    again = model.take_statistics()
    assert not again.gradient.any() and not again.seen.any()
    model.close()


def test_reach_is_where_a_gaussian_ends_on_the_image() -> None:
    model = seen(blobs([0.0], [0.2], [0.9]), BLACK)
    sigma = np.sqrt((80 * 0.2 / 4) ** 2 + 0.3)
    assert model.take_statistics().radius[0] == pytest.approx(sigma * np.sqrt(2 * np.log(255 * 0.9)) / 64, rel=1e-3)
    model.close()


def test_halves_keep_place_and_shape_and_are_thinner() -> None:
    model = seen(blobs([-0.5, 0.5], [0.05, 0.05]), picture(blobs([-0.5, 0.7], [0.05, 0.05])))
    assert DefaultStrategy(10, 10.0, PULLED).refine(model, RNG(0), 600) == 1
    means, scales = model.read("means"), model.read("scales")
    assert model.count == 3 and np.allclose(means[[1, 2]].mean(axis=0), [0.5, 0, 0]) and not np.allclose(means[1], means[2])
    variance = np.exp(2 * scales[1]) + (means[1] - means[[1, 2]].mean(axis=0)) ** 2
    assert np.allclose(variance, 0.05**2, rtol=1e-4)
    assert np.allclose(sigmoid(model.read("opacities"))[1:], 0.8 * HALF_OPACITY)
    model.close()


def test_a_split_goes_along_the_longest_axis() -> None:
    needle = blobs([0.0], [0.4])
    needle.scales[:, 1:] = np.log(0.01)
    model = seen(needle, BLACK)
    DefaultStrategy(10, 1.0, PULLED).refine(model, RNG(0), 600)
    apart = model.read("means")[1] - model.read("means")[0]
    assert model.count == 2 and np.allclose(np.abs(apart), [2 * APART * 0.4, 0, 0], atol=1e-6)
    assert np.allclose(np.exp(model.read("scales")), [0.4 * np.sqrt(1 - APART**2), 0.01, 0.01])
    model.close()


def test_pulls_to_opposite_sides_do_not_cancel() -> None:
    """One Gaussian between the two that it should be: its centre is where it belongs, and still it is chosen (AbsGS, figure 2)."""
    image = picture(blobs([-0.3, 0.3], [0.1, 0.1]))
    one = blobs([0.0], [0.25])
    kernels, view = Kernels(1), view_struct(CAMERA, (0.0, 0.0, 0.0))
    drawn = kernels.forward(KernelScene(packed(one.arrays()), 0), view)
    slope = np.empty_like(drawn.rgb)
    kernels.loss(view, image, drawn.rgb, 1.0, slope)
    found = kernels.backward(slope, absolute=True)
    signed = np.linalg.norm(found.gaussians.read("means")[0]) * 4 / 80  # by the centre on the image
    assert signed < 0.2 * np.linalg.norm(found.absolute[0])
    model = seen(one, image)
    assert DefaultStrategy(10, 1.0, PULLED).refine(model, RNG(0), 600) == 1 and model.count == 2
    model.close()


def test_nothing_happens_where_the_image_is_right() -> None:
    gaussians = blobs([-0.5, 0.5], [0.05, 0.2])
    model = seen(gaussians, picture(gaussians))
    assert DefaultStrategy(10, 1.0, PULLED).refine(model, RNG(0), 600) == 0 and model.count == 2
    assert np.array_equal(model.read("means"), gaussians.means)
    model.close()


def test_transparent_gaussians_are_given_up_but_never_all() -> None:
    gaussians = blobs([-0.5, 0.0, 0.5], [0.05] * 3, [0.8, 0.004, 0.8])
    model = seen(gaussians, picture(gaussians))
    assert DefaultStrategy(10, 1.0, PULLED).refine(model, RNG(0), 600) == 1
    assert np.allclose(model.read("means")[:, 0], [-0.5, 0.5])
    model.write("opacities", np.arange(2), np.full(2, -9, np.float32))
    DefaultStrategy(10, 1.0, PULLED).refine(model, RNG(0), 700)
    assert model.count == 2
    model.close()


@pytest.mark.parametrize("step, left", [(2900, 2), (3100, 1)])
def test_huge_gaussians_are_given_up_after_the_first_reset(step: int, left: int) -> None:
    gaussians = blobs([-0.5, 0.5], [0.05, 0.2])
    model = seen(gaussians, picture(gaussians))
    DefaultStrategy(10, 1.0, PULLED).refine(model, RNG(0), step)
    assert model.count == left
    model.close()


def test_what_is_far_away_may_be_huge() -> None:
    gaussians = blobs([0.0, 0.3, 0.0], [0.05, 0.05, 3.0])
    gaussians.means[2] = [0, 30, 0]
    model = seen(gaussians, picture(gaussians))
    DefaultStrategy(10, 1.0, 9.0).refine(model, RNG(0), 3100)
    assert model.count == 3
    model.write("means", np.array([2]), np.float32([[0, 3, 0]]))
    DefaultStrategy(10, 1.0, 9.0).refine(model, RNG(0), 3200)
    assert model.count == 2
    model.close()


def test_what_covers_the_image_is_split_and_what_covers_far_too_much_is_given_up() -> None:
    gaussians = blobs([-0.9, 0.9], [0.1, 0.9], [0.5, 0.5])
    strategy = DefaultStrategy(10, 100.0, 9.0, max_radius_2d=0.2)
    for step, count in ((600, 3), (3100, 1)):
        model = seen(gaussians, picture(gaussians))
        strategy.refine(model, RNG(0), step)
        assert model.count == count
        model.close()


def test_opacities_are_reset_on_time_and_come_back() -> None:
    gaussians = blobs([-0.5, 0.5], [0.05, 0.05], [0.8, 0.006])
    image = picture(gaussians)
    strategy = DefaultStrategy(2, 10.0, PULLED, reset_every=1000, refine_every=100)
    model = seen(gaussians, image)
    learning = replace(STILL, learning_rates={**STILL.learning_rates, "opacities": 0.05})
    model.step(Target(CAMERA, image), learning)
    for step in (900, 1100):
        strategy.refine(model, RNG(0), step)
        assert sigmoid(model.read("opacities"))[0] == pytest.approx(0.8, abs=0.02)
    strategy.refine(model, RNG(0), 2000)
    assert sigmoid(model.read("opacities")) == pytest.approx([RESET_OPACITY, 0.006], abs=1e-3)
    assert not model.state()["first_opacities"].any()
    for _ in range(300):
        model.step(Target(CAMERA, image), learning)
    assert sigmoid(model.read("opacities"))[0] > 0.7
    model.close()


@pytest.mark.parametrize("strategy", [MCMCStrategy(23, 0.5), DefaultStrategy(23, scene_scale=0.1, grow_gradient=0.0)])
def test_the_cap_is_hard(strategy: MCMCStrategy | DefaultStrategy) -> None:
    model = CpuModel(colored_ball(20), 2)
    for step in range(600, 1200, 100):
        model.step(Target(CAMERA, BLACK), STILL)
        strategy.refine(model, RNG(step), step)
        assert model.count <= 23
    assert model.count == 23
    model.close()


def test_where_there_is_room_for_one_the_strongest_pull_wins() -> None:
    gaussians = blobs([-0.8, 0.0, 0.8], [0.05, 0.05, 0.05], [0.3, 0.9, 0.3])
    model = seen(gaussians, BLACK)
    DefaultStrategy(4, 10.0, PULLED).refine(model, RNG(0), 600)
    assert model.count == 4 and np.abs(model.read("means")[3]).max() < 0.05
    model.close()


def test_masked_pixels_teach_nothing() -> None:
    """Gaussians behind the mask stay exactly as they are; those beside it learn."""
    gaussians = blobs([-0.8, 0.8], [0.05, 0.05])
    mask = np.full((48, 64), 255, np.uint8)
    mask[:, 32:] = 0
    model = CpuModel(gaussians, 2)
    rates = replace(STILL, learning_rates={name: 0.01 for name in STILL.learning_rates}, ssim_lambda=0.2)
    noise = RNG(0).integers(0, 256, (48, 64, 3), np.uint8)
    model.step(Target(CAMERA, noise, mask=mask), rates)
    moved = np.abs(model.read("means") - gaussians.means).max(axis=1)
    assert moved[0] > 0.005 and moved[1] == 0
    assert np.array_equal(model.read("sh0")[1], gaussians.sh0[1])
    other = CpuModel(gaussians, 2)
    other.step(Target(CAMERA, np.where(mask[..., None], noise, 255 - noise), mask=mask), rates)
    assert np.array_equal(model.read("means"), other.read("means")), "what lies under the mask does not matter"
    for used in (model, other):
        used.close()


def test_masks_of_another_size_never_reach_the_kernels() -> None:
    model = CpuModel(blobs([0.0], [0.1]), 1)
    with pytest.raises(ValueError, match="mask"):
        model.step(Target(CAMERA, BLACK, mask=np.zeros((48, 63), np.uint8)), STILL)
    model.close()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_dataset(tmp_path_factory.mktemp("ball")).folder


DEFAULT = {"strategy": "default", "max_gaussians": 900, "grow_gradient": 2e-4, "reset_every": 60, "max_steps": 150}


def test_the_default_strategy_learns_and_resumes_exactly(tmp_path: Path, dataset: Path) -> None:
    whole, cut = make_job(tmp_path / "whole", dataset, **DEFAULT), make_job(tmp_path / "cut", dataset, **DEFAULT)
    events = run(whole)
    assert finished(events).psnr > 22 and 400 < finished(events).gaussians <= 900
    with pytest.raises(KeyboardInterrupt):
        run(cut, interrupt_after(37))
    run(cut)
    assert whole.result.read_bytes() == cut.result.read_bytes()


def test_settings_choose_the_strategy() -> None:
    config = TrainConfig(strategy="default", max_gaussians=77)
    assert create_strategy(config, 2.0) == DefaultStrategy(77, 2.0, config.grow_gradient)
    assert isinstance(create_strategy(TrainConfig(), 2.0), MCMCStrategy)
    assert settings_at(5, config, 1.0, False).gather and not settings_at(5, TrainConfig(), 1.0, False).gather
    assert not settings_at(config.max_steps - 1, config, 1.0, False).gather
    assert settings_at(5, config, 1.0, False).noise == 0 < settings_at(5, TrainConfig(), 1.0, False).noise
    assert all(settings_at(5, each, 1.0, False).opacity_regularisation > 0 for each in (config, TrainConfig()))
    outdoors = settings_at(5, TrainConfig(sky=9), 1.0, False)
    assert outdoors.scale_regularisation == 0 < outdoors.opacity_regularisation
    with pytest.raises(UserError, match="strategy"):
        TrainConfig(strategy="mcmd").validate()  # type: ignore[arg-type]
