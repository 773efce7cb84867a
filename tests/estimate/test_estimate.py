"""Estimates: a real probe and a real training agree, what does not fit is told with a setting that does, and nothing is left behind."""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.datasets.dataset import Dataset
from engine.core.datasets.read import read_dataset
from engine.core.errors import UserError
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.estimate_text import sentence
from engine.core.protocol.events import Estimated, Failed, Finding, Finished, Stage, Started
from engine.core.protocol.folder import JobFolder
from engine.core.protocol.progress import Step
from engine.core.protocol.spec import JobSpec
from engine.estimate.budget import check_budget
from engine.estimate.estimate import estimate
from engine.estimate.fit import Fitting, misfit
from engine.estimate.forecast import Forecast
from engine.estimate.probe import resized
from engine.estimate.probe_result import Kind, Probe, Size
from engine.jobs.local_engine import LocalEngine
from engine.training.cuda.memory import plan_memory
from engine.training.engines import BackendChoice
from engine.training.trainer import train
from engine.worker import Preflight
from tests.bench.bench_estimate import most_resident
from tests.scenes import colored_ball, write_ball_dataset

CONFIG = TrainConfig(backend="cpu", max_steps=1500, max_gaussians=3000, resolution=96, smoke_test=False, preview_seconds=1.0)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return read_dataset(write_ball_dataset(tmp_path_factory.mktemp("data") / "Kugel – 球", size=96).folder)


def changed(dataset: Dataset, folder: Path, **changes: object) -> Dataset:
    made = replace(dataset, folder=folder, **changes)  # type: ignore[arg-type]
    folder.mkdir()
    return made


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else the computer does."""
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 0.1, 0.1), raising=False)


def test_a_busy_computer_is_said(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (1e3, 1.0, 1.0), raising=False)
    _, (finding,) = estimate(dataset, replace(CONFIG, max_gaussians=400), tmp_path)
    assert (finding.severity, finding.kind) == ("info", "busy") and "without them it is faster" in finding.message


def test_an_estimate_agrees_with_the_training(dataset: Dataset, tmp_path: Path) -> None:
    """Memory and disk; `make bench-estimate` measures the time too, on an idle computer."""
    engine, spec = LocalEngine(tmp_path), JobSpec(dataset.folder, replace(CONFIG, strategy="mcmc", grow_rate=0.2))
    before = {path: path.stat().st_mtime for path in dataset.folder.rglob("*")}
    events = engine.estimate(spec).wait()
    found = next(event for event in events if isinstance(event, Estimated))
    stages = [event for event in events if isinstance(event, Stage)]
    assert len(stages) > 2 and [event.done for event in stages] == sorted(event.done for event in stages)
    assert stages[-1].done == stages[-1].total
    assert before == {path: path.stat().st_mtime for path in dataset.folder.rglob("*")}
    assert not (tmp_path / ".estimates").exists() and engine.jobs() == []
    job, memory = engine.submit(spec), 0.0
    folder = engine.folder(job)
    while not isinstance((folder.last_events() or [None])[-1], (Finished, Failed)):
        memory = max(memory, most_resident(folder.worker_pid()))
        time.sleep(0.05)
    disk = sum(path.stat().st_size for path in folder.path.rglob("*") if path.is_file())
    engine.kill(job)
    if memory:
        assert 0.7 < found.memory / memory < 1.4, (found, memory)
    assert disk < found.disk < 3 * disk + 3e6 and found.gaussians == 3000


def test_too_little_memory_names_a_setting_that_fits(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the computer has free is the only thing here that a test cannot really change."""
    monkeypatch.setattr("engine.estimate.probe.free_memory", lambda: 300e6)
    wish = replace(CONFIG, max_gaussians=2_000_000, strategy="mcmc", grow_rate=1.0)
    found, (finding,) = estimate(dataset, wish, tmp_path)
    assert found.memory > max(1e9, found.free_memory) and finding.kind == "fit" and finding.fixes == ("settings",)
    assert "of memory, and " in finding.message and finding.hint.startswith("Set max_gaussians to ")
    (setting,) = finding.settings
    most = int(setting.removeprefix("max_gaussians="))
    assert 10_000 < most < 1_000_000 and f"{most:,} instead of 2,000,000" in finding.hint
    again, findings = estimate(dataset, replace(wish, max_gaussians=most), tmp_path)
    allowed = 1.1 * again.free_memory
    assert again.memory < allowed and not [other for other in findings if other.measure and other.measure > allowed]


def test_ten_million_gaussians_on_four_gigabytes_are_refused_with_what_fits(
        dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.estimate.usual_probe.free_memory", lambda: 4e9)
    wish = TrainConfig(backend="cpu", max_gaussians=10_000_000, max_steps=100_000, sh_degree=3, strategy="mcmc")
    job, said = JobFolder(tmp_path / "job"), []
    job.write_spec(JobSpec(dataset.folder, wish))
    with pytest.raises(UserError, match=r"needs about 1\d\.\d GB of memory, and 3\.6 GB may be used") as refused:
        train(job, said.append, lambda: "stop", checks=Preflight())
    assert not any(isinstance(event, Started) for event in said)
    most = int(re.fullmatch(r"Set max_gaussians to ([\d,]+) instead of 10,000,000: .*", refused.value.hint)[1].replace(",", ""))
    assert 1_000_000 < most < 4_000_000
    fitting = check_budget(dataset, replace(wish, max_gaussians=most), "cpu", tmp_path)
    assert not [finding for finding in fitting if finding.kind in ("memory", "fit")]


def test_too_little_disk(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.estimate.estimate.free_disk", lambda folder: 4e6)
    found, (finding,) = estimate(dataset, replace(CONFIG, strategy="mcmc", grow_rate=1.0), tmp_path)
    assert found.disk > 4e6 and "of disk, and 4 MB may be used" in finding.message
    assert finding.settings[0].startswith("max_gaussians=")
    monkeypatch.setattr("engine.estimate.estimate.free_disk", lambda folder: 1e5)
    _, (finding,) = estimate(dataset, CONFIG, tmp_path)
    assert finding.settings == () and "free some disk space" in finding.hint


def test_stopped_in_the_middle(dataset: Dataset, tmp_path: Path) -> None:
    steps: list[Step] = []

    def tick() -> None:
        if len(steps) > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        estimate(dataset, CONFIG, tmp_path, steps.append, tick)
    assert 20 < len(steps) < 30 and steps[-1].done == 20
    making = LocalEngine(tmp_path).estimate(JobSpec(dataset.folder, CONFIG))
    while not making.events():
        time.sleep(0.01)
    making.stop()
    assert not making.running and not (tmp_path / ".estimates").exists()


def test_what_a_killed_program_left_is_swept(dataset: Dataset, tmp_path: Path) -> None:
    old, new = (tmp_path / ".estimates" / name for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    LocalEngine(tmp_path).estimate(JobSpec(dataset.folder, CONFIG)).stop()
    assert not old.exists() and list((tmp_path / ".estimates").iterdir()) == [new]


def test_a_dataset_without_points(dataset: Dataset, tmp_path: Path) -> None:
    found, findings = estimate(replace(dataset, points=None), replace(CONFIG, max_gaussians=20_000), tmp_path)
    assert not findings and found.gaussians > 10_000 and 0 < found.seconds < 600


def test_datasets_that_cannot_train_are_one_sentence(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has 1 images; training needs at least 3"):
        estimate(replace(dataset, views=dataset.views[1:2]), CONFIG, tmp_path)
    with pytest.raises(UserError, match="held out"):
        estimate(replace(dataset, views=tuple(replace(view, held_out=True) for view in dataset.views)), CONFIG, tmp_path)
    lost = tuple(replace(view, camera=replace(view.camera, camera_to_world=np.full((4, 4), np.nan))) for view in dataset.views[3:8])
    with pytest.raises(UserError, match=r"5 of 8 views cannot be used, more than half. Of the first: .* without a valid pose"):
        estimate(replace(dataset, views=(*dataset.views[:3], *lost)), CONFIG, tmp_path)
    with pytest.raises(UserError, match="has no depth maps"):
        estimate(dataset, replace(CONFIG, depth_weight=0.1), tmp_path)
    assert not list(tmp_path.rglob("*.npz"))


def test_a_damaged_image_and_a_missing_folder_are_told(dataset: Dataset, tmp_path: Path) -> None:
    damaged = write_ball_dataset(tmp_path / "damaged", views=4, size=32)
    for view in damaged.views:
        view.image.write_bytes(b"no image")
    for folder, said in ((damaged.folder, "view_"), (tmp_path / "nowhere", "nowhere")):
        events = LocalEngine(tmp_path / "jobs").estimate(JobSpec(folder, CONFIG)).wait()
        assert isinstance(events[-1], Failed) and said in events[-1].message and events[-1].hint


def test_the_full_engine_is_tried_the_same_way(dataset: Dataset, tmp_path: Path) -> None:
    """On tensors of the computer's own memory, so there is no card to run out of."""
    pytest.importorskip("torch")
    from tests.training.cuda.torch_models import torch_model

    small = replace(CONFIG, backend="cuda", resolution=16, max_gaussians=40, max_steps=1000)
    choice = BackendChoice("cuda", "Training on the graphics card.")
    found, findings = estimate(dataset, small, tmp_path, make_model=torch_model, choice=choice)
    assert found.backend == "cuda" and not findings and found.gaussians == 40 and found.card > 0
    assert 1 < found.seconds < 3600 and found.memory > 1e8 and "graphics card" in sentence(found)


@pytest.mark.parametrize("count", [50, 400, 1000])
def test_other_numbers_of_gaussians_fill_the_same(count: int) -> None:
    ball = colored_ball(400)
    other = resized(ball, count, seed=0)
    assert len(other) == count and np.isfinite(other.means).all()
    filled, before = (float(np.exp(each.scales.sum(axis=1)).sum()) for each in (other, ball))
    assert filled == pytest.approx(before, rel=0.2)
    assert np.linalg.norm(other.means, axis=1).mean() == pytest.approx(1.0, abs=0.1)


def size(gaussians: int) -> Size:
    """A computer on which time and memory are exact straight lines."""
    kinds = [Kind(4, 1e6 / 16, 1, 0, 0), *(Kind(n, 1e6 / n**2, 9, 0, 0) for n in (4, 2, 1))]
    timed = tuple(replace(kind, seconds=2e-3 + 2e-8 * kind.pixels + gaussians * (1e-7 + 1e-8 * kind.harmonics)) for kind in kinds)
    return Size(gaussians, timed, 1e-7 * gaussians, 1e-6 * gaussians, 1e-7 * gaussians, 0.05, 5e8 + 2000 * gaussians,
                2e8 + 1000 * gaussians, 400 * gaussians, 140 * gaussians)


TRIED = TrainConfig(max_steps=10_000, max_gaussians=1_000_000, resolution=1000, strategy="mcmc", grow_rate=0.2)
MEASURED = Probe("cpu", TRIED, 20_000, 0.2, 90, 10, 5e7, 32e9, 0.0, 2000, 1e6, 3e8, 5e7, 4e6, 0.05, size(20_000), size(120_000), 3.0)


def test_the_forecast_goes_on_along_the_lines() -> None:
    forecast = Forecast(MEASURED)
    late, early = TRIED.max_steps - 1, 0
    assert forecast.step_seconds(TRIED, late, 1e6) == pytest.approx(2e-3 + 0.02 + 1e6 * 1.9e-7)
    assert forecast.step_seconds(TRIED, early, 20_000) == pytest.approx(2e-3 + 0.02 / 16 + 20_000 * 1.1e-7)
    assert forecast.step_seconds(replace(TRIED, resolution=500), late, 1e6) == pytest.approx(2e-3 + 0.005 + 1e6 * 1.9e-7)
    assert forecast.most_gaussians(TRIED) == 1_000_000 and forecast.most_gaussians(replace(TRIED, max_steps=600)) < 200_000
    assert forecast.memory(TRIED) == pytest.approx(5e7 + 100 * 4e6 + 5e7 + 5e8 + 2e9 - 0.8e6 * 2 * 38 * 4)
    assert forecast.disk(TRIED) == pytest.approx(3 * 4e8 + 1.4e8 * 1.2, rel=0.01)


def test_memory_that_the_system_hides_is_counted() -> None:
    blind = replace(MEASURED, small=replace(MEASURED.small, memory=0.0), large=replace(MEASURED.large, memory=0.0))
    assert Forecast(blind).memory(TRIED) == pytest.approx(5e7 + 100 * 4e6 + 5e7 + (1e6 * 4 + 0.2e6 * 2) * 38 * 4)


def test_photos_that_do_not_fit_take_time_instead_of_memory() -> None:
    forecast, few = Forecast(MEASURED), replace(TRIED, image_memory=0.1)
    assert forecast.memory(TRIED) - forecast.memory(few) == pytest.approx(3e8)
    assert forecast.seconds(few, 0.2) - forecast.seconds(TRIED, 0.2) == pytest.approx(10_000 * 0.75 * 0.05, rel=0.1)


def test_what_costs_no_quality_is_lowered_first() -> None:
    many = replace(MEASURED, views=990, free=4.5e9)
    wish = replace(TRIED, image_memory=4.0)
    forecast = Forecast(many)
    (finding,) = misfit(Fitting(forecast), forecast, wish)
    (setting,) = finding.settings
    assert setting.startswith("image_memory=1.") and "GB instead of 4" in finding.hint


def test_too_little_time() -> None:
    forecast = Forecast(MEASURED)
    hours = forecast.estimate(TRIED).seconds / 3600
    (finding,) = misfit(Fitting(forecast), forecast, replace(TRIED, max_minutes=30 * hours))
    assert f"more than the {30 * hours:g} min that it may" in finding.message and finding.settings[0].startswith("max_gaussians=")
    (finding,) = misfit(Fitting(forecast), forecast, replace(TRIED, max_minutes=0.1))
    assert finding.settings == () and "allow more minutes" in finding.hint


def test_a_card_that_is_too_small_names_what_the_training_accepts() -> None:
    forecast = Forecast(replace(MEASURED, engine="cuda", free_card=8e9))
    wish = replace(TRIED, max_gaussians=20_000_000, sh_degree=2, grow_rate=1.0)
    (finding,) = misfit(Fitting(forecast), forecast, wish)
    most = int(finding.settings[0].removeprefix("max_gaussians="))
    assert "graphics card's memory" in finding.message and 4_000_000 <= most < 8_000_000
    plan_memory(int(8e9), most, 2, 1_000_000)


def test_prices() -> None:
    found = replace(Forecast(MEASURED).estimate(TRIED), price_per_hour=1.2, currency="EUR")
    assert f"It costs about {found.seconds / 3600 * 1.2:.2f} EUR" in sentence(found)
    assert "costs" not in sentence(replace(found, price_per_hour=0.0))


@settings(max_examples=25, deadline=None)
@given(memory=st.floats(1e8, 4e9), disk=st.floats(1e6, 3e9), minutes=st.floats(0.1, 200), engine=st.sampled_from(["cpu", "cuda"]))
def test_what_is_suggested_fits(memory: float, disk: float, minutes: float, engine: str) -> None:
    forecast = Forecast(replace(MEASURED, free=memory, engine=engine, free_card=memory if engine == "cuda" else 0.0), disk)
    fitting, wish = Fitting(forecast), replace(TRIED, max_minutes=minutes)
    mended = fitting.mended(wish)
    findings: list[Finding] = misfit(fitting, forecast, wish)
    assert bool(findings) == bool(fitting.shortfalls(wish))
    if mended is not None:
        assert fitting.shortfalls(mended) == []
        assert mended.max_gaussians <= wish.max_gaussians and mended.resolution <= wish.resolution and mended.max_steps <= wish.max_steps
        mended.validate()


def test_minutes_are_fitted_and_said(dataset: Dataset, tmp_path: Path) -> None:
    wish = replace(CONFIG, minutes=0.5, max_gaussians=0, strategy="default")
    found, findings = estimate(dataset, wish, tmp_path)
    (said,) = [finding for finding in findings if finding.code == "estimate.timetable"]
    assert 10 < found.seconds < 31 and dict(said.values)["steps"] != CONFIG.max_steps and "steps, images of 96 pixels" in said.message
    longer, _ = estimate(dataset, replace(wish, minutes=2.0), tmp_path)
    assert 60 < longer.seconds < 121


def test_less_time_than_the_smallest_training_takes_is_said(dataset: Dataset, tmp_path: Path) -> None:
    _, findings = estimate(dataset, replace(CONFIG, minutes=0.0005), tmp_path)
    (short,) = [finding for finding in findings if finding.code == "estimate.short_time"]
    assert short.severity == "warning" and "Even the smallest training takes about" in short.message
