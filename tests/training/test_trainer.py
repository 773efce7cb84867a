"""The training loop: learns, repeats itself, stops, pauses, resumes, goes on past its end."""

from __future__ import annotations

import dataclasses
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from engine.core.errors import UserError
from engine.core.formats.ply import read_ply
from engine.core.images.png import decode_png
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Evaluated, Finding, Finished, Paused, Preview, Progress, Started
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.evaluation.held_out import held_out_for
from engine.evaluation.measure import mean_row, measure_file
from engine.training.checkpoint import load_checkpoint
from engine.training.clocks import Every
from engine.training.cpu.model import affordable_gaussians
from engine.training.progress import Progression
from engine.training.trainer import train
from engine.worker import Preflight
from tests.scenes import write_ball_dataset

SHORT = TrainConfig(max_steps=120, max_gaussians=500, resolution=64, sh_degree=1, eval_every=60, refine_every=10,
                    checkpoint_seconds=0.1, threads=2)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_dataset(tmp_path_factory.mktemp("a dataset ü")).folder


def make_job(folder: Path, dataset: Path, **changes: object) -> JobFolder:
    job = JobFolder(folder)
    job.write_spec(JobSpec(dataset, dataclasses.replace(SHORT, **changes)))
    return job


def run(job: JobFolder, control=lambda: "run") -> list:
    events: list = []
    train(job, events.append, control, checks=Preflight())
    return events


def finished(events: list) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


def test_learns_and_reports(tmp_path: Path, dataset: Path) -> None:
    job = make_job(tmp_path / "job", dataset)
    events = run(job)
    kinds = {type(event) for event in events}
    assert {Started, Progress, Preview, Evaluated, Finished} <= kinds
    scores = [event.psnr for event in events if isinstance(event, Evaluated)]
    assert scores[-1] > 22 and scores[-1] > scores[0]
    assert finished(events).gaussians == 500 == len(read_ply(job.result).gaussians)
    assert finished(events).psnr == pytest.approx(scores[-1])
    assert job.report.exists() and job.preview.exists()


def test_a_cap_that_is_left_open_suits_cores_and_pixels_and_is_written_down(tmp_path: Path, dataset: Path) -> None:
    assert affordable_gaussians(400 * 400, 2) == 64_000 and affordable_gaussians(400 * 400, 64) == 400 * 400
    assert affordable_gaussians(64 * 64, 1) == 10_000
    job = make_job(tmp_path / "job", dataset, max_gaussians=0, resolution=10_000, threads=3, max_steps=10)
    run(job)
    assert job.read_spec().config.max_gaussians == 10_000


def test_black_surroundings_without_alpha_are_learned_too(tmp_path: Path) -> None:
    opaque = write_ball_dataset(tmp_path / "opaque", alpha=False).folder
    assert finished(run(make_job(tmp_path / "job", opaque))).psnr > 22


@pytest.mark.parametrize("strategy", ["mcmc", "default"])
def test_same_seed_same_result(tmp_path: Path, dataset: Path, strategy: str) -> None:
    jobs = [make_job(tmp_path / name, dataset, threads=threads, strategy=strategy) for name, threads in (("a", 1), ("b", 2))]
    for job in jobs:
        run(job)
    assert jobs[0].result.read_bytes() == jobs[1].result.read_bytes()


@pytest.mark.parametrize(("strategy", "copied"), [("mcmc", 10**6), ("default", 10**6), ("mcmc", 0)])
def test_interrupted_at_any_step_ends_the_same(tmp_path: Path, dataset: Path, strategy: str, copied: int,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether states are copied or, as those of more Gaussians than that, written while the training waits."""
    monkeypatch.setattr("engine.training.trainer.SURE_GAUSSIANS", copied)
    whole, cut = (make_job(tmp_path / name, dataset, strategy=strategy) for name in ("whole", "cut"))
    run(whole)
    for after in (1, 37, 61):
        with pytest.raises(KeyboardInterrupt):
            run(cut, interrupt_after(after))
    run(cut)
    assert whole.result.read_bytes() == cut.result.read_bytes()


def interrupt_after(calls: int):
    left = [calls]

    def control() -> str:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return "run"

    return control


def test_stop_keeps_the_result_and_can_go_on(tmp_path: Path, dataset: Path) -> None:
    job = make_job(tmp_path / "job", dataset)
    early = finished(run(job, lambda: "stop"))
    assert early.stopped and early.step == 1 and job.result.exists()
    late = finished(run(job))
    assert not late.stopped and late.step == SHORT.max_steps


def test_goes_on_past_the_end(tmp_path: Path, dataset: Path) -> None:
    job = make_job(tmp_path / "job", dataset)
    first = finished(run(job))
    job.write_spec(JobSpec(dataset, job.read_spec().config.lasting(240)))
    events = run(job)
    assert isinstance(events[0], (Started, Finding))
    assert next(event for event in events if isinstance(event, Started)).step == SHORT.max_steps
    last = finished(events)
    assert last.step == 240 and last.gaussians == first.gaussians and last.psnr > first.psnr


@pytest.mark.parametrize("strategy", ["mcmc", "default"])
def test_every_stretch_past_the_end_is_at_least_as_good(tmp_path: Path, dataset: Path, strategy: str) -> None:
    """Rates, image size and refinement stay as they ended, so nothing falls back to what a longer schedule would do at that step."""
    job = make_job(tmp_path / "job", dataset, strategy=strategy, max_steps=300)
    ends = [finished(run(job))]
    for steps in (330, 600, 1200):
        job.write_spec(JobSpec(dataset, job.read_spec().config.lasting(steps)))
        ends.append(finished(run(job)))
    qualities = [end.psnr for end in ends]
    assert [end.step for end in ends] == [300, 330, 600, 1200] and len({end.gaussians for end in ends}) == 1
    assert all(later > earlier - 0.1 for earlier, later in pairwise(qualities)), qualities


def test_cut_off_past_the_end_it_ends_the_same(tmp_path: Path, dataset: Path) -> None:
    whole, cut = (make_job(tmp_path / name, dataset) for name in ("whole", "cut"))
    for job in (whole, cut):
        run(job)
        job.write_spec(JobSpec(dataset, job.read_spec().config.lasting(240)))
    run(whole)
    for after in (1, 37):
        with pytest.raises(KeyboardInterrupt):
            run(cut, interrupt_after(after))
    run(cut)
    assert whole.result.read_bytes() == cut.result.read_bytes()


def test_a_thumbnail_shows_what_was_trained(tmp_path: Path, dataset: Path) -> None:
    job = make_job(tmp_path / "job", dataset, resolution=1000)
    with pytest.raises(KeyboardInterrupt):
        run(job, interrupt_after(70))
    assert job.thumbnail.exists(), "measured once, so there is one although the training was cut off"
    run(job)
    picture = decode_png(job.thumbnail.read_bytes())
    assert max(picture.shape[:2]) == 64 and picture.std() > 10
    large = make_job(tmp_path / "large", write_ball_dataset(tmp_path / "photos", views=8, size=300).folder, resolution=300, max_steps=20)
    run(large)
    assert max(decode_png(large.thumbnail.read_bytes()).shape[:2]) == 128


def test_what_is_done_beside_the_steps_is_no_training() -> None:
    progress = Progression(0, 100)
    start = time.monotonic()
    while (training := time.monotonic() - start) < 0.2:
        pass
    with progress.beside():
        time.sleep(0.6)
    progress.count(50, 0.5)
    event = progress.event(10)
    assert event.steps_per_second > 0.6 * 50 / training and event.eta_seconds < training / 0.6
    start = time.monotonic()
    while time.monotonic() - start < 0.2:
        pass
    progress.count(60, 0.5)
    assert progress.event(10).steps_per_second < 1.1 * 10 / 0.2, "what was beside the steps before counts no more"


def test_pause_waits_and_says_so(tmp_path: Path, dataset: Path) -> None:
    answers = iter(["pause", "pause", "run"])
    job = make_job(tmp_path / "job", dataset)
    events = run(job, lambda: next(answers, "run"))
    assert any(isinstance(event, Paused) for event in events)
    assert finished(events).step == SHORT.max_steps


def test_damaged_newest_checkpoint_falls_back_to_the_previous(tmp_path: Path, dataset: Path) -> None:
    job = make_job(tmp_path / "job", dataset)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(job, interrupt_after(20))
    newest = job.checkpoint / "state.npz"
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    checkpoint = load_checkpoint(job.checkpoint)
    assert checkpoint is not None and checkpoint.step > 0
    (job.checkpoint / "previous.npz").write_bytes(b"")
    with pytest.raises(UserError, match="damaged"):
        run(job)


def test_a_job_edited_so_that_the_checkpoint_does_not_fit_is_refused(tmp_path: Path, dataset: Path) -> None:
    job = make_job(tmp_path / "job", dataset)
    with pytest.raises(KeyboardInterrupt):
        run(job, interrupt_after(5))
    job.write_spec(JobSpec(dataset, dataclasses.replace(SHORT, sh_degree=3)))
    with pytest.raises(UserError, match="SH degree"):
        run(job)


def test_an_antialiased_training_says_so_in_its_file(tmp_path: Path, dataset: Path) -> None:
    job = make_job(tmp_path / "job", dataset, antialiased=True, max_steps=40)
    score = finished(run(job)).psnr
    assert "SplatRenderMode: mip" in read_ply(job.result).comments
    assert mean_row(measure_file(job.result, held_out_for(job.path))).psnr == pytest.approx(score, abs=1e-3)


def test_slow_checkpoints_come_less_often() -> None:
    clock = Every(0.01)
    assert clock.due()
    clock.postpone(10.0)
    time.sleep(0.02)
    assert not clock.due()


def test_trains_without_start_points(tmp_path: Path) -> None:
    folder = write_ball_dataset(tmp_path / "data", views=8).folder
    (folder / "points3d.ply").unlink()
    text = (folder / "transforms.json").read_text().replace('"ply_file_path"', '"unused"')
    (folder / "transforms.json").write_text(text)
    assert finished(run(make_job(tmp_path / "job", folder, max_steps=30))).psnr > 5


def test_preview_has_no_harmonics_and_few_splats(tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.training.trainer.PREVIEW_GAUSSIANS", 100)
    job = make_job(tmp_path / "job", dataset, max_steps=3)
    run(job)
    preview = read_ply(job.preview).gaussians
    assert preview.sh_degree == 0 and len(preview) == 100
    assert np.isfinite(preview.means).all()
