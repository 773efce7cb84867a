"""Every preset trains on the built-in engine, on photos of every kind of background, and ends with a result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from engine.core.datasets.dataset import Dataset
from engine.core.datasets.transforms_json import write_transforms
from engine.core.protocol.config import PRESETS, PresetName
from engine.training.backend import Target
from engine.training.checkpoint import load_checkpoint
from engine.training.cpu.model import CpuModel
from engine.training.evaluate import exposure_corrected, psnr
from tests.preflight.test_left_out import with_true_maps
from tests.scenes import colored_ball, ring_cameras, write_ball_dataset
from tests.training.test_trainer import finished, make_job, run


@pytest.fixture(scope="module")
def ball(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_ball_dataset(tmp_path_factory.mktemp("ball"), views=12, size=48)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_trains_on_the_built_in_engine(name: PresetName, ball: Dataset, tmp_path: Path) -> None:
    small = {"max_steps": 120, "max_gaussians": 900, "resolution": 48, "eval_every": 60,
             "sky": min(200, PRESETS[name].settings.get("sky", 0))}
    job = make_job(tmp_path, ball.folder, **{**PRESETS[name].settings, **small, "backend": "cpu", "smoke_test": False})
    end = finished(run(job))
    assert end.step == 120 and end.psnr is not None and end.psnr > 12 and job.result.exists()


def test_more_steps_than_the_preset_has_are_no_worse(ball: Dataset, tmp_path: Path) -> None:
    """Also where they go past 3,000, at which trainings of tens of thousands of steps reset all opacities for the first time."""
    small = {**PRESETS["preview"].settings, "max_gaussians": 500, "resolution": 32, "backend": "cpu", "eval_every": 10_000, "sh_degree": 0}
    short, long = (finished(run(make_job(tmp_path / str(steps), ball.folder, **small, max_steps=steps))).psnr for steps in (1_000, 3_900))
    assert short is not None and long is not None and long > short - 0.2


def test_the_outdoor_preset_learns_exposures_poses_and_a_sky(ball: Dataset, tmp_path: Path) -> None:
    settings = {**PRESETS["outdoor"].settings, "max_steps": 60, "max_gaussians": 900, "resolution": 48, "sky": 200, "backend": "cpu"}
    job = make_job(tmp_path, ball.folder, **settings)
    run(job)
    state = load_checkpoint(job.checkpoint)
    assert state is not None and state.arrays["exposure"].any() and state.arrays["poses"].any()
    assert len(state.arrays["means"]) >= 600


def test_exposure_corrected_figures_have_a_name_of_their_own(ball: Dataset, tmp_path: Path) -> None:
    plain, exposed = (make_job(tmp_path / name, ball.folder, backend="cpu", max_steps=40, lr_exposure=rate)
                      for name, rate in (("plain", 0.0), ("exposed", 1e-3)))
    reports = []
    for job in (plain, exposed):
        run(job)
        reports.append(json.loads(job.report.read_text()))
    assert "psnr_exposure_corrected" not in reports[0]
    assert list(reports[1]).index("psnr") < list(reports[1]).index("psnr_exposure_corrected"), "the plain one stands first"
    assert (reports[1]["exposure_fitted_on"], reports[1]["exposure_measured_on"]) == ("left half", "right half")


def test_the_measured_half_teaches_the_correction_nothing() -> None:
    """A photo that is darker by half than the scene: corrected it is right; what is only wrong on the right stays wrong."""
    model, (camera, *_) = CpuModel(colored_ball(), 1), ring_cameras(4, 48)
    seen = (model.render(camera, 0, (0.0, 0.0, 0.0)).rgb.clip(0, 1) * 255).astype(np.uint8)
    dark = Target(camera, seen // 2)
    half_dark = Target(camera, np.concatenate([seen[:, :24], seen[:, 24:] // 2], axis=1))
    corrected, fooled = (exposure_corrected(model, target, 0) for target in (dark, half_dark))
    assert corrected is not None and fooled is not None
    assert corrected > 40 and fooled == pytest.approx(psnr(seen[:, 24:] / 255.0, half_dark.image[:, 24:] / 255.0), abs=0.5)
    assert exposure_corrected(model, Target(camera, seen, mask=np.zeros((48, 48), np.uint8)), 0) is None


TERMS = {"guides": True, "guide_until": 0.9, "transmittance_weight": 0.01, "distortion_weight": 0.01, "needle_weight": 0.1,
         "lr_exposure": 1e-3, "lr_poses": 1e-5, "alpha_weight": 0.2, "max_steps": 60, "refine_every": 10}


@pytest.mark.parametrize("strategy", ["mcmc", "default"])
def test_interrupted_with_every_term_it_ends_the_same(strategy: str, tmp_path: Path) -> None:
    dataset = with_true_maps(write_ball_dataset(tmp_path / "ball", views=12, size=48))
    write_transforms(dataset)
    whole, cut = (make_job(tmp_path / name, dataset.folder, backend="cpu", strategy=strategy, **TERMS) for name in ("whole", "cut"))
    run(whole)
    for stop_at in (13, 37):
        step = [0]

        def control(step: list[int] = step, stop_at: int = stop_at) -> Literal["run", "stop"]:
            step[0] += 1
            return "stop" if step[0] > stop_at else "run"

        run(cut, control)
    run(cut)
    assert cut.read_spec().config == whole.read_spec().config and whole.read_spec().config.depth_weight > 0
    assert cut.result.read_bytes() == whole.result.read_bytes()
