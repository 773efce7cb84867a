"""What may be measured: views that no training saw, in the file as it lies on the disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.cli.evaluate import evaluate
from engine.core.errors import UserError
from engine.core.formats.ply import read_ply, write_ply
from engine.core.formats.registry import write_splats
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Event, Finding, Finished
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.evaluation.held_out import held_out_for
from engine.evaluation.measure import figures, mean_row, measure_file, table
from engine.evaluation.scene import job_of, opened, splats_of
from engine.training.trainer import train
from engine.training.versions import checksum
from tests.scenes import colored_ball, ring_cameras, speckled_ball, write_ball_dataset

SHORT = TrainConfig(backend="cpu", max_steps=30, resolution=48, max_gaussians=400, sh_degree=1, threads=1)


def train_job(folder: Path, dataset: Path, config: TrainConfig = SHORT) -> tuple[JobFolder, list[Event]]:
    job, events = JobFolder(folder), []
    job.write_spec(JobSpec(dataset, config))
    train(job, lambda event: (events.append(event), job.append_event(event)), lambda: "run")
    return job, events


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_dataset(tmp_path_factory.mktemp("data") / "ball").folder


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    return train_job(tmp_path_factory.mktemp("jobs") / "ball", dataset)[0]


def split(dataset: Path, folder: Path, **lists: list[str] | None) -> Path:
    """The dataset again, with other lists of what is trained on."""
    values = json.loads((dataset / "transforms.json").read_text())
    for name in ("train_filenames", "val_filenames", "test_filenames"):
        values.pop(name, None)
    for frame in values["frames"]:
        frame["file_path"] = str(dataset / frame["file_path"])
    values.pop("ply_file_path")
    values |= {name: [str(dataset / "images" / image) for image in images] for name, images in lists.items() if images is not None}
    folder.mkdir()
    (folder / "transforms.json").write_text(json.dumps(values))
    return folder


def test_the_report_is_of_the_file_on_the_disk(trained: JobFolder) -> None:
    report = json.loads(trained.report.read_text())
    rows = measure_file(trained.result, held_out_for(trained.path))
    assert report["sha256"] == checksum(trained.result)
    assert [view["name"] for view in report["views"]] == [row.name for row in rows] == report["held_out"]
    assert [view["psnr"] for view in report["views"]] == pytest.approx([row.psnr for row in rows], abs=1e-6)
    assert report["psnr"] == pytest.approx(mean_row(rows).psnr, abs=1e-6)
    assert report["versions"]["numpy"] == np.__version__ and report["versions"]["Splatwright"] != "unknown"


def test_a_file_that_was_changed_measures_differently(trained: JobFolder, tmp_path: Path) -> None:
    worse = read_ply(trained.result).gaussians.take(slice(0, 100))
    write_ply(tmp_path / "worse.ply", worse)
    held_out = held_out_for(trained.path)
    assert mean_row(measure_file(tmp_path / "worse.ply", held_out)).psnr < mean_row(measure_file(trained.result, held_out)).psnr - 1


@pytest.mark.parametrize("name", ["copy.compressed.ply", "copy.spz", "copy.splat"])
def test_every_format_is_measured_as_it_is(trained: JobFolder, dataset: Path, tmp_path: Path, name: str) -> None:
    write_splats(tmp_path / name, read_ply(trained.result).gaussians)
    held_out = held_out_for(tmp_path / name, dataset, SHORT.resolution)
    exact, rounded = (mean_row(measure_file(path, held_out)).psnr for path in (trained.result, tmp_path / name))
    assert rounded == pytest.approx(exact, abs=1.5) and rounded != exact


def test_the_file_says_whether_it_is_drawn_antialiased(tmp_path: Path) -> None:
    small = replace(colored_ball(300), scales=np.full((300, 3), -5.0, np.float32))
    pictures = []
    for antialiased in (False, True):
        write_ply(tmp_path / "small.ply", small, antialiased=antialiased)
        with opened(tmp_path / "small.ply") as scene:
            assert scene.antialiased == antialiased
            pictures.append(scene.render(ring_cameras(1)[0]).rgb.sum())
    assert pictures[1] < 0.8 * pictures[0]


def test_a_job_is_found_from_its_files_and_from_what_lies_beside_it(trained: JobFolder, tmp_path: Path) -> None:
    for path in (trained.path, trained.result):
        assert job_of(path) == trained
    assert job_of(tmp_path) is None and splats_of(trained.path) == trained.result
    (tmp_path / "scene.job").mkdir()
    (tmp_path / "scene.job" / "job.json").write_bytes((trained.path / "job.json").read_bytes())
    assert held_out_for(tmp_path / "scene.ply").config.resolution == SHORT.resolution
    with pytest.raises(UserError, match="no result yet"):
        splats_of(tmp_path / "scene.job")


def test_without_held_out_views_nothing_is_called_quality(dataset: Path, tmp_path: Path) -> None:
    names = [f"view_{index:03d}.png" for index in range(16)]
    everything = split(dataset, tmp_path / "all", train_filenames=names)
    job, events = train_job(tmp_path / "job", everything, replace(SHORT, max_steps=3))
    report = json.loads(job.report.read_text())
    assert report["psnr"] is None and report["views"] == [] and next(e for e in events if isinstance(e, Finished)).psnr is None
    assert any(isinstance(event, Finding) and "not measured" in event.message for event in events)
    with pytest.raises(UserError, match="holds no views out"):
        held_out_for(job.path)


def test_views_that_were_trained_on_are_refused(trained: JobFolder, dataset: Path, tmp_path: Path) -> None:
    shifted = split(dataset, tmp_path / "shifted", val_filenames=["view_001.png", "view_008.png"])
    with pytest.raises(UserError, match=r"1 of 2 views .* trained on: view_001.png"):
        held_out_for(trained.path, shifted)
    same = split(dataset, tmp_path / "same", val_filenames=["view_000.png", "view_008.png"])
    assert len(held_out_for(trained.path, same).views) == 2


def test_a_file_without_a_past_needs_a_dataset(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", colored_ball(5))
    with pytest.raises(UserError, match="does not say which images"):
        held_out_for(tmp_path / "a.ply")


def test_table_and_figures_name_what_they_say(trained: JobFolder) -> None:
    rows = measure_file(trained.result, held_out_for(trained.path), lpips=lambda image, truth: 0.25)
    lines = table(rows)
    assert lines[0].split() == ["held-out", "view", "PSNR/dB", "SSIM", "LPIPS"] and lines[-1].startswith("mean")
    assert len(lines) == len(rows) + 2 and lines[1].startswith("view_000.png")
    values = figures(rows)
    assert values["views"] == 2 and values["held_out"] and values["lpips"] == 0.25
    assert values["psnr"] == pytest.approx(np.mean([row.psnr for row in rows]), abs=1e-3)



def test_splats_that_lie_elsewhere_are_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file whose splats were moved in a layout still measures; the command says what the figure most likely means."""
    found = write_ball_dataset(tmp_path / "ball", alpha=False, truth=speckled_ball()).folder
    for moved in (False, True):
        ball = speckled_ball()
        write_ply(tmp_path / "ball.ply", replace(ball, means=ball.means + np.float32([1.5 * moved, 0, 0])))
        assert evaluate(tmp_path / "ball.ply", found, 48, lpips=False) == 0
        assert ("in a layout" in capsys.readouterr().err) == moved
