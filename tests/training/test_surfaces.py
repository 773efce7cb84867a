"""What maps say about Gaussians: labels, normals and albedo after a training, against a ball on which they are known."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from engine.core.datasets.labels import read_labels
from engine.core.datasets.transforms_json import read_transforms
from engine.core.formats.ply import read_ply
from engine.core.images.png import write_png
from engine.core.images.srgb import linear_from_display
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Finding, Finished, Stage
from engine.core.protocol.folder import FolderGone, JobFolder, JobSpec
from engine.preflight import check
from engine.training.cpu.model import CpuModel
from engine.training.data.image_store import Photos
from engine.training.data.maps import read_labels as read_label_map
from engine.training.data.view_files import ViewFiles
from engine.training.surfaces.albedo import fit_albedo
from engine.training.surfaces.surfaces import SurfacesStopped, find_surfaces
from engine.training.surfaces.view_maps import ViewMaps
from engine.training.surfaces.votes import Votes, filled
from engine.training.trainer import train
from engine.worker import Preflight
from tests.training.surfaces_scene import LABELS, LEFT, RIGHT, albedo_of, labels_of, write_surface_dataset

CONFIG = TrainConfig(max_steps=100, max_gaussians=3000, resolution=64, sh_degree=1, refine_every=20, threads=2)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory):
    return write_surface_dataset(tmp_path_factory.mktemp("surfaces ü"))


@pytest.fixture
def photos(scene):
    store = Photos(scene[0].train_views, CONFIG, 1e9)
    yield store
    store.close()


def test_the_maps_are_read_as_they_were_written(scene) -> None:
    dataset = scene[0]
    again = read_transforms(dataset.folder)
    assert [(view.labels, view.albedo, view.normals) for view in again.views] == \
        [(view.labels, view.albedo, view.normals) for view in dataset.views]
    assert again.labels_file == dataset.labels_file and read_labels(dataset.folder / "labels.json") == LABELS
    again.check_inside(dataset.folder)


def test_a_ball_gets_its_labels_normals_and_albedo(scene, photos: Photos) -> None:
    truth = scene[1]
    model = CpuModel(truth, 2)
    before = model.state()
    found = find_surfaces(model, photos)
    after = model.state()
    assert not found.problems and all(np.array_equal(before[name], after[name]) for name in before)
    seen = model.contribution([(photos.at(n, 1).camera, np.zeros((0, 64, 64), np.float32)) for n in range(len(photos))]).weight > 0.5
    columns = found.columns
    labels = columns["label"]
    border = np.abs(truth.means[:, 0]) < 0.06
    assert set(labels.tolist()) == {LEFT, RIGHT} and found.label_count == 2
    assert np.mean((labels == labels_of(truth.means))[~border]) > 0.99
    assert np.median(columns["confidence"][seen]) > 0.9 and (columns["confidence"] <= 1).all()
    normals = np.stack([columns["nx"], columns["ny"], columns["nz"]], axis=1)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-4)
    assert np.median(np.degrees(np.arccos((normals * truth.means).sum(axis=1).clip(-1, 1)))[seen]) < 5
    linear = linear_from_display(np.stack([columns[f"albedo_{k}"] for k in range(3)], axis=1))
    error = np.abs(linear - albedo_of(truth.means))[seen]
    assert np.median(error) < 0.03


def test_least_squares_are_nearer_to_the_maps_than_means(scene, photos: Photos) -> None:
    truth, model = scene[1], CpuModel(scene[1], 2)

    def views():
        return (ViewMaps(ViewFiles(view), photos.at(number, 1)) for number, view in enumerate(photos.views))

    errors = [float(np.mean((fit_albedo(model, views, truth.means, lambda: None, rounds) - albedo_of(truth.means)) ** 2))
              for rounds in (0, 1, 5)]
    assert errors[2] < errors[1] < errors[0] and errors[2] < 0.5 * errors[0]


def test_votes_are_sums_by_label_however_they_come() -> None:
    rng = np.random.default_rng(0)
    dense, votes = np.zeros((50, 400)), Votes(50)
    for _ in range(30):
        numbers = rng.choice(np.arange(1, 400), 5, replace=False)
        sums = rng.uniform(0, 1, (50, 5)).astype(np.float32) * (rng.uniform(size=(50, 5)) < 0.3)
        dense[:, numbers] += sums
        votes.add(numbers, sums)
        votes.add_light(2 * sums.sum(axis=1))
    found = votes.labelling(rng.standard_normal((50, 3)))
    some = dense.any(axis=1)
    assert np.array_equal(found.labels[some], dense[some].argmax(axis=1))
    np.testing.assert_allclose(found.confidence[some], dense[some].max(axis=1) / (2 * dense[some].sum(axis=1)), rtol=1e-4)


def test_what_is_seen_by_none_takes_the_nearest(scene) -> None:
    means = np.random.default_rng(1).uniform(-1, 1, (2000, 3)).astype(np.float32)
    known = np.random.default_rng(2).uniform(size=2000) < 0.7
    found = filled(np.arange(2000), known, means)
    nearest = np.flatnonzero(known)[np.linalg.norm(means[~known][:, None] - means[known][None], axis=2).argmin(axis=1)]
    assert np.mean(found[~known] == nearest) > 0.97 and np.array_equal(found[known], np.flatnonzero(known))
    assert not Votes(5).labelling(np.zeros((5, 3))).labels.any()


def test_a_bad_map_costs_that_map(scene, photos: Photos, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    other = tmp_path / "other.png"
    write_png(other, np.ones((10, 64), np.uint16))
    views = list(photos.views)
    views[0], views[1] = dataclasses.replace(views[0], albedo=bad), dataclasses.replace(views[1], labels=other)
    store = Photos(views, CONFIG, 1e9)
    found = find_surfaces(CpuModel(scene[1], 2), store)
    store.close()
    assert len(found.problems) == 2 and {"label", "albedo_0", "nx"} <= set(found.columns)
    assert any("bad.png" in problem.message for problem in found.problems)


@pytest.mark.parametrize("error", [MemoryError("none left"), RuntimeError("something else")])
def test_what_fails_costs_its_own_properties_alone(scene, photos: Photos, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("engine.training.surfaces.surfaces.vote", fail)
    found = find_surfaces(CpuModel(scene[1], 1), photos)
    assert "label" not in found.columns and "nx" in found.columns
    assert [str(error) in problem.message for problem in found.problems] == [True]


def test_a_folder_that_is_gone_and_an_interrupt_end_the_pass(scene, photos: Photos, tmp_path: Path) -> None:
    """The folder's place may be another job's by now: nothing is written there."""
    for error in (FolderGone(tmp_path), KeyboardInterrupt()):
        def tick(done: int, total: int, error: BaseException = error) -> None:
            raise error

        with pytest.raises(type(error)):
            find_surfaces(CpuModel(scene[1], 1), photos, tick)


def test_stopping_keeps_what_is_done(scene, photos: Photos) -> None:
    model = CpuModel(scene[1], 2)
    own = model.read("sh0")

    def tick(done: int, total: int) -> None:
        if done > total - 20:
            raise SurfacesStopped

    found = find_surfaces(model, photos, tick)
    assert {"label", "nx"} <= set(found.columns) and "albedo_0" not in found.columns
    assert np.array_equal(model.read("sh0"), own)


def trained(folder: Path, dataset: Path, **changes: object) -> tuple[JobFolder, list]:
    job, events = JobFolder(folder), []
    job.write_spec(JobSpec(dataset, dataclasses.replace(CONFIG, **changes)))
    train(job, events.append, lambda: "run", checks=Preflight())
    assert isinstance(events[-1], Finished)
    return job, events


def test_a_training_leaves_them_in_its_result(scene, tmp_path: Path) -> None:
    job, events = trained(tmp_path / "job", scene[0].folder)
    result = read_ply(job.result)
    assert set(result.extra_names) == {"label", "confidence", "nx", "ny", "nz", "albedo_0", "albedo_1", "albedo_2"}
    assert result.extra is not None
    means = result.gaussians.means
    surface = np.abs(np.linalg.norm(means, axis=1) - 1) < 0.1
    inside = surface & (np.abs(means[:, 0]) > 0.1)
    assert np.mean((result.extra["label"] == labels_of(means))[inside]) > 0.95
    normals = np.stack([result.extra[name] for name in ("nx", "ny", "nz")], axis=1)  # in Blender's world again
    assert np.median((normals * means).sum(axis=1)[surface]) > 0.9
    raw = np.fromfile(job.result, np.uint8).tobytes().split(b"end_header\n")[0].decode()
    assert raw.count("property float nx") == 1
    report = json.loads(job.report.read_text())["surfaces"]
    assert report["labels"] == 2 and report["seconds"] >= 0
    assert read_labels(job.labels) == LABELS
    assert any(isinstance(event, Stage) and event.name == "surfaces" for event in events)
    assert not [event for event in events if isinstance(event, Finding) and "map" in event.message]


def test_switched_off_the_result_is_the_same_splats_alone(scene, tmp_path: Path) -> None:
    on, _ = trained(tmp_path / "on", scene[0].folder)
    off, _ = trained(tmp_path / "off", scene[0].folder, surfaces=False)
    assert not read_ply(off.result).extra_names and not off.labels.exists()
    ours, theirs = (read_ply(job.result).gaussians.arrays() for job in (on, off))
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def with_labels(dataset, folder: Path, change, every: bool):
    """The dataset with label maps changed by a function, of the first view that is trained on or of every one."""
    folder.mkdir()
    views = list(dataset.views)
    numbers = [number for number, view in enumerate(views) if not view.held_out]
    for number in numbers if every else numbers[:1]:
        path = folder / f"{number}.png"
        write_png(path, change(read_label_map(views[number].labels)))
        views[number] = dataclasses.replace(views[number], labels=path)
    return dataclasses.replace(dataset, views=tuple(views))


@pytest.mark.parametrize(("change", "every", "code"), [
    (lambda labels: labels[:20], False, "preflight.lost_labels"),
    (lambda labels: np.where(labels == LEFT, 99, labels).astype(np.uint16), False, "preflight.lost_labels"),
    (lambda labels: 0 * labels, True, "preflight.labels_empty"),
    (lambda labels: np.where(labels == LEFT, 0, labels).astype(np.uint16), True, "preflight.labels_few"),
    (lambda labels: labels, True, "")])
def test_preflight_names_labels_that_say_nothing(scene, tmp_path: Path, change, every: bool, code: str) -> None:
    found = check(with_labels(scene[0], tmp_path / "labels", change, every))
    about = [finding.code for finding in found.findings if "label" in finding.code]
    assert about == ([code] if code else [])
    lost = [view for view in found.usable.views if view.labels is None]
    assert len(lost) == (1 if code == "preflight.lost_labels" else 0) and len(found.usable.views) == len(scene[0].views)


def test_a_damaged_list_of_labels_is_named_and_costs_nothing_else(scene, tmp_path: Path) -> None:
    broken = tmp_path / "labels.json"
    broken.write_text('{"labels": [{"number": 0, "name": "x"}]}')
    found = check(dataclasses.replace(scene[0], labels_file=broken))
    assert [finding.code for finding in found.findings if "labels" in finding.code] == ["labels.damaged"]
    assert all(view.labels for view in found.usable.views)
