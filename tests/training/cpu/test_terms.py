"""Every term of the loss beyond colour: the kernels against the torch model on the same scenes, and by finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.core.cameras.camera import Camera
from engine.core.protocol.config import TrainConfig
from engine.core.splats.gaussians import Gaussians
from engine.training.backend import StepSettings, Target
from engine.training.cpu.model import CpuModel
from engine.training.cpu.photo_parameters import PhotoParameters, rotation_matrix, rotation_slopes
from tests.scenes import ring_cameras
from tests.training.cpu.test_kernels import RATES, camera, scene

torch = pytest.importorskip("torch")

from engine.training.cuda import poses  # noqa: E402
from tests.training.cuda.torch_models import torch_model  # noqa: E402

PLAIN = StepSettings(RATES, 2, (0.2, 0.4, 0.6), 0.2, 0.01, 0.01, 0.0, 1, 7)
SIZE = (41, 35)
STEP = 2e-3
WEIGHTS = ("alpha_weight", "transmittance_weight", "depth_weight", "distortion_weight", "normal_weight", "needle_weight")
TERMS: dict[str, StepSettings] = {
    **{name: replace(PLAIN, **{name: 0.7}) for name in WEIGHTS},
    "exposure": replace(PLAIN, exposure_rate=1e-2),
    "poses": replace(PLAIN, pose_rate=1e-4),
    "all": replace(PLAIN, **dict.fromkeys(WEIGHTS, 0.3), exposure_rate=1e-2, pose_rate=1e-4),
    "all, gathering": replace(PLAIN, **dict.fromkeys(WEIGHTS, 0.3), exposure_rate=1e-2, pose_rate=1e-4, gather=True),
}


def target(view: int, cameras: list[Camera], alpha: bool = True, masked: bool = False) -> Target:
    """A photo of noise, with maps of which a part is unknown."""
    rng = np.random.default_rng(view)
    width, height = SIZE
    normals = rng.standard_normal((height, width, 3))
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    known = rng.random((2, height, width, 1)) > 0.2
    return Target(cameras[view], rng.integers(0, 256, (height, width, 4 if alpha else 3)).astype(np.uint8), view,
                  mask=((rng.random((height, width)) > 0.3) * 255).astype(np.uint8) if masked else None,
                  depth=(rng.uniform(1, 5, (height, width)) * known[0, ..., 0]).astype(np.float32),
                  normals=(normals * known[1]).astype(np.float32))


def three_cameras() -> list[Camera]:
    return [camera(*SIZE, distance=distance) for distance in (3.0, 3.4, 3.9)]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", TERMS)
def test_steps_as_the_torch_model_does(name: str, masked: bool) -> None:
    settings, gaussians, cameras = TERMS[name], scene(100, 3), three_cameras()
    kernels, torched = CpuModel(gaussians, cameras=cameras), torch_model(gaussians, TrainConfig(), cameras=cameras)
    for number in range(6):
        photo = target(number % 3, cameras, alpha=number % 3 < 2, masked=masked)
        expected = float(torched.step(photo, settings))
        assert float(kernels.step(photo, settings)) == pytest.approx(expected, rel=2e-5)
    assert_same(kernels.state(), torched.state())


def assert_same(mine: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    """Moments by their lengths, for they are sums of gradients; values but for the few whose gradient is so small that its sign is noise.

    Of what was gathered the gradients alone: the engines measure reach by another margin.
    """
    assert mine.keys() == theirs.keys()
    for name in theirs:
        one, other = ((state[name][:, :1] if name == "sights" else state[name]).astype(float) for state in (mine, theirs))
        if name.startswith(("first_", "second_", "sights")):
            assert np.linalg.norm(one - other) <= 2e-3 * np.linalg.norm(other), name
        else:
            assert (np.abs(one - other) > 5e-5).mean() < 0.04, name


def test_unknown_maps_teach_nothing() -> None:
    """All unknown: as without the terms, to the bit."""
    cameras = three_cameras()
    photo = target(0, cameras)
    assert photo.depth is not None and photo.normals is not None
    unknown = replace(photo, depth=0 * photo.depth, normals=0 * photo.normals)
    states = []
    for shown, settings in ((unknown, replace(PLAIN, depth_weight=1.0, normal_weight=1.0)), (photo, PLAIN),
                            (replace(photo, depth=None, normals=None), replace(PLAIN, depth_weight=1.0, normal_weight=1.0))):
        model = CpuModel(scene(50, 2), cameras=cameras)
        model.step(shown, settings)
        states.append(model.state())
    for state in states[1:]:
        assert all(np.allclose(state[name], states[0][name], atol=1e-6) for name in state)


@pytest.mark.parametrize("name", ["all", "all, gathering"])
def test_any_number_of_threads_learns_the_same_bits(name: str) -> None:
    cameras, states = three_cameras(), []
    for threads in (1, 2, 5):
        model = CpuModel(scene(400, 3), threads, cameras=cameras)
        for view in range(3):
            model.step(target(view, cameras, masked=True), TERMS[name])
        states.append(model.state())
        model.close()
    assert all(np.array_equal(states[0][key], state[key]) for state in states[1:] for key in state)


def test_resumes_with_exposures_and_poses() -> None:
    settings, cameras = TERMS["all"], three_cameras()
    whole, cut = (CpuModel(scene(50, 4), cameras=cameras) for _ in range(2))
    for view in (0, 1, 2):
        assert whole.step(target(view, cameras), settings) == cut.step(target(view, cameras), settings)
    resumed = CpuModel(scene(5, 0), cameras=cameras)
    resumed.load_state(cut.state())
    for view in (2, 0):
        assert whole.step(target(view, cameras), settings) == resumed.step(target(view, cameras), settings)
    one, other = whole.state(), resumed.state()
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert one["exposure"].any() and one["poses"].any()


def test_a_training_with_every_term_changes_engines() -> None:
    settings, cameras = TERMS["all"], three_cameras()
    stayed, torched = CpuModel(scene(60, 2), cameras=cameras), torch_model(scene(60, 2), TrainConfig(), cameras=cameras)
    for view in range(3):
        stayed.step(target(view, cameras), settings)
        torched.step(target(view, cameras), settings)
    moved = CpuModel(scene(10, 0), cameras=cameras)
    moved.load_state(torched.state())
    for view in range(3):
        assert moved.step(target(view, cameras), settings) == pytest.approx(stayed.step(target(view, cameras), settings), rel=1e-4)


@pytest.mark.parametrize("size", [0.0, 1e-6, 1e-3, 0.3, 2.0])
def test_turns_and_their_slopes(size: float) -> None:
    vector = size * np.array([0.6, -0.64, 0.48])
    np.testing.assert_allclose(rotation_matrix(vector), poses.rotation_matrix(torch.from_numpy(vector)).numpy(), atol=1e-12)
    step = 1e-5
    for axis, slope in enumerate(rotation_slopes(vector)):
        ahead, behind = (rotation_matrix(vector + sign * step * np.eye(3)[axis]) for sign in (1, -1))
        np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), atol=1e-8)


def test_cameras_on_one_spot_and_single_photos_have_a_unit() -> None:
    same = [camera(*SIZE)] * 2
    for cameras in (same, same[:1], ring_cameras(3)):
        terms = PhotoParameters(cameras)
        correction = terms.correction_of(target_of(cameras[0]), TERMS["poses"])
        assert correction is not None
        assert np.isfinite(terms.posed(cameras[0].viewmat, correction + np.float32(0.01))).all()


def target_of(view: Camera) -> Target:
    return Target(view, np.zeros((view.height, view.width, 3), np.uint8), 0)


@pytest.mark.parametrize("name", [*(weight for weight in WEIGHTS if weight != "distortion_weight"), "exposure"])
def test_gradients_agree_with_finite_differences(name: str) -> None:
    """Of Gaussians that reach beyond the image, so that none enters or leaves a pixel: first moments are a tenth of the first gradient.

    Not of the distortion, whose unit, the depth, has no gradient by design."""
    cameras = three_cameras()
    settings = replace(TERMS[name], learning_rates=dict.fromkeys(RATES, 0.0), opacity_regularisation=0.0, scale_regularisation=0.0,
                       exposure_rate=1e-9 if name == "exposure" else 0.0)
    gaussians, photo = scene(8, 5, scale=1.2, opacity=-1.0), target(0, cameras)
    _, state = stepped(gaussians, photo, settings, cameras)
    for parameter in ("means", "quats", "scales", "opacities", "sh0"):
        gradient = 10 * state[f"first_{parameter}"].astype(float)
        steepness = np.linalg.norm(gradient)
        uphill = gradient * STEP / steepness
        losses = [stepped(moved(gaussians, parameter, sign * uphill), photo, settings, cameras)[0] for sign in (1, -1)]
        assert (losses[0] - losses[1]) / 2 == pytest.approx(STEP * steepness, rel=0.05), parameter


def moved(gaussians: Gaussians, parameter: str, shift: np.ndarray) -> Gaussians:
    return replace(gaussians, **{parameter: (gaussians.arrays()[parameter] + shift).astype(np.float32)})


def stepped(gaussians: Gaussians, photo: Target, settings: StepSettings, cameras: list[Camera]) -> tuple[float, dict[str, np.ndarray]]:
    """Loss and state of a first step with an exposure that is not neutral."""
    model = CpuModel(gaussians, 1, cameras=cameras)
    exposure = (0.3 * np.random.default_rng(0).standard_normal((3, 3, 4))).astype(np.float32)
    learned = {f"{prefix}exposure": exposure * (prefix == "") for prefix in ("", "first_", "second_")}
    model.load_state({**model.state(), **learned})
    loss = model.step(photo, settings)
    state = model.state()
    model.close()
    return loss, state
