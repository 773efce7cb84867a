"""Trainings that begin with splats, and those of a region."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.core.datasets.dataset import Dataset
from engine.core.datasets.read import read_dataset, read_dataset_of
from engine.core.errors import UserError
from engine.core.formats.registry import read_splats, write_splats
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Evaluated, Finding, Finished
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.core.splats.gaussians import Gaussians, concatenate
from engine.core.splats.region import Region, region_from_words
from engine.training.cpu.model import CpuModel
from engine.training.data.targets import load_targets
from engine.training.evaluate import evaluate
from engine.training.init.initialize import initial_gaussians
from engine.training.init.splat_start import fitted_start, read_start, warmed, weight
from engine.training.requirements import check_demands
from engine.training.trainer import train
from engine.worker import Preflight
from tests.scenes import colored_ball, speckled_ball, write_ball_dataset

SHORT = TrainConfig(max_steps=200, max_gaussians=500, resolution=64, sh_degree=1, eval_every=20, refine_every=10,
                    checkpoint_seconds=0.1, threads=2)
BALL = region_from_words("0 0 0  2.6 2.6 2.6")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return read_dataset(write_ball_dataset(tmp_path_factory.mktemp("data")).folder)


@pytest.fixture(scope="module")
def trained(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A finished training's folder, and its PSNR."""
    job = make_job(tmp_path_factory.mktemp("first") / "job", dataset.folder, max_steps=600)
    last = run(job)[-1]
    assert isinstance(last, Finished) and last.psnr
    return job.path, last.psnr


def make_job(folder: Path, dataset: Path, start: Path | None = None, region: Region | None = None, **changes: object) -> JobFolder:
    job = JobFolder(folder)
    job.write_spec(JobSpec(dataset, dataclasses.replace(SHORT, **changes), start_file=start,
                           region=region and region.matrix))  # type: ignore[arg-type]
    return job


def run(job: JobFolder, control=lambda: "run") -> list:
    events: list = []
    train(job, events.append, control, checks=Preflight())
    return events


@pytest.mark.parametrize("strategy", ["mcmc", "default"])
def test_a_training_from_splats_loses_nothing_at_its_beginning_and_ends_better(tmp_path: Path, dataset: Dataset,
                                                                              trained: tuple[Path, float], strategy: str) -> None:
    """Measured after each tenth of the steps; the schedule of a training from nothing would show no view dependence there."""
    job = make_job(tmp_path / "job", dataset.folder, trained[0] / "result.ply", strategy=strategy, reset_every=50)
    scores = [trained[1], *(event.psnr for event in run(job) if isinstance(event, Evaluated))]
    print(strategy, [f"{score:.2f}" for score in scores])
    assert min(scores[1], scores[2]) > trained[1] - 0.1 and scores[-1] > trained[1]


@pytest.mark.parametrize("suffix", [".ply", ".compressed.ply", ".spz", ".splat"])
def test_every_format_is_begun_with_where_it_lies(tmp_path: Path, dataset: Dataset, suffix: str) -> None:
    path = tmp_path / f"scene{suffix}"
    write_splats(path, colored_ball(300, sh_degree=2))
    start = initial_gaussians(replace(dataset, start_file=path), SHORT)
    assert len(start) == 300 and start.sh_degree == 1
    order = np.argsort(start.means[:, 0])
    wanted = colored_ball(300).means
    assert np.abs(start.means[order] - wanted[np.argsort(wanted[:, 0])])[:, 0].max() < 0.01
    model = CpuModel(start, 1)
    score = evaluate(model, [pyramid.full for pyramid in load_targets(dataset.eval_views, 64)], 0)
    model.close()
    assert score


def test_a_file_of_survey_coordinates_lies_where_the_dataset_does(tmp_path: Path, dataset: Dataset) -> None:
    path = tmp_path / "scene.ply"
    write_splats(path, colored_ball(), offset=(500_010.0, 5_000_000.0, 0.0))
    moved = replace(dataset, offset=(500_000.0, 5_000_000.0, 0.0), start_file=path)
    with pytest.raises(UserError, match="elsewhere"):
        read_start(replace(moved, offset=(0.0, 0.0, 0.0)))
    write_splats(path, replace(colored_ball(), means=colored_ball().means - np.float32([10, 0, 0])), offset=(500_010.0, 5_000_000.0, 0.0))
    start = read_start(moved)
    assert start is not None and np.abs(start.means - colored_ball().means).max() < 1e-4


def test_of_too_many_splats_the_largest_and_most_opaque_are_kept_and_that_is_said(tmp_path: Path, dataset: Dataset) -> None:
    ball = colored_ball(800)
    faint = replace(ball, opacities=np.where(np.arange(800) % 2, np.float32(-4), ball.opacities))
    path = tmp_path / "scene.ply"
    write_splats(path, faint)
    kept = fitted_start(faint, replace(SHORT, max_gaussians=400))
    assert len(kept) == 400 and (kept.opacities > 0).all()
    assert weight(kept).min() > weight(faint.take(faint.opacities < 0)).max()
    findings = [event for event in run(make_job(tmp_path / "job", dataset.folder, path, max_gaussians=400, max_steps=20))
                if isinstance(event, Finding) and event.code == "training.start_cut"]
    assert findings and "800" in findings[0].message and "400" in findings[0].message


@pytest.mark.parametrize("change", [lambda ball: replace(ball, means=ball.means + np.float32([0, 0, 500])),
                                    lambda ball: replace(ball, means=ball.means * np.float32(1000))])
def test_splats_in_another_place_or_unit_end_the_training_before_its_first_step(tmp_path: Path, dataset: Dataset, change) -> None:
    path = tmp_path / "far.ply"
    write_splats(path, change(colored_ball()))
    job = make_job(tmp_path / "job", dataset.folder, path)
    with pytest.raises(UserError, match=r"far\.ply lie elsewhere") as caught:
        run(job)
    assert caught.value.code == "training.start_elsewhere" and caught.value.hint


def test_a_broken_or_empty_file_is_a_sentence(tmp_path: Path, dataset: Dataset) -> None:
    path = tmp_path / "broken.ply"
    write_splats(path, colored_ball())
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError):
        run(make_job(tmp_path / "job", dataset.folder, path))
    path.write_bytes(b"")
    with pytest.raises(UserError):
        run(make_job(tmp_path / "other", dataset.folder, path))


def test_a_cut_training_from_splats_ends_the_same_and_needs_the_file_no_more(tmp_path: Path, dataset: Dataset,
                                                                            trained: tuple[Path, float]) -> None:
    path = tmp_path / "start.ply"
    path.write_bytes((trained[0] / "result.ply").read_bytes())
    whole, cut = (make_job(tmp_path / name, dataset.folder, path, region=BALL) for name in ("whole", "cut"))
    run(whole)
    left = [60]

    def interrupted() -> str:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return "run"

    with pytest.raises(KeyboardInterrupt):
        run(cut, interrupted)
    path.unlink()
    run(cut)
    assert whole.result.read_bytes() == cut.result.read_bytes()


def test_warm_settings_are_the_same_when_they_are_made_twice() -> None:
    once = warmed(TrainConfig())
    assert once == warmed(once) and once.full_sh_at == 0 and once.reset_every > once.max_steps


def test_a_training_goes_on_with_more_photos(tmp_path: Path, dataset: Dataset) -> None:
    """A job's result of half the photos is the start of a training with all of them, which it has an advantage in."""
    names = [view.name for view in dataset.train_views][::2]
    few = JobFolder(tmp_path / "few")
    few.write_spec(JobSpec(dataset.folder, replace(SHORT, max_steps=300), exclude=tuple(names)))
    run(few)
    more = run(make_job(tmp_path / "more", dataset.folder, few.result, max_steps=100))
    anew = run(make_job(tmp_path / "anew", dataset.folder, max_steps=100))
    assert isinstance(more[-1], Finished) and isinstance(anew[-1], Finished)
    assert (more[-1].psnr or 0) > (anew[-1].psnr or 0) + 0.5


def test_a_region_of_no_room_or_that_no_camera_sees_is_a_sentence(tmp_path: Path, dataset: Dataset) -> None:
    for words in ("0 0 0 1 1 0", "0 0 0 1 1", "a b c d e f", "0 0 0 1 nan 1", "0 0 0 1 1 1 0 0 0 0"):
        with pytest.raises(UserError):
            region_from_words(words)
    far = replace(dataset, region=region_from_words("0 0 900 1 1 1"))
    with pytest.raises(UserError, match="No camera sees the region"):
        check_demands(SHORT, far, "cpu")
    with pytest.raises(UserError, match="No camera sees the region"):
        run(make_job(tmp_path / "job", dataset.folder, region=far.region))


def test_a_region_is_a_turned_box_where_the_source_has_it(tmp_path: Path, dataset: Dataset) -> None:
    turned = region_from_words("1 2 3  4 2 2  0.70710678 0 0 0.70710678")
    assert turned.contains(np.array([[1, 3.9, 3], [2.9, 2, 3]])).tolist() == [True, False]
    assert np.allclose(turned.corners.mean(axis=0), [1, 2, 3])
    job = make_job(tmp_path / "job", dataset.folder, region=turned)
    assert job.read_spec().region == turned.matrix and read_dataset_of(job).region == turned


def three_balls() -> Gaussians:
    """Three balls above each other, as finely patterned; the middle one is what the training is about."""
    balls = [replace(ball, means=ball.means * np.float32(0.42) + np.float32([0, 0, height]))
             for ball, height in ((speckled_ball(1500, seed), height) for seed, height in enumerate((-0.95, 0.0, 0.95)))]
    return concatenate(balls)


@pytest.mark.parametrize("strategy", ["mcmc", "default"])
def test_with_a_region_most_gaussians_lie_inside_and_show_it_better(tmp_path: Path, strategy: str) -> None:
    folder = write_ball_dataset(tmp_path / "data", size=96, truth=three_balls()).folder
    region = region_from_words("0 0 0  0.86 0.86 0.86")
    shares, quality = {}, {}
    for name, chosen in (("all", None), ("region", region)):
        job = make_job(tmp_path / name, folder, region=chosen, strategy=strategy, max_steps=300, max_gaussians=1000, resolution=96,
                       grow_gradient=1e-5, sh_degree=0)
        run(job)
        found = read_splats(job.result).gaussians
        shares[name], quality[name] = float(region.contains(found.means).mean()), psnr_inside(found, folder, region)
        assert len(found) <= 1000
    print(f"{strategy}: inside {shares['all']:.1%} -> {shares['region']:.1%}, {quality['all']:.2f} -> {quality['region']:.2f} dB")
    assert shares["region"] > 0.8 > shares["all"] and quality["region"] > quality["all"] + 0.2


def psnr_inside(gaussians: Gaussians, folder: Path, region: Region) -> float:
    """PSNR in dB of held-out views within the disc that the largest ball in the box is projected to: its corners show what is outside."""
    model, errors = CpuModel(gaussians, 1), []
    for pyramid in load_targets(read_dataset(folder).eval_views, 96):
        target = pyramid.full
        (centre,), (depth,) = target.camera.project(region.placed(np.zeros((1, 3))))
        radius = 0.5 * np.linalg.norm(region.corners[1] - region.corners[0]) * target.camera.fl_x / depth
        y, x = np.mgrid[: target.camera.height, : target.camera.width] + 0.5
        inside = np.hypot(x - centre[0], y - centre[1]) < radius
        shown = model.render(target.camera, gaussians.sh_degree, (0, 0, 0)).rgb.clip(0, 1)
        image = target.image.astype(np.float32) / 255
        wanted = image[..., :3] * image[..., 3:] if image.shape[2] == 4 else image
        errors.append(((shown - wanted)[inside] ** 2).mean())
    model.close()
    return float(-10 * np.log10(np.mean(errors)))
