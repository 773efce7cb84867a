"""Datasets in survey coordinates come near the origin, by whichever reader, and go back where doubles hold them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.core.datasets.colmap_export import export_colmap
from engine.core.datasets.dataset import Dataset
from engine.core.datasets.excluded import exclude
from engine.core.datasets.read import leave_out_strays, read_dataset, read_dataset_of
from engine.core.datasets.realestate10k import Shots, write_real_estate
from engine.core.datasets.recentring import offset_of_job, recentred, remember_offset, restored
from engine.core.datasets.spread import focus_point, scene_scale, strays, unit_of
from engine.core.datasets.transforms_json import write_transforms
from engine.core.errors import UserError
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.folder import JobFolder
from engine.core.protocol.spec import JobSpec
from tests.scenes import write_ball_dataset

OFFSET = (512346.0, 5412346.0, 322.0)


@pytest.fixture(scope="module")
def ball(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return read_dataset(write_ball_dataset(tmp_path_factory.mktemp("ball"), views=12, size=16).folder)


def as_transforms(dataset: Dataset, folder: Path) -> Path:
    shutil.copytree(dataset.folder, folder)
    write_transforms(restored(replace(dataset, folder=folder)))  # without the note of the offset, as others write
    return folder


def as_colmap(dataset: Dataset, folder: Path) -> Path:
    export_colmap(dataset, folder)
    return folder


def as_colmap_text(dataset: Dataset, folder: Path) -> Path:
    pycolmap = pytest.importorskip("pycolmap")
    model = as_colmap(dataset, folder) / "sparse" / "0"
    pycolmap.Reconstruction(str(model)).write_text(str(model))
    for path in model.glob("*.bin"):
        path.unlink()
    return folder


def as_real_estate(dataset: Dataset, folder: Path) -> Path:
    (folder / "images").mkdir(parents=True)
    for number, view in enumerate(dataset.views):
        shutil.copy(view.image, folder / "images" / f"{number}.png")
    cameras = tuple(view.camera for view in restored(dataset).views)
    write_real_estate(folder / "shot.txt", Shots("", tuple(range(len(cameras))), cameras))
    return folder


@pytest.mark.parametrize("write", [as_transforms, as_colmap, as_colmap_text, as_real_estate])
def test_every_reader_moves_them_and_loses_nothing(ball: Dataset, tmp_path: Path, write: Callable[[Dataset, Path], Path]) -> None:
    found = read_dataset(write(replace(ball, offset=OFFSET), tmp_path / "survey"))
    assert found.offset != (0, 0, 0) and all(value == round(value) for value in found.offset)
    back = np.array(OFFSET) - found.offset
    for view, original in zip(found.views, ball.views, strict=True):
        assert np.abs(view.camera.position - original.camera.position - back).max() < 1e-6
        assert np.abs(view.camera.position).max() < 50
    if found.points is not None:
        assert ball.points and found.points.positions.dtype == np.float32
        assert np.abs(found.points.positions - ball.points.positions - back).max() < 1e-5
    whole = restored(found)
    assert np.allclose(whole.views[3].camera.position, ball.views[3].camera.position + OFFSET, rtol=0, atol=1e-6)


@pytest.mark.parametrize("offset", [OFFSET, (2000.25, 0.0, 0.0)])
def test_an_offset_that_is_known_comes_back_the_same(ball: Dataset, tmp_path: Path, offset: tuple[float, float, float]) -> None:
    """Also where the coordinates alone would have another one, or none."""
    shutil.copytree(ball.folder, tmp_path / "survey")
    write_transforms(replace(ball, folder=tmp_path / "survey", offset=offset))
    found = read_dataset(tmp_path / "survey")
    assert found.offset == offset
    assert np.allclose(found.views[3].camera.position, ball.views[3].camera.position, rtol=0, atol=1e-8)
    moved = read_dataset(tmp_path / "survey", offset=(1.0, 2.0, 3.0)).views[3].camera.position
    assert np.allclose(moved - ball.views[3].camera.position, np.subtract(offset, (1, 2, 3)), rtol=0, atol=1e-6)


def test_a_note_of_an_offset_that_is_no_vector_is_ignored(ball: Dataset, tmp_path: Path) -> None:
    folder = as_transforms(ball, tmp_path / "survey")
    values = json.loads((folder / "transforms.json").read_text())
    for noted in ("east", [1, 2], [1, "x", 3], {"x": 1}, [float("nan"), 0, 0]):
        values["splatwright"]["offset"] = noted
        (folder / "transforms.json").write_text(json.dumps(values))
        assert read_dataset(folder).offset == (0, 0, 0)


@pytest.mark.parametrize("write", [as_transforms, as_colmap, as_real_estate])
def test_an_ordinary_dataset_stays_as_it_is(ball: Dataset, tmp_path: Path, write: Callable[[Dataset, Path], Path]) -> None:
    found = read_dataset(write(ball, tmp_path / "plain"))
    assert found.offset == (0, 0, 0) and recentred(found) is found is restored(found)
    assert np.allclose(found.views[0].camera.camera_to_world, ball.views[0].camera.camera_to_world, rtol=0, atol=1e-9)
    assert found.views[0].camera.near == 0.01


def test_a_job_goes_on_with_the_offset_that_it_began_with(ball: Dataset, tmp_path: Path) -> None:
    folder = as_transforms(replace(ball, offset=OFFSET), tmp_path / "survey")
    job = JobFolder(tmp_path / "job")
    job.write_spec(JobSpec(folder, TrainConfig()))
    assert offset_of_job(job) is None
    remember_offset(job, (512340.0, 5412340.0, 320.0))
    exclude(read_dataset(folder), [view.name for view in ball.views[:5]])
    assert read_dataset_of(job).offset == (512340, 5412340, 320) and len(read_dataset_of(job).views) == 7
    (job.path / "offset.json").write_text("[]")
    with pytest.raises(UserError, match="damaged"):
        read_dataset_of(job)
    (job.path / "offset.json").unlink()
    job.checkpoint.mkdir()
    (job.checkpoint / "state.npz").write_bytes(b"")  # begun by a version that moved nothing
    assert read_dataset_of(job).offset == (0, 0, 0) and np.abs(read_dataset_of(job).views[0].camera.position).max() > 1e6


def test_what_is_left_out_does_not_move_the_others(ball: Dataset, tmp_path: Path) -> None:
    folder = as_transforms(replace(ball, offset=OFFSET), tmp_path / "survey")
    before = read_dataset(folder)
    exclude(before, [view.name for view in before.views[::2]])
    after = read_dataset(folder)
    assert after.offset == before.offset
    assert [tuple(view.camera.position) for view in after.views] == [tuple(view.camera.position) for view in before.views[1::2]]


@pytest.mark.parametrize("size", [2.0**-20, 1.0, 2.0**20])
def test_measures_grow_with_the_scene(ball: Dataset, size: float) -> None:
    grown = scaled(ball, size)
    assert scene_scale(grown) == pytest.approx(size * scene_scale(ball))
    assert unit_of(scene_scale(grown)) == size * unit_of(scene_scale(ball))
    cameras = [view.camera for view in grown.views]
    assert np.allclose(focus_point(cameras), size * focus_point([view.camera for view in ball.views]), rtol=0, atol=1e-5 * size)


def test_near_planes_fit_the_scene(ball: Dataset, tmp_path: Path) -> None:
    tiny = read_dataset(as_transforms(scaled(ball, 2.0**-12), tmp_path / "tiny"))
    assert {view.camera.near for view in tiny.views} == {0.01 * 2.0**-12}
    assert tiny.views[0].camera.resized(8, 8).near == 0.01 * 2.0**-12


def test_a_stray_is_the_few_that_stand_beyond_a_gap() -> None:
    rng = np.random.default_rng(1)
    ring = rng.normal(size=(16, 3))
    ring /= np.linalg.norm(ring, axis=1, keepdims=True)
    assert not strays(ring).any() and not strays(np.zeros((16, 3))).any() and not strays(ring[:5]).any()
    for far in ((0, 0, -4), (0, 30, 0), (3000, 0, 0)):
        assert np.flatnonzero(strays(np.concatenate([ring, [far]]))).tolist() == [16]
    two = np.concatenate([ring, [(0, 0, 1000), (5, 0, 5)]])
    assert np.flatnonzero(strays(two)).tolist() == [16, 17]
    assert not strays(np.concatenate([ring, ring[:8] + np.array([30, 0, 0])])).any()  # a second place of the scene
    assert not strays(np.stack([np.geomspace(1, 30, 30), np.zeros(30), np.zeros(30)], axis=1)).any()  # a row that thins out


def test_a_stray_changes_no_measure_and_is_left_out_once(ball: Dataset, tmp_path: Path) -> None:
    pose = ball.views[4].camera.camera_to_world.copy()
    pose[:3, 3] += (0, 0, -3000)
    views = list(ball.views)
    views[4] = replace(views[4], camera=replace(views[4].camera, camera_to_world=pose))
    without = replace(ball, views=(*ball.views[:4], *ball.views[5:]))
    assert scene_scale(replace(ball, views=tuple(views))) == scene_scale(without)
    folder = as_transforms(replace(ball, views=tuple(views)), tmp_path / "stray")
    assert leave_out_strays(folder) == leave_out_strays(folder) == ("view_004.png",)
    assert len(read_dataset(folder).views) == 11
    plain = as_transforms(ball, tmp_path / "plain")
    assert leave_out_strays(plain) == () and not (plain / "excluded.txt").exists()


def scaled(dataset: Dataset, size: float) -> Dataset:
    """The same scene at another size."""
    def grown(pose: np.ndarray) -> np.ndarray:
        pose = pose.copy()
        pose[:3, 3] *= size
        return pose

    assert dataset.points
    points = replace(dataset.points, positions=(dataset.points.positions * size).astype(np.float32))
    return replace(dataset, points=points, views=tuple(
        replace(view, camera=replace(view.camera, camera_to_world=grown(view.camera.camera_to_world))) for view in dataset.views))
