"""A scene trains the same wherever it lies, however large it is, and with a stray camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.core.datasets.dataset import Dataset
from engine.core.datasets.read import leave_out_strays, read_dataset
from engine.core.datasets.transforms_json import write_transforms
from engine.core.formats.registry import read_splats
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Finding, Finished
from engine.core.protocol.folder import JobFolder
from engine.core.protocol.spec import JobSpec
from engine.core.splats.offset import offset_file
from engine.evaluation.camera_paths import beside_splats, read_path
from engine.evaluation.held_out import held_out_for
from engine.evaluation.measure import mean_row, measure_file
from engine.training.init.initialize import initial_gaussians
from engine.training.init.knn import neighbour_distance
from engine.training.trainer import train
from engine.worker import Preflight
from tests.core.datasets.test_survey_coordinates import OFFSET, scaled
from tests.scenes import write_ball_dataset

SETTINGS = TrainConfig(max_steps=150, max_gaussians=600, resolution=48, sh_degree=0, refine_every=10, eval_every=150, threads=1,
                       settle_from=0.6)
NEAR = 0.3
"""dB by which results may differ."""


def changed(folder: Path, change: Callable[[Dataset], Dataset]) -> Path:
    write_transforms(change(write_ball_dataset(folder, views=12, size=48)))
    return folder


def trained(job: JobFolder, dataset: Path, config: TrainConfig = SETTINGS) -> tuple[float, list[object]]:
    events: list[object] = []
    job.write_spec(JobSpec(dataset, config))
    train(job, events.append, lambda: "run", checks=Preflight())
    assert isinstance(events[-1], Finished) and events[-1].psnr is not None
    return events[-1].psnr, events


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[float, list[str]]:
    """PSNR of the scene as it is, and the codes of what is said about it."""
    folder = tmp_path_factory.mktemp("plain")
    psnr, events = trained(JobFolder(folder / "job"), changed(folder / "ball", lambda dataset: dataset))
    return psnr, warnings(events)


def warnings(events: list[object]) -> list[str]:
    """Of the scene, not that the computer is busy."""
    return [event.code for event in events if isinstance(event, Finding) and event.severity != "info" and event.kind != "speed"]


@pytest.mark.parametrize("change", [
    lambda dataset: scaled(dataset, 1000.0), lambda dataset: scaled(dataset, 5e-4), lambda dataset: scaled(dataset, 1e-6),
    lambda dataset: replace(dataset, offset=OFFSET), lambda dataset: replace(scaled(dataset, 10.0), offset=(300.0, 3000.0, 0.0)),
], ids=["large", "small", "tiny", "survey", "local grid"])
def test_the_same_scene_elsewhere(tmp_path: Path, plain: tuple[float, list[str]], change: Callable[[Dataset], Dataset]) -> None:
    folder = changed(tmp_path / "ball", change)
    psnr, events = trained(JobFolder(tmp_path / "job"), folder)
    assert psnr > plain[0] - NEAR and warnings(events) == plain[1]


@pytest.mark.parametrize("strategy", ["mcmc", "default"])
def test_a_power_of_two_changes_nothing_at_all_at_the_start(tmp_path: Path, strategy: str) -> None:
    config, made = replace(SETTINGS, strategy=strategy, sky=50), []
    for size in (1.0, 2.0**-30):
        dataset = read_dataset(changed(tmp_path / str(size), lambda dataset, size=size: scaled(dataset, size)))
        made.append(initial_gaussians(dataset, config))
    assert np.allclose(made[1].means, made[0].means * 2.0**-30, rtol=1e-5, atol=0)
    assert np.allclose(made[1].scales, made[0].scales - 30 * np.log(2), atol=1e-5)


def test_a_survey_is_remembered_to_the_end(tmp_path: Path) -> None:
    folder = changed(tmp_path / "ball", lambda dataset: replace(dataset, offset=OFFSET))
    job = JobFolder(tmp_path / "job")
    psnr, events = trained(job, folder)
    offset = read_dataset(folder).offset
    assert read_splats(job.result).offset == offset == read_splats(job.preview).offset and offset_file(job.result).is_file()
    told = [event for event in events if isinstance(event, Finding) and event.kind == "offset"]
    assert [finding.code for finding in told] == ["preflight.recentred"]
    assert '"offset"' in job.report.read_text()
    for scene in (job.result, job.path):
        assert mean_row(measure_file(scene if scene.is_file() else job.result, held_out_for(scene))).psnr == pytest.approx(psnr, abs=0.01)
    shown = read_splats(job.result)
    cameras = beside_splats(read_path(folder / "transforms.json"), shown.gaussians, shown.offset)
    assert max(float(np.abs(camera.position).max()) for _, camera in cameras) < 50
    assert beside_splats(cameras, shown.gaussians, shown.offset)[0][1].position.tolist() == cameras[0][1].position.tolist()


def test_a_survey_that_is_cut_off_ends_the_same(tmp_path: Path) -> None:
    folder = changed(tmp_path / "ball", lambda dataset: replace(dataset, offset=OFFSET))
    whole, cut = JobFolder(tmp_path / "whole"), JobFolder(tmp_path / "cut")
    trained(whole, folder)
    cut.write_spec(JobSpec(folder, SETTINGS))
    asked = iter([*["run"] * 70])

    def interrupted() -> str:
        if next(asked, None) is None:
            raise KeyboardInterrupt
        return "run"

    with pytest.raises(KeyboardInterrupt):
        train(cut, lambda event: None, interrupted, checks=Preflight())
    trained(cut, folder)
    assert cut.result.read_bytes() == whole.result.read_bytes()


def test_a_stray_camera_is_named_and_left_out(tmp_path: Path) -> None:
    def with_stray(dataset: Dataset) -> Dataset:
        views = list(dataset.views)
        pose = views[4].camera.camera_to_world.copy()
        pose[:3, 3] += (0, 0, -3000)
        views[4] = replace(views[4], camera=replace(views[4].camera, camera_to_world=pose))
        return replace(dataset, views=tuple(views))

    stray, without = changed(tmp_path / "stray", with_stray), changed(tmp_path / "without", lambda dataset: dataset)
    (without / "excluded.txt").write_text("images/view_004.png\n")
    wanted = trained(JobFolder(tmp_path / "wanted"), without)[0]
    psnr, events = trained(JobFolder(tmp_path / "job"), stray)
    named = [event for event in events if isinstance(event, Finding) and event.kind == "stray_camera"]
    assert [(finding.images, finding.fixes) for finding in named] == [(("view_004.png",), ("exclude",))]
    assert psnr > wanted - NEAR
    leave_out_strays(stray)
    assert trained(JobFolder(tmp_path / "left out"), stray)[0] == wanted


def test_stray_points_leave_the_others_their_neighbours() -> None:
    points = np.random.default_rng(0).uniform(-1, 1, (2000, 3)).astype(np.float32)
    usual = neighbour_distance(points)
    found = neighbour_distance(np.concatenate([points, np.float32([[1e7, 0, 0], [0, -3e6, 2e6]])]))
    off = np.abs(found[:2000] / usual - 1)
    assert np.median(off) < 1e-5 and np.quantile(off, 0.95) < 0.3
