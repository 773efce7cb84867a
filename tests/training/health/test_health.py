"""A sick training is found, its cause named, and where going on is pointless it pauses; a sound one is left alone."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.core.datasets.read import read_dataset
from engine.core.errors import UserError
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Event, Finding, Finished, Paused, Started
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.training import host_memory
from engine.training.checkpoint import load_checkpoint
from engine.training.cpu.model import CpuModel
from engine.training.data.targets import load_targets
from engine.training.health import checks, monitor
from engine.training.health.monitor import Health
from engine.training.health.trends import Refinement, runaway_growth
from engine.training.init.initialize import initial_gaussians
from engine.training.schedule import settings_at
from engine.training.trainer import train
from tests.scenes import write_ball_dataset
from tests.training.health import unhealthy
from tests.training.health.unhealthy import found, making, told, watched

LONG = TrainConfig(backend="cpu", max_steps=400, max_gaussians=2000, resolution=64, sh_degree=1, eval_every=1000, refine_every=20,
                   threads=2, smoke_test=False, checkpoint_seconds=0.5)


@pytest.fixture(autouse=True)
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at every step instead of every few seconds."""
    monkeypatch.setattr(monitor, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(monitor, "SHARE", 1e9)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_dataset(tmp_path_factory.mktemp("ball")).folder


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path / "job")


def ask(job: JobFolder, dataset: Path, **changes: object) -> JobFolder:
    job.write_spec(JobSpec(dataset, dataclasses.replace(LONG, **changes)))
    return job


def paused(events: list[Event]) -> Paused:
    return next(event for event in events if isinstance(event, Paused))


def test_a_sound_training_has_no_findings_and_is_left_as_it_is(tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, alone = (ask(JobFolder(tmp_path / name), dataset, smoke_test=trial, max_steps=200) for name, trial in (("a", True), ("b", False)))
    events = watched(job)
    assert told(events) == []
    monkeypatch.setattr(Health, "watch", lambda *_: None)
    watched(alone)
    assert job.result.read_bytes() == alone.result.read_bytes()


def test_gaussians_that_no_camera_sees(job: JobFolder, dataset: Path) -> None:
    events = watched(ask(job, dataset), make_model=making(unhealthy.Blind))
    finding = found(events, "gradients")
    assert finding.severity == "error" and "positions" in finding.message and "no camera sees a Gaussian" in finding.message
    assert paused(events).reason == finding.message and paused(events).step < 20
    checkpoint = load_checkpoint(job.checkpoint)
    assert checkpoint is not None and checkpoint.step == paused(events).step


def test_gradients_that_come_no_longer(job: JobFolder, dataset: Path) -> None:
    """Moments fade, but it takes hundreds of steps until they are zero."""
    events = watched(ask(job, dataset, refine_until=0.0, noise=0.0), make_model=making(unhealthy.Forgetful))
    assert "gradients of the positions" in found(events, "gradients").message and paused(events).step < 90


def test_gradients_of_one_parameter_get_lost(job: JobFolder, dataset: Path) -> None:
    events = watched(ask(job, dataset), make_model=making(unhealthy.Deaf))
    assert "gradients of the rotations are exactly zero" in found(events, "gradients").message and paused(events)


def test_parameters_that_do_not_change(job: JobFolder, dataset: Path) -> None:
    events = watched(ask(job, dataset, noise=0.0), make_model=making(unhealthy.Stuck))
    assert "positions do not change, though" in found(events, "frozen").message and paused(events)


def test_a_learning_rate_of_zero_is_named_and_respected(job: JobFolder, dataset: Path) -> None:
    events = watched(ask(job, dataset, lr_opacities=0.0), until="frozen")
    finding = found(events, "frozen")
    assert finding.severity == "warning" and "opacities do not change: their learning rate is 0" in finding.message
    assert not any(isinstance(event, Paused) for event in events)


@pytest.mark.parametrize(("kind", "name"), [(unhealthy.Poisoned, "positions"), (unhealthy.PoisonedGradient, "sizes")])
def test_values_that_are_no_numbers_end_it_and_leave_the_sound_checkpoint(
        job: JobFolder, dataset: Path, kind: type, name: str) -> None:
    with pytest.raises(UserError, match=f"{name} hold values that are no numbers .step 40."):
        watched(ask(job, dataset, checkpoint_seconds=0.1), make_model=making(kind))
    checkpoint = load_checkpoint(job.checkpoint)
    assert checkpoint is None or all(np.isfinite(array).all() for array in checkpoint.state.values())


def test_no_checkpoint_of_values_that_are_no_numbers(job: JobFolder, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where nobody looked in between."""
    monkeypatch.setattr(Health, "watch", lambda *_: None)
    events = watched(ask(job, dataset, max_steps=60, checkpoint_seconds=3600), make_model=making(unhealthy.Poisoned))
    assert isinstance(events[-1], Finished) and load_checkpoint(job.checkpoint) is None
    assert any("no numbers: means" in event.message for event in events if isinstance(event, Finding))


def test_opacities_collapse(job: JobFolder, dataset: Path) -> None:
    events = watched(ask(job, dataset, opacity_regularisation=10.0, refine_until=0.0))
    finding = found(events, "opacity")
    assert "have become transparent. opacity_regularisation is 10 (default 0.001)." in finding.message and paused(events)


def test_gaussians_leave_the_scene(job: JobFolder, dataset: Path) -> None:
    events = watched(ask(job, dataset, lr_means=1.0, noise=0.0))
    finding = found(events, "off_scene")
    assert "have left the scene. lr_means is 1 (default 0.00032)." in finding.message and paused(events)


def test_needles(job: JobFolder, dataset: Path) -> None:
    finding = found(watched(ask(job, dataset), until="needles", make_model=making(unhealthy.Stretched)), "needles")
    assert finding.severity == "warning" and finding.measure is not None and finding.measure > 0.5


@pytest.mark.parametrize(("changes", "cause"), [
    ({"grow_rate": 0.0}, "grow_rate is 0"), ({"strategy": "default", "grow_gradient": 1.0}, "No gradient is above grow_gradient"),
    ({"refine_from": 0.5, "refine_until": 0.2}, "refine_from is 0.5")], ids=["growth", "gradient", "off"])
def test_no_densification(job: JobFolder, dataset: Path, changes: dict[str, object], cause: str) -> None:
    finding = found(watched(ask(job, dataset, **changes), until="no_densification"), "no_densification")
    assert finding.severity == "warning" and cause in finding.message


@pytest.mark.parametrize("changes", [{"grow_rate": 1.0}, {"strategy": "default", "grow_gradient": 1e-9}], ids=["mcmc", "default"])
def test_runaway_densification(job: JobFolder, dataset: Path, changes: dict[str, object]) -> None:
    finding = found(watched(ask(job, dataset, max_gaussians=50_000, **changes), until="runaway"), "runaway")
    assert finding.measure is not None and finding.measure > 4 and next(name for name in changes if name != "strategy") in finding.message


@pytest.mark.parametrize("counts, cap", [
    ((600, 1188, 2272, 4175, 7712, 13129, 16897, 16977), 17024), ((2700, 5147, 9261, 14916, 24272, 26394), 26600),
    ((400, 800, 1600, 3200, 6400), 50_000), ((600, 960, 1536, 2458, 3000, 3000), 3000),
], ids=str)
def test_few_start_points_become_many_in_a_healthy_training(counts: tuple[int, ...], cap: int) -> None:
    """As measured at default settings, and while there is room below the cap."""
    done = [Refinement(before, after, after - before) for before, after in pairwise(counts)]
    config = dataclasses.replace(LONG, strategy="default", max_gaussians=cap)
    assert all(runaway_growth(done[:number], config) is None for number in range(len(done) + 1))
    doubled = [Refinement(count, 2 * count, count) for count in (cap // 10, cap // 5, 2 * cap // 5)]
    assert runaway_growth(doubled, config)


def test_renderings_darker_than_their_photos(job: JobFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos that are overexposed, and colours that may not follow."""
    monkeypatch.setattr(checks, "DRIFT_FROM", 50)
    folder = write_ball_dataset(tmp_path / "bright").folder
    for path in (folder / "images").iterdir():
        repaint(path, lambda color: 0.3 * color + 0.7 * 255)
    finding = found(watched(ask(job, folder, lr_sh0=0.0), until="brightness"), "brightness")
    assert "darker than their photos" in finding.message and "lr_sh0 is 0" in finding.message


def test_an_impossible_psnr(job: JobFolder, dataset: Path) -> None:
    events = watched(ask(job, dataset), make_model=making(unhealthy.Flattered))
    finding = found(events, "impossible")
    assert "dB is impossible where the mean difference is" in finding.message and finding.severity == "error"


def test_a_training_learns_by_heart(job: JobFolder, tmp_path: Path) -> None:
    folder = with_false_held_out(tmp_path / "false")
    finding = found(watched(ask(job, folder, eval_every=5, initial_opacity=0.01, noise=0.0), until="overfit"), "overfit")
    assert "held-out views have lost" in finding.message and finding.fixes == ("finish",)


def test_a_plateau_offers_to_finish(job: JobFolder, dataset: Path) -> None:
    still = {name: 1e-7 for name in ("lr_means", "lr_scales", "lr_opacities", "lr_quats", "lr_sh0")}
    changes = {**still, "eval_every": 10, "half_until": 0.0, "quarter_until": 0.0, "refine_until": 0.05, "noise": 0.0}
    finding = found(watched(ask(job, dataset, **changes), until="plateau"), "plateau")
    assert finding.severity == "info" and finding.fixes == ("finish",)


def test_steps_become_slow(job: JobFolder, dataset: Path) -> None:
    changes = {"half_until": 0.0, "quarter_until": 0.0, "full_sh_at": 0.0, "sh_degree": 0, "max_steps": 80}
    finding = found(watched(ask(job, dataset, **changes), until="speed", make_model=making(unhealthy.Tired)), "speed")
    assert "Steps have become slow" in finding.message and finding.measure is not None and finding.measure < 0.2


def test_memory_that_grows(job: JobFolder, dataset: Path) -> None:
    events = watched(ask(job, dataset, max_steps=1_000_000), until="memory", make_model=making(unhealthy.Hoarder))
    finding = found(events, "memory")
    assert finding.measure is not None and 4e6 < finding.measure < 16e6 and "used up at step" in finding.message


def test_memory_is_known_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some containers have no /proc."""
    exact = host_memory.used_memory()
    monkeypatch.setattr(host_memory, "STATM", Path("/nowhere"))
    assert 1e7 < exact <= host_memory.used_memory() < 1e12


def test_a_paused_training_goes_on_and_does_not_pause_for_the_same_again(job: JobFolder, dataset: Path) -> None:
    """In the same process as well as in the next one."""
    ask(job, dataset, max_steps=240, opacity_regularisation=10.0, refine_until=0.0, quarter_until=0.0)
    events: list[Event] = []

    def resumed(event: Event) -> None:
        events.append(event)
        job.append_event(event)
        if isinstance(event, Paused):
            job.set_control("run")

    train(job, resumed, job.control)
    assert isinstance(events[-1], Finished) and not events[-1].stopped
    assert sum(isinstance(event, Paused) for event in events) == 1 and sum(isinstance(event, Started) for event in events) == 2
    ask(job, dataset, max_steps=260, opacity_regularisation=10.0, refine_until=0.0, quarter_until=0.0)
    again = watched(job)
    assert isinstance(again[-1], Finished) and found(again, "opacity") and not any(isinstance(event, Paused) for event in again)


def test_nobody_is_paused_who_does_not_want_it(job: JobFolder, dataset: Path) -> None:
    events = watched(ask(job, dataset, max_steps=240, opacity_regularisation=10.0, refine_until=0.0, pause_on_failure=False))
    assert found(events, "opacity") and isinstance(events[-1], Finished) and not events[-1].stopped


def test_both_backends_have_the_same_vitals(dataset: Path) -> None:
    pytest.importorskip("torch")
    from tests.training.cuda.torch_models import torch_model

    data = read_dataset(dataset)
    gaussians = initial_gaussians(data, dataclasses.replace(LONG, max_gaussians=200))
    target = load_targets(data.train_views[:1], 32)[0].full
    models = (CpuModel(gaussians, 1), torch_model(gaussians))
    for model in models:
        assert all(each.moment_norm == 0.0 and each.finite for each in model.parameter_health().values())
        model.step(target, dataclasses.replace(settings_at(0, LONG, 1.0, True), noise=0.0, sh_degree=1))
    ours, theirs = (model.parameter_health() for model in models)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name].moment_sum == pytest.approx(theirs[name].moment_sum, rel=0.1, abs=1e-5), name
        assert ours[name].moment_norm == pytest.approx(theirs[name].moment_norm, rel=0.05, abs=1e-7), name
        assert ours[name].finite and theirs[name].finite
    models[1].write("scales", np.array([5]), np.full((1, 3), np.nan, np.float32))
    assert not models[1].parameter_health()["scales"].finite and models[1].parameter_health()["means"].finite


def test_a_tensor_without_a_gradient_has_no_pull(dataset: Path) -> None:
    """Missing, not zero: torch knows the difference."""
    pytest.importorskip("torch")
    from tests.training.cuda.torch_models import torch_model

    model = torch_model(initial_gaussians(read_dataset(dataset), dataclasses.replace(LONG, max_gaussians=50)))
    model.parameters["quats"].requires_grad_(False)
    model.step(load_targets(read_dataset(dataset).train_views[:1], 32)[0].full, settings_at(0, LONG, 1.0, True))
    assert model.parameter_health()["quats"].moment_norm == 0.0 and model.parameter_health()["means"].moment_norm > 0.0


def repaint(path: Path, change) -> None:
    """Change the colours of an image and leave its alpha."""
    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("RGBA"))
    color = change(pixels[..., :3].astype(np.float64)).clip(0, 255)
    Image.fromarray(np.concatenate([color, pixels[..., 3:]], axis=2).astype(np.uint8)).save(path)


def with_false_held_out(folder: Path) -> Path:
    """A ball whose held-out photos show something else: its negative."""
    data = write_ball_dataset(folder)
    for view in data.eval_views:
        repaint(view.image, lambda color: 255 - color)
    return data.folder
