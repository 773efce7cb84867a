"""The torch model against the kernels on the same scenes, on CPU tensors: steps, renderings, states that change engines, failures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.core.cameras.camera import Camera
from engine.core.errors import UserError
from engine.core.protocol.config import TrainConfig
from engine.core.splats.gaussians import Gaussians
from engine.training.backend import OutOfMemory, StepSettings, Target
from engine.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from engine.training.cpu.model import CpuModel
from engine.training.shrink import thin
from tests.scenes import look_at, ring_cameras

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes  # noqa: E402

from engine.training.cuda.geometry import order_of_places  # noqa: E402
from engine.training.cuda.model import NAMES, TorchModel  # noqa: E402
from engine.training.cuda.tensors import Drawn, Parameters, RenderRequest, TensorCamera  # noqa: E402
from tests.training.cpu.test_kernels import camera, scene  # noqa: E402
from tests.training.cuda import torch_rasterizer  # noqa: E402
from tests.training.cuda.torch_models import CPU, torch_model  # noqa: E402

RATES = {"means": 1e-3, "quats": 1e-3, "scales": 5e-3, "opacities": 5e-2, "sh0": 5e-3, "shN": 1e-3}
SETTINGS = StepSettings(RATES, 2, (0.2, 0.4, 0.6), 0.2, 0.01, 0.01, 0.0, 1, 7)
STILL = dict.fromkeys(RATES, 0.0)
BOTH = pytest.mark.parametrize("make", [CpuModel, torch_model], ids=["kernels", "torch"])


def target(view: int = 0, alpha: bool = True, size: tuple[int, int] = (41, 35)) -> Target:
    rng = np.random.default_rng(view)
    return Target(camera(*size), rng.integers(0, 256, (size[1], size[0], 4 if alpha else 3)).astype(np.uint8), view)


def assert_same(one: CpuModel | TorchModel, other: CpuModel | TorchModel, tolerance: float) -> None:
    mine, theirs = one.state(), other.state()
    assert int(mine["steps"]) == int(theirs["steps"])
    for name in NAMES:
        np.testing.assert_allclose(mine[name], theirs[name], atol=tolerance, err_msg=name)
        np.testing.assert_allclose(mine[f"second_{name}"], theirs[f"second_{name}"], rtol=1e-2, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize(("degree", "reduction"), [(0, 1), (2, 1), (2, 4)])
def test_steps_as_the_kernels_do(antialiased: bool, degree: int, reduction: int) -> None:
    gaussians, settings = scene(100, 1), replace(SETTINGS, sh_degree=degree, reduction=reduction)
    kernels, torched = CpuModel(gaussians, antialiased=antialiased), torch_model(gaussians, TrainConfig(antialiased=antialiased))
    for view in range(4):
        expected = float(kernels.step(target(view), settings))
        assert float(torched.step(target(view), settings)) == pytest.approx(expected, rel=1e-5)
    assert_same(kernels, torched, tolerance=2e-5)


def test_renders_and_scores_as_the_kernels_do() -> None:
    kernels, torched = (make(scene(100, 3)) for make in (CpuModel, torch_model))
    one, other = (model.render(camera(), 3, (0.1, 0.5, 0.9)) for model in (kernels, torched))
    np.testing.assert_allclose(one.rgb, other.rgb, atol=1e-5)
    np.testing.assert_allclose(one.alpha, other.alpha, atol=1e-5)
    np.testing.assert_allclose(one.depth, other.depth, atol=1e-3)
    assert torched.score(target(), 3) == pytest.approx(kernels.score(target(), 3), rel=1e-4)


def test_gathers_as_the_kernels_do() -> None:
    kernels, torched = (make(scene(80, 5)) for make in (CpuModel, torch_model))
    settings = replace(SETTINGS, learning_rates=STILL, gather=True)
    for view in range(3):
        kernels.step(target(view), settings)
        torched.step(target(view), settings)
    mine, theirs = torched.take_statistics(), kernels.take_statistics()
    np.testing.assert_allclose(mine.gradient, theirs.gradient, rtol=1e-3, atol=1e-7)
    assert mine.seen.max() == 3 and (mine.seen == theirs.seen).mean() > 0.95
    assert not torched.take_statistics().gradient.any()


def test_a_training_changes_engines_by_its_checkpoint(tmp_path: Path) -> None:
    gaussians = scene(60, 2)
    stayed, first = CpuModel(gaussians), CpuModel(gaussians)
    moved, last = torch_model(gaussians), CpuModel(scene(10, 0))
    for number, (model, following) in enumerate([(first, moved), (moved, last)]):
        for view in range(3):
            stayed.step(target(view), SETTINGS)
            model.step(target(view), SETTINGS)
        save_checkpoint(tmp_path / "checkpoint", Checkpoint(number, 0.0, model.state()))
        checkpoint = load_checkpoint(tmp_path / "checkpoint")
        assert checkpoint is not None
        following.load_state(checkpoint.arrays)
    assert_same(stayed, last, tolerance=2e-5)


def test_resumes_with_exposures_and_poses() -> None:
    settings = replace(SETTINGS, exposure_rate=1e-2, pose_rate=1e-4)
    cameras = ring_cameras(3)
    whole, cut = (torch_model(scene(50, 4), cameras=cameras) for _ in range(2))
    for view in (0, 1, 2):
        whole.step(target(view), settings)
        cut.step(target(view), settings)
    resumed = torch_model(scene(5, 0), cameras=cameras)
    resumed.load_state(cut.state())
    for view in (2, 0):
        assert float(whole.step(target(view), settings)) == float(resumed.step(target(view), settings))
    assert np.array_equal(whole.state()["exposure"], resumed.state()["exposure"])
    assert whole.state()["exposure"].any() and whole.state()["poses"].any()


@BOTH
def test_rebuild_copies_rows_and_resets_moments(make) -> None:
    model = make(scene(30, 6))
    model.step(target(), SETTINGS)
    before = model.state()
    rows = np.concatenate([np.arange(30), [4, 4, 9]])
    model.rebuild(rows, np.array([4, 30, 31]))
    after = model.state()
    for name in NAMES:
        assert np.array_equal(after[name], before[name][rows]), name
        assert not after[f"second_{name}"][[4, 30, 31]].any()
        assert np.array_equal(after[f"first_{name}"][32], before[f"first_{name}"][9])
    model.rebuild(np.array([2, 7]), np.array([], np.int64))
    assert model.count == 2 and np.array_equal(model.read("means"), before["means"][[2, 7]])
    model.step(target(), SETTINGS)


@BOTH
def test_a_sample_is_small_even_and_without_harmonics(make) -> None:
    model = make(scene(101, 7))
    few = model.sample(11)
    assert np.array_equal(few.means, model.read("means")[::10]) and few.shN.shape == (11, 0, 3)
    assert len(model.sample(1000)) == 101


@pytest.mark.parametrize("makers", [(CpuModel, torch_model), (torch_model, CpuModel), (torch_model, torch_model)])
def test_what_was_gathered_survives_a_checkpoint(makers) -> None:
    first, second = (make(scene(40, 3)) for make in makers)
    settings = replace(SETTINGS, gather=True)
    first.step(target(), settings)
    second.load_state(first.state())
    for model in (first, second):
        model.step(target(1), settings)
    mine, theirs = first.take_statistics(), second.take_statistics()
    np.testing.assert_allclose(mine.gradient, theirs.gradient, rtol=1e-3, atol=1e-7)
    assert mine.seen.max() == theirs.seen.max() == 2 and "sights" not in second.state()


@BOTH
def test_arranging_changes_the_order_alone(make) -> None:
    model, left = make(scene(200, 12)), make(scene(200, 12))
    settings = replace(SETTINGS, gather=True)
    for each in (model, left):
        each.step(target(), settings)
    model.arrange()
    for each in (model, left):
        each.step(target(1), settings)
    one, other = (each.render(camera(), 2, (0.0, 0.0, 0.0)).rgb for each in (model, left))
    np.testing.assert_allclose(one, other, atol=1e-5)
    assert sorted(model.read("means")[:, 0]) == pytest.approx(sorted(left.read("means")[:, 0]), abs=1e-5)
    assert np.sort(model.take_statistics().gradient) == pytest.approx(np.sort(left.take_statistics().gradient), rel=1e-3, abs=1e-7)


def test_neighbours_in_space_become_neighbours_in_memory() -> None:
    means = torch.rand(5000, 3, generator=torch.Generator().manual_seed(0))
    ordered = means[order_of_places(means)]
    assert (ordered[1:] - ordered[:-1]).norm(dim=1).mean() < 0.15 * (means[1:] - means[:-1]).norm(dim=1).mean()
    broken = torch.cat([means, torch.full((1, 3), torch.nan)])
    assert sorted(order_of_places(broken).tolist()) == list(range(5001))
    assert order_of_places(torch.ones(3, 3)).tolist() == [0, 1, 2]


@BOTH
def test_write_and_forget(make) -> None:
    model = make(scene(20, 7))
    model.step(target(), SETTINGS)
    model.write("opacities", np.array([3, 5]), np.array([-1.0, 2.0], np.float32))
    assert model.read("opacities")[[3, 5]].tolist() == [-1.0, 2.0]
    model.forget("opacities")
    state = model.state()
    assert not state["first_opacities"].any() and not state["second_opacities"].any() and state["second_means"].any()


@BOTH
def test_explores_along_the_own_axes_where_nothing_is_seen(make) -> None:
    count = 4000
    gaussians = Gaussians(np.zeros((count, 3), np.float32), np.tile(np.float32([0.5, 0.5, 0.5, 0.5]), (count, 1)),
                          np.tile(np.log(np.float32([0.1, 0.2, 0.4])), (count, 1)),
                          np.where(np.arange(count) % 2, 3.0, -9.0).astype(np.float32), np.zeros((count, 1, 3), np.float32),
                          np.zeros((count, 0, 3), np.float32))
    model = make(gaussians)
    far = Target(Camera(8, 8, 8.0, 8.0, 4.0, 4.0, look_at(np.array([0.0, -50.0, 0.1]))), np.zeros((8, 8, 3), np.uint8))
    lesson = replace(SETTINGS, learning_rates=STILL, sh_degree=0, noise=2.0)
    model.step(far, lesson)
    moved = model.read("means")
    assert not moved[1::2].any()
    gate = 1 / (1 + np.exp(-100 * (0.005 - 1 / (1 + np.exp(9.0)))))
    # The rotation takes x to y, y to z, z to x: variances of the axes move along.
    np.testing.assert_allclose(moved[::2].std(axis=0), 2.0 * gate * np.array([0.16, 0.01, 0.04]), rtol=0.1)
    again = make(gaussians)
    again.step(far, lesson)
    assert np.array_equal(again.read("means"), moved)


def test_draws_orthographic_cameras() -> None:
    """A Gaussian lies where its camera projects it, as large at every distance."""
    flat = Camera(64, 48, 10.0, 10.0, 30.0, 20.0, look_at(np.array([0.0, -5.0, 1.0])), orthographic=True)
    for distance in (0.0, 2.0):
        point = np.array([[0.7, distance, 0.4]])
        one = Gaussians(point.astype(np.float32), np.float32([[1, 0, 0, 0]]), np.full((1, 3), np.log(0.2), np.float32), np.float32([4.0]),
                        np.ones((1, 1, 3), np.float32), np.zeros((1, 0, 3), np.float32))
        seen = torch_model(one).render(flat, 0, (0.0, 0.0, 0.0))
        pixel, depth = flat.project(point)
        y, x = np.mgrid[:48, :64] + 0.5
        middle = np.array([(x * seen.alpha).sum(), (y * seen.alpha).sum()]) / seen.alpha.sum()
        np.testing.assert_allclose(middle, pixel[0], atol=0.05)
        assert seen.depth[seen.alpha > 0.1] == pytest.approx(depth[0], rel=1e-4)
        assert seen.alpha.sum() == pytest.approx(2 * np.pi * (0.2**2 * 100 + 0.3) * 0.98, rel=0.1)
    with pytest.raises(UserError, match="orthographic"):
        CpuModel(scene(5, 0)).render(flat, 0, (0.0, 0.0, 0.0))


class NoWaiting(TorchDispatchMode):
    """Refuses what would make a processor wait for its graphics card: values, or sizes that depend on values."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique2", "_unique2", "repeat_interleave")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        masks = [index for index in (args[1] if name in ("index", "index_put_") else ()) if index is not None and index.dtype == torch.bool]
        assert name not in self.WAITING and not masks, f"{func} waits for the device"
        return func(*args, **(kwargs or {}))


def drawn_outside(parameters: Parameters, camera: TensorCamera, request: RenderRequest) -> Drawn:
    """The reference may look at values."""
    with _disable_current_modes():
        return torch_rasterizer.draw(parameters, camera, request)


@pytest.mark.parametrize("changes", [
    {"noise": 1.0, "exposure_rate": 1e-3, "pose_rate": 1e-4},
    {"gather": True, "alpha_weight": 0.1, "distortion_weight": 0.1, "needle_weight": 0.1, "transmittance_weight": 0.1},
    {"depth_weight": 0.1, "normal_weight": 0.1},
])
def test_a_step_asks_for_no_values(changes: dict[str, float]) -> None:
    """On a card each question would cost the time until everything before it is done."""
    rng = np.random.default_rng(0)
    normals = rng.standard_normal((35, 41, 3)).astype(np.float32)
    full = replace(target(1), mask=rng.integers(0, 2, (35, 41)).astype(np.uint8) * 255, depth=rng.random((35, 41)).astype(np.float32),
                   normals=normals / np.linalg.norm(normals, axis=2, keepdims=True))
    model = TorchModel(scene(40, 5), CPU, drawn_outside, cameras=ring_cameras(3))
    settings = replace(SETTINGS, **changes)
    model.step(full, settings)
    with NoWaiting():
        loss = model.step(full, settings)
        mean = 0.98 * loss + 0.02 * loss
        with pytest.raises(AssertionError, match="waits"):
            float(mean)


def test_a_loss_that_is_no_number_changes_nothing() -> None:
    def broken(parameters: Parameters, camera: TensorCamera, request: RenderRequest) -> Drawn:
        drawn = torch_rasterizer.draw(parameters, camera, request)
        return replace(drawn, rgb=drawn.rgb * float("nan"))

    model = TorchModel(scene(30, 8), CPU, broken)
    before = model.state()
    assert np.isnan(float(model.step(target(), SETTINGS)))
    for name in NAMES:
        assert np.array_equal(model.state()[name], before[name]), name


@pytest.mark.parametrize(("error", "kind", "words"), [
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), OutOfMemory, "ran out of memory"),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), OutOfMemory, "ran out of memory"),
    (RuntimeError("CUDA error: unspecified launch failure\nmore"), UserError, "stopped working: CUDA error: unspecified launch failure"),
])
def test_failures_of_the_card_are_sentences(error: Exception, kind: type[UserError], words: str) -> None:
    def failing(parameters: Parameters, camera: TensorCamera, request: RenderRequest) -> Drawn:
        raise error

    model = TorchModel(scene(10, 9), CPU, failing)
    before = model.state()
    with pytest.raises(kind, match=words) as caught:
        model.step(target(), SETTINGS)
    assert caught.value.hint and type(caught.value) is kind
    assert all(np.array_equal(before[name], model.state()[name]) for name in before)


def test_the_most_opaque_gaussians_stay_with_their_moments() -> None:
    model = TorchModel(scene(50, 1), CPU, torch_rasterizer.draw)
    model.step(target(), replace(SETTINGS, gather=True))
    before = model.state()
    thin(model, 20)
    kept, after = np.sort(np.argsort(-before["opacities"], kind="stable")[:20]), model.state()
    assert model.count == 20 and after["steps"] == before["steps"]
    for name in ("means", "first_means", "second_opacities", "shN", "sights"):
        assert np.array_equal(after[name], before[name][kept]), name
    assert np.isfinite(float(model.step(target(), replace(SETTINGS, gather=True))))


def test_other_errors_are_not_hidden() -> None:
    def wrong(parameters: Parameters, camera: TensorCamera, request: RenderRequest) -> Drawn:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        TorchModel(scene(10, 9), CPU, wrong).step(target(), SETTINGS)


def test_names_what_is_no_number() -> None:
    model = torch_model(scene(50, 4))
    model.step(target(0), SETTINGS)
    assert model.broken() == []
    model.write("sh0", np.array([3]), np.full((1, 1, 3), np.nan, np.float32))
    model._learned._second["means"][0, 0] = float("inf")
    assert model.broken() == ["sh0", "second_means"]
