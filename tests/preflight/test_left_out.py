"""What cannot be used of a dataset is left out, said, and too much of it ends the training, alike for check and train."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.core.datasets.dataset import Dataset, LeftOut
from engine.core.datasets.read import read_dataset
from engine.core.datasets.transforms_json import write_transforms
from engine.core.errors import UserError
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Finding, Finished, Started
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.preflight import check
from engine.training.init.initialize import starts_from_depth
from engine.training.trainer import train
from engine.worker import Preflight
from tests.preflight.planting import sound_dataset
from tests.scenes import write_ball_dataset

CONFIG = TrainConfig(max_steps=20, max_gaussians=200, resolution=32, smoke_test=False, threads=1)


@pytest.fixture
def sound(tmp_path: Path) -> Dataset:
    return sound_dataset(tmp_path / "data")


def cut_off(dataset: Dataset, *indices: int) -> None:
    for index in indices:
        path = dataset.views[index].image
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def training(dataset: Dataset, folder: Path, config: TrainConfig = CONFIG, exclude: tuple[str, ...] = ()) -> list:
    job, events = JobFolder(folder), []
    job.path.mkdir()
    job.write_spec(JobSpec(dataset.folder, config, exclude=exclude))
    train(job, events.append, job.control, checks=Preflight())
    return events


def sentences(found: list) -> list[str]:
    return [f"{event.severity} {event.message} {event.hint}" for event in found if isinstance(event, Finding)]


def test_a_cut_off_image_costs_that_image(sound: Dataset, tmp_path: Path) -> None:
    """The first one is held out: the others stay held out as before."""
    before = {view.name for view in sound.eval_views}
    cut_off(sound, 0, 3)
    checked = check(read_dataset(sound.folder), config=CONFIG)
    assert {view.name for view in checked.usable.eval_views} == before - {"view_000.png"} and len(checked.usable.views) == 14
    events = training(sound, tmp_path / "job")
    started = next(event for event in events if isinstance(event, Started))
    assert isinstance(events[-1], Finished) and (started.train_views, started.eval_views) == (13, 1)
    said = sentences(events)
    assert set(sentences(list(checked.findings))) <= set(said), "check and train say the same"
    assert any("view_000.png is damaged" in sentence and "left out" in sentence for sentence in said)


def test_more_than_half_lost_ends_it_unless_it_is_to_go_on_anyway(sound: Dataset, tmp_path: Path) -> None:
    cut_off(sound, *range(9))
    found = [finding for finding in check(read_dataset(sound.folder), config=CONFIG).findings if finding.severity == "error"]
    assert [finding.kind for finding in found] == ["lost"] and "9 of 16 views cannot be used, more than half" in found[0].message
    with pytest.raises(UserError) as caught:
        training(sound, tmp_path / "stopped")
    assert (caught.value.message, caught.value.hint) == (found[0].message, found[0].hint) and "--anyway" in found[0].hint
    assert isinstance(training(sound, tmp_path / "anyway", replace(CONFIG, anyway=True))[-1], Finished)
    left = tuple(view.name for view in sound.views[:9])
    assert isinstance(training(sound, tmp_path / "excluded", exclude=left)[-1], Finished), "what people leave out is not lost"


def test_below_three_views_it_ends(sound: Dataset) -> None:
    few = replace(sound, views=sound.views[:4])
    cut_off(few, 0, 1)
    assert [finding.kind for finding in check(few).findings if finding.severity == "error"] == ["few_views"]
    anyway = check(few, config=replace(CONFIG, anyway=True))
    assert not anyway.pointless and len(anyway.usable.views) == 2


def test_what_reading_left_out_counts_too(sound: Dataset) -> None:
    lost = tuple(LeftOut(f"gone {index}.png", "the pose is no pose") for index in range(5))
    found = check(replace(sound, left_out=lost)).findings
    assert [finding.severity for finding in found] == ["warning"] * 4 and "2 more images are left out" in found[3].message
    missing = tuple(f"missing {index}.png" for index in range(12))
    assert check(replace(sound, left_out=lost, missing=missing)).pointless


def with_maps(dataset: Dataset) -> Dataset:
    views = []
    for view in dataset.views:
        depth, mask = (dataset.folder / kind / f"{view.image.stem}{ending}" for kind, ending in (("depth", ".npy"), ("masks", ".png")))
        for path in (depth, mask):
            path.parent.mkdir(exist_ok=True)
        np.save(depth, np.full((96, 96), 3000.0, np.float32))
        Image.new("L", (96, 96), 255).save(mask)
        views.append(replace(view, depth=depth, mask=mask))
    changed = replace(dataset, views=tuple(views))
    write_transforms(changed)
    return changed


def test_bad_maps_cost_those_maps(sound: Dataset, tmp_path: Path) -> None:
    whole = with_maps(sound)
    gone, damaged, flat, masked = (whole.views[index] for index in (1, 2, 3, 4))
    assert gone.depth and damaged.depth and flat.depth and masked.mask
    gone.depth.unlink()
    damaged.depth.write_bytes(b"no array")
    np.save(flat.depth, np.ones((3, 96)))
    masked.mask.write_bytes(b"no image")
    dataset = read_dataset(whole.folder)
    assert starts_from_depth(dataset, CONFIG)
    checked = check(dataset, config=CONFIG)
    views = {view.name: view for view in checked.usable.views}
    assert len(views) == 16 and [name for name, view in views.items() if not view.depth] == [view.name for view in (gone, damaged, flat)]
    assert [name for name, view in views.items() if not view.mask] == [masked.name] and not checked.pointless
    said = " ".join(sentences(list(checked.findings)))
    assert "depth map is not used (3)" in said and "whose mask cannot be read" in said
    assert isinstance(training(dataset, tmp_path / "job")[-1], Finished)
    assert not any(each.part == "depth" and "no array" in each.reason
                   for each in check(dataset, config=replace(CONFIG, start="points")).usable.left_out), "what nobody wants is not read"


def with_true_maps(dataset: Dataset, unit: float = 1000.0, to_camera: bool = False) -> Dataset:
    """With depth, in `unit`ths, and normals of the ball, in the world's axes or in the cameras'."""
    views = []
    for view in dataset.views:
        camera = view.camera
        pixels = np.stack(np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5), axis=2).reshape(-1, 2)
        rays = camera.unproject(pixels, np.ones(len(pixels))) - camera.position
        along, far, square = rays @ camera.position, camera.position @ camera.position - 1, (rays**2).sum(axis=1)
        inside = np.maximum(along**2 - square * far, 0)
        depth = np.where(inside > 0, (-along - np.sqrt(inside)) / square, 0)
        normals = np.where(inside[:, None] > 0, camera.position + depth[:, None] * rays, 0)
        normals = normals @ camera.camera_to_world[:3, :3] if to_camera else normals
        paths = [dataset.folder / f"{view.image.stem} {kind}.npy" for kind in ("depth", "normals")]
        shape = camera.height, camera.width
        np.save(paths[0], (depth * unit).astype(np.float32).reshape(shape))
        np.save(paths[1], normals.astype(np.float32).reshape(*shape, 3))
        views.append(replace(view, depth=paths[0], normals=paths[1]))
    return replace(dataset, views=tuple(views))


@pytest.fixture
def ball(tmp_path: Path) -> Dataset:
    return write_ball_dataset(tmp_path / "ball", views=9, size=48)


def test_maps_that_mean_what_they_should_are_used(ball: Dataset) -> None:
    checked = check(with_true_maps(ball), config=CONFIG)
    assert not checked.usable.left_out and all(view.depth and view.normals for view in checked.usable.views)


@pytest.mark.parametrize(("spoiled", "part", "words"), [
    ({"unit": 1.0}, "depth", "thousandths of the scene's unit"), ({"unit": 25_400.0}, "depth", "thousandths"),
    ({"to_camera": True}, "normals", "world's axes")])
def test_maps_that_mean_something_else_are_not_used(ball: Dataset, tmp_path: Path, spoiled: dict, part: str, words: str) -> None:
    """Metres instead of millimetres, another unit, normals in the cameras' axes: said, and the training goes on without any of them."""
    dataset = with_true_maps(ball, **spoiled)
    checked = check(dataset, config=CONFIG)
    assert not checked.pointless and all(getattr(view, part) is None for view in checked.usable.views)  # also what looks right by chance
    assert any(words in sentence for sentence in sentences(list(checked.findings)))
    write_transforms(dataset)
    events = training(dataset, tmp_path / "job")
    assert isinstance(events[-1], Finished) and any(words in sentence for sentence in sentences(events))


def test_a_single_misread_map_costs_that_map(tmp_path: Path) -> None:
    ball = write_ball_dataset(tmp_path / "ball", views=12, size=48)
    good = with_true_maps(ball)
    other = tmp_path / "other"
    other.mkdir()
    bad = with_true_maps(replace(ball, folder=other), unit=1.0)
    mixed = replace(good, views=(*good.views[:-1], bad.views[-1]))
    lost = [view.name for view in check(mixed, config=CONFIG).usable.views if view.depth is None]
    assert lost == [mixed.views[-1].name]


def test_masks_of_which_none_fits_are_said(sound: Dataset) -> None:
    (sound.folder / "masks").mkdir()
    Image.new("L", (96, 96), 255).save(sound.folder / "masks/shadow.png")
    [finding] = check(read_dataset(sound.folder)).findings
    assert finding.severity == "warning" and "None of the 1 files in" in finding.message and "shadow.png" in finding.message


def test_images_that_were_stored_lying_are_turned(sound: Dataset, tmp_path: Path) -> None:
    """Sixteen photos of 96 x 48 pixels, stored turned: what is learned is what was seen."""
    views, lying = [], []
    for view in sound.views:
        with Image.open(view.image) as image:
            upright = image.convert("RGB").crop((0, 24, 96, 72))
        exif = Image.Exif()
        exif[0x0112] = 6
        path = view.image.with_suffix(".tif.png")
        upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
        camera = replace(view.camera, height=48, cy=view.camera.cy - 24)
        lying.append(replace(view, image=path, camera=camera))
        upright.save(view.image)
        views.append(replace(view, camera=camera))
    ours, plain = (check(replace(sound, views=tuple(each))) for each in (lying, views))
    assert [stats.digest for stats in ours.all_stats] == [stats.digest for stats in plain.all_stats] and ours.findings == plain.findings


@pytest.mark.parametrize("names, left", [
    (("view_003.png",), 15), (("images/view_003.png", "view_00[45].png"), 13), (("*_01*.png",), 10), ((".\\images\\view_003.png",), 15),
])
def test_images_that_people_leave_out(sound: Dataset, names: tuple[str, ...], left: int) -> None:
    held_out = {view.name: view.held_out for view in sound.views}
    dataset = read_dataset(sound.folder, names)
    assert len(dataset.views) == left and all(held_out[view.name] == view.held_out for view in dataset.views)


def test_a_name_that_no_image_has(sound: Dataset) -> None:
    with pytest.raises(UserError, match=r"No image of .* is called view_99\.png"):
        read_dataset(sound.folder, ("view_99.png",))
