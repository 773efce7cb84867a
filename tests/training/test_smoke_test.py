"""The smoke test: a training whose first steps make nothing better stops and says why."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from engine.core.errors import UserError
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Finished
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.training import smoke_test
from engine.training.smoke_test import ViewQuality, verdict
from tests.scenes import write_ball_dataset
from tests.training.health import unhealthy
from tests.training.health.test_health import with_false_held_out
from tests.training.health.unhealthy import making, watched
from tests.training.test_trainer import interrupt_after, run

USUAL = TrainConfig(backend="cpu", max_steps=150, max_gaussians=800, resolution=64, sh_degree=1, eval_every=1000, threads=2,
                    pause_on_failure=False, checkpoint_seconds=0.1)
STILL = dict.fromkeys(("lr_means", "lr_scales", "lr_opacities", "lr_quats", "lr_sh0", "noise"), 0.0)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_dataset(tmp_path_factory.mktemp("ball")).folder


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path / "job")


def ask(job: JobFolder, dataset: Path, **changes: object) -> JobFolder:
    job.write_spec(JobSpec(dataset, dataclasses.replace(USUAL, **changes)))
    return job


def test_a_sound_training_passes(job: JobFolder, dataset: Path) -> None:
    assert isinstance(watched(ask(job, dataset))[-1], Finished)


@pytest.mark.parametrize(("changes", "cause"), [
    (STILL, "do not change: their learning rate is 0"), ({"opacity_regularisation": 10.0}, "opacity_regularisation is 10"),
    ({"lr_means": 1.0}, "lr_means is 1"), ({"lr_sh0": 1.0, "lr_scales": 0.9}, "lr_scales is 0.9 .default 0.0075., lr_sh0 is 1")],
    ids=["still", "transparent", "far", "wild"])
def test_settings_that_spoil_it_are_named(job: JobFolder, dataset: Path, changes: dict[str, float], cause: str) -> None:
    with pytest.raises(UserError, match=f"The first 100 steps did not .*{cause}") as caught:
        watched(ask(job, dataset, **changes))
    assert "switch the smoke test off" in caught.value.hint and not job.result.exists()


def test_nothing_in_view(job: JobFolder, dataset: Path) -> None:
    with pytest.raises(UserError, match=r"did not lower the loss .*no camera sees a Gaussian"):
        watched(ask(job, dataset), make_model=making(unhealthy.Blind))


def test_held_out_photos_of_something_else(job: JobFolder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"did not raise the PSNR on held-out views .* though the loss fell"):
        watched(ask(job, with_false_held_out(tmp_path / "false")))


def test_it_can_be_switched_off(job: JobFolder, dataset: Path) -> None:
    assert isinstance(watched(ask(job, dataset, smoke_test=False, **STILL))[-1], Finished)


def test_shorter_trainings_have_none(job: JobFolder, dataset: Path) -> None:
    assert isinstance(watched(ask(job, dataset, max_steps=smoke_test.STEPS, **STILL))[-1], Finished)


@pytest.mark.parametrize("steps", [40, 110])
def test_it_is_not_repeated(job: JobFolder, dataset: Path, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(ask(job, dataset), interrupt_after(steps))
    monkeypatch.setattr(smoke_test, "verdict", lambda *_: pytest.fail("a second smoke test"))
    assert isinstance(run(job)[-1], Finished)


@pytest.mark.parametrize(("before", "after", "well"), [
    (ViewQuality(0.3, 12.0), ViewQuality(0.2, 15.0), True), (ViewQuality(0.3, 12.0), ViewQuality(0.3, 15.0), False),
    (ViewQuality(0.3, 12.0), ViewQuality(0.2, 12.0), False),
    (ViewQuality(0.3, float("nan")), ViewQuality(0.2, float("nan")), True), (ViewQuality(0.02, 30.0), ViewQuality(0.021, 29.5), True),
    (ViewQuality(0.02, 30.0), ViewQuality(0.2, 20.0), False), (ViewQuality(0.3, 12.0), ViewQuality(float("nan"), 12.0), False)])
def test_verdicts(before: ViewQuality, after: ViewQuality, well: bool) -> None:
    assert (verdict(before, after) == "") == well
