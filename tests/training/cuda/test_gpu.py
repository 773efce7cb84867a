"""On an NVIDIA card: gsplat against the kernels, steps without waiting, memory as predicted, the trainer."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.core.cameras.camera import Camera
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Finding, Finished, Started
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.estimate.estimate import estimate
from engine.training.backend import StepSettings, Target
from engine.training.cpu.library import Kernels, KernelScene
from engine.training.cpu.model import CpuModel, packed, view_struct
from engine.training.cuda.availability import prepare_kernels, unavailable
from engine.training.engines import create_model
from engine.training.low_pass import ANTIALIASED, CLASSIC, LowPass
from engine.training.trainer import train
from tests.scenes import ring_cameras, write_ball_dataset

torch = pytest.importorskip("torch")

from engine.training.cuda import rasterize  # noqa: E402
from engine.training.cuda.memory import ALWAYS, bytes_of_gaussian, plan_memory  # noqa: E402
from engine.training.cuda.model import NAMES, TorchModel  # noqa: E402
from engine.training.cuda.tensors import Drawn, Parameters, RenderRequest, TensorCamera, tensor_camera  # noqa: E402
from tests.training.cpu.test_kernels import camera, scene  # noqa: E402
from tests.training.cuda import torch_rasterizer  # noqa: E402
from tests.training.cuda.test_rasterize import FLAT  # noqa: E402

REASON = unavailable()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(REASON is not None, reason=str(REASON))]

RATES = {"means": 1e-4, "quats": 1e-3, "scales": 5e-3, "opacities": 5e-2, "sh0": 5e-3, "shN": 1e-3}
SETTINGS = StepSettings(RATES, 2, (0.2, 0.4, 0.6), 0.2, 0.01, 0.01, 0.0, 1, 7)
BLACK = (0.0, 0.0, 0.0)


@pytest.fixture(scope="module", autouse=True)
def kernels_compile() -> None:
    problem = prepare_kernels(lambda: None)
    assert problem is None, problem


def on_card(gaussians, **options) -> TorchModel:
    return TorchModel(gaussians, torch.device("cuda"), rasterize.draw, photo_budget=10**8, **options)


def target(view: int, size: tuple[int, int] = (41, 35)) -> Target:
    rng = np.random.default_rng(view)
    return Target(camera(*size), rng.integers(0, 256, (size[1], size[0], 4)).astype(np.uint8), view)


@pytest.mark.parametrize("low_pass", [CLASSIC, ANTIALIASED])
@pytest.mark.parametrize("packs", [False, True])
def test_gsplat_agrees_with_the_kernels(low_pass: LowPass, packs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rasterize, "PACKED_FROM", 0 if packs else 10**9)
    gaussians, view = scene(300, 5), camera(64, 48)
    weights = np.random.default_rng(0).standard_normal((4, 48, 64)).astype(np.float32)
    kernels = Kernels(2)
    images = kernels.forward(KernelScene(packed(gaussians.arrays()), 3, low_pass), view_struct(view, BLACK), with_depth=True)
    expected = kernels.backward(weights[:3].copy(), -weights[3].copy()).gaussians.unpack()
    kernels.close()
    parameters = {name: torch.from_numpy(array).cuda().requires_grad_() for name, array in gaussians.arrays().items()}
    drawn = rasterize.draw(parameters, tensor_camera(view, torch.device("cuda")), RenderRequest(3, low_pass))
    found = torch.cat([drawn.rgb, drawn.alpha[..., None]], dim=2).permute(2, 0, 1)
    (found * torch.from_numpy(weights).cuda()).sum().backward()
    np.testing.assert_allclose(found[:3].detach().cpu().numpy(), images.rgb, atol=2e-3)
    np.testing.assert_allclose(found[3].detach().cpu().numpy(), 1 - images.transmittance, atol=2e-3)
    for name in NAMES:
        mine, theirs = parameters[name].grad.cpu().numpy(), expected[name]
        assert np.abs(mine - theirs).max() < 0.01 * np.abs(theirs).max() + 1e-5, name


@pytest.mark.parametrize("view", [camera(), FLAT], ids=["pinhole", "orthographic"])
def test_gsplat_agrees_with_the_reference(view: Camera) -> None:
    model = on_card(scene(200, 6))
    theirs = TorchModel(scene(200, 6), torch.device("cpu"), torch_rasterizer.draw)
    one, other = (each.render(view, 2, (0.1, 0.5, 0.9)) for each in (model, theirs))
    np.testing.assert_allclose(one.rgb, other.rgb, atol=2e-3)
    np.testing.assert_allclose(one.depth, other.depth, atol=2e-2)


def test_steps_as_the_kernels_do() -> None:
    mine, theirs = on_card(scene(200, 7)), CpuModel(scene(200, 7))
    for view in range(5):
        assert float(mine.step(target(view), SETTINGS)) == pytest.approx(float(theirs.step(target(view), SETTINGS)), rel=1e-3)
    for name in NAMES:
        assert np.abs(mine.read(name) - theirs.read(name)).mean() < 2e-3, name


def test_gathers_as_the_kernels_do() -> None:
    settings = dataclasses.replace(SETTINGS, gather=True, learning_rates=dict.fromkeys(RATES, 0.0))
    found = []
    for model in (on_card(scene(200, 8)), CpuModel(scene(200, 8))):
        for view in range(3):
            model.step(target(view), settings)
        found.append(model.take_statistics().gradient)
    assert np.corrcoef(found[0], found[1])[0, 1] > 0.999
    np.testing.assert_allclose(found[0].sum(), found[1].sum(), rtol=0.02)


def drawing_may_wait(parameters: Parameters, view: TensorCamera, request: RenderRequest) -> Drawn:
    """gsplat waits once, to learn how many tiles are touched."""
    torch.cuda.set_sync_debug_mode("default")
    try:
        return rasterize.draw(parameters, view, request)
    finally:
        torch.cuda.set_sync_debug_mode("error")


@pytest.fixture
def no_waiting() -> Iterator[None]:
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("changes", [
    {"noise": 1.0}, {"gather": True}, {"exposure_rate": 1e-3, "pose_rate": 1e-5},
    {"distortion_weight": 0.1, "needle_weight": 0.1, "transmittance_weight": 0.1, "alpha_weight": 0.1},
], ids=["plain", "gathering", "photo terms", "all terms"])
def test_a_step_does_not_wait_for_the_device(changes: dict[str, float], no_waiting: None) -> None:
    model = TorchModel(scene(500, 9), torch.device("cuda"), drawing_may_wait, cameras=ring_cameras(4), photo_budget=2 * 41 * 35 * 4)
    settings = dataclasses.replace(SETTINGS, **changes)
    for view in range(4):
        model.step(target(view), settings)
    torch.cuda.set_sync_debug_mode("error")
    for view in range(4):
        model.expect(target((view + 1) % 4))
        model.step(target(view), settings)


def test_peak_memory_is_within_the_prediction() -> None:
    count, size = 200_000, (800, 600)
    rng = np.random.default_rng(0)
    gaussians = scene(count, 10, scale=0.01)
    image = rng.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    model = on_card(gaussians)
    torch.cuda.reset_peak_memory_stats()
    for _ in range(3):
        model.step(Target(camera(*size), image, 0), dataclasses.replace(SETTINGS, sh_degree=3, noise=1.0))
    model.rebuild(np.arange(count), np.arange(10))
    plan = plan_memory(10**11, count, 3, size[0] * size[1])
    used = torch.cuda.max_memory_allocated()
    print(f"{used / 1e6:.0f} MB used, {(plan.gaussians + plan.pictures) / 1e6:.0f} MB predicted, {bytes_of_gaussian(3)} bytes a Gaussian")
    assert used < plan.gaussians + plan.pictures + ALWAYS
    model.close()


def test_memory_that_really_ends_costs_some_gaussians_alone(tmp_path: Path) -> None:
    """The allocator itself refuses a drawing of too many Gaussians."""
    def draw(parameters: Parameters, camera: TensorCamera, request: RenderRequest) -> Drawn:
        if len(parameters["means"]) > 450:
            torch.empty(2 * torch.cuda.get_device_properties(0).total_memory, dtype=torch.uint8, device="cuda")
        return rasterize.draw(parameters, camera, request)

    job, events = JobFolder(tmp_path / "job"), []
    config = TrainConfig(backend="cuda", max_steps=300, max_gaussians=600, resolution=64, sh_degree=1, refine_every=20)
    job.write_spec(JobSpec(write_ball_dataset(tmp_path / "data").folder, config))
    train(job, events.append, lambda: "run",
          make_model=lambda gaussians, *_: TorchModel(gaussians, torch.device("cuda"), draw, photo_budget=10**8))
    (said,) = [event.message for event in events if isinstance(event, Finding) and "memory" in event.message]
    assert "ran out of memory. The training goes on with" in said
    assert isinstance(events[-1], Finished) and events[-1].gaussians <= 450 and job.read_spec().config.max_gaussians <= 450


def test_trains_and_changes_engines(tmp_path: Path) -> None:
    dataset = write_ball_dataset(tmp_path / "data").folder
    config = TrainConfig(backend="cuda", max_steps=300, max_gaussians=500, resolution=64, sh_degree=1, refine_every=20)
    job, events = JobFolder(tmp_path / "job"), []
    job.write_spec(JobSpec(dataset, config))
    train(job, events.append, lambda: "run")
    assert next(event for event in events if isinstance(event, Started)).backend == "cuda"
    assert isinstance(events[-1], Finished) and events[-1].psnr > 25
    job.write_spec(JobSpec(dataset, dataclasses.replace(config, backend="cpu", max_steps=330)))
    train(job, events.append, lambda: "run", make_model=create_model)
    assert isinstance(events[-1], Finished) and events[-1].psnr > 25


def test_an_estimate_holds_on_the_card(tmp_path: Path) -> None:
    """The training's memory on the card, as torch counts it; `make bench-estimate` measures its time too."""
    dataset = write_ball_dataset(tmp_path / "data", size=256)
    config = TrainConfig(backend="cuda", max_steps=1500, max_gaussians=60_000, resolution=256, strategy="mcmc", grow_rate=0.5,
                         smoke_test=False)
    found, findings = estimate(dataset, config, tmp_path)
    assert found.backend == "cuda" and not findings and found.free_card > 1e9
    job, events, begin = JobFolder(tmp_path / "job"), [], time.monotonic()
    job.write_spec(JobSpec(dataset.folder, config))
    torch.cuda.reset_peak_memory_stats()
    train(job, events.append, lambda: "run")
    seconds, card = time.monotonic() - begin, torch.cuda.max_memory_allocated() + ALWAYS
    print(f"{found.seconds:.1f} s estimated, {seconds:.1f} s taken; {found.card / 1e6:.0f} MB estimated, {card / 1e6:.0f} MB taken")
    assert 0.75 < found.card / card < 1.33
