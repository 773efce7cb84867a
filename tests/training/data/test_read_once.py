"""Every file of a dataset that fits into memory is decoded once on its way into a training, checks included."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.core.datasets.dataset import Dataset
from engine.core.datasets.read import read_dataset
from engine.core.datasets.transforms_json import write_transforms
from engine.core.images.png import write_png
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Finding, Finished
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.preflight import check_dataset
from engine.training.data import images, maps
from engine.training.data.image_store import Photos, bytes_of
from engine.training.data.targets import load_targets
from engine.training.trainer import train
from engine.worker import Preflight
from tests.scenes import write_ball_dataset

SHORT = TrainConfig(max_steps=20, max_gaussians=300, resolution=48, sh_degree=0, threads=2, surfaces=False)
"""Without what is read again after the last step, to tell what splats show."""


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A ball with masks, depth and normals beside every image."""
    made, views = write_ball_dataset(tmp_path / "ball"), []
    for view in made.views:
        beside = {kind: made.folder / kind / view.image.with_suffix(ending).name
                  for kind, ending in (("mask", ".png"), ("depth", ".npy"), ("normals", ".npy"))}
        for path in beside.values():
            path.parent.mkdir(exist_ok=True)
        write_png(beside["mask"], np.pad(np.full((64, 60), 255, np.uint8), ((0, 0), (4, 0))))
        np.save(beside["depth"], np.full((64, 64), 4000, np.float32))
        np.save(beside["normals"], np.broadcast_to(view.camera.camera_to_world[:3, 2].astype(np.float32), (64, 64, 3)))
        views.append(replace(view, **beside))
    write_transforms(replace(made, views=tuple(views)))
    return read_dataset(made.folder)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[Path]:
    """How often each file is decoded."""
    counted: Counter[Path] = Counter()
    for place in (images, maps):
        original = place._decoded

        def counting(path: Path, *rest: object, original=original) -> np.ndarray:
            counted[path] += 1
            return original(path, *rest)

        monkeypatch.setattr(place, "_decoded", counting)
    return counted


def files(dataset: Dataset, *kinds: str) -> list[Path]:
    return [getattr(view, kind) for view in dataset.views for kind in kinds]


def test_a_training_decodes_every_file_once(tmp_path: Path, dataset: Dataset, decoded: Counter[Path]) -> None:
    """With the start from depth maps, which is made of the same pictures at another size."""
    job = JobFolder(tmp_path / "job")
    job.write_spec(JobSpec(dataset.folder, replace(SHORT, start="depth", mask_meaning="empty")))
    train(job, lambda event: None, lambda: "run", checks=Preflight())
    assert job.result.exists()
    once = files(dataset, "image", "mask", "depth", "normals")
    assert decoded == Counter(dict.fromkeys(once, 1))


def test_the_check_hands_over_all_maps_that_are_learned_from(dataset: Dataset, decoded: Counter[Path]) -> None:
    config = replace(SHORT, depth_weight=0.1, normal_weight=0.1)
    photos = Photos(dataset.views, config, 1e9)
    check_dataset(dataset, seen=photos.offer)
    photos.fill(lambda: None)
    assert photos.whole and decoded == Counter(dict.fromkeys(files(dataset, "image", "mask", "depth", "normals"), 1))
    for target, pyramid in zip(photos.each(), load_targets(dataset.views, config.resolution, maps.selected_maps(config)), strict=True):
        for name in ("image", "mask", "depth", "normals"):
            assert np.array_equal(getattr(target, name), getattr(pyramid.full, name)), name


def test_what_does_not_fit_is_not_kept(dataset: Dataset) -> None:
    one = bytes_of(load_targets(dataset.views[:1], SHORT.resolution)[0])
    photos = Photos(dataset.views, SHORT, 3.5 * one)
    check_dataset(dataset, seen=photos.offer)
    photos.fill(lambda: None)
    assert photos.held == 3 * one and not photos.whole
    assert len(list(photos.each())) == len(dataset.views)
    photos.close()


def test_a_bad_mask_is_found_by_the_check_and_costs_that_mask(tmp_path: Path, dataset: Dataset) -> None:
    victim = dataset.train_views[2]
    assert victim.mask
    victim.mask.write_bytes(b"no image")
    said: list[object] = []
    job = JobFolder(tmp_path / "job")
    job.write_spec(JobSpec(dataset.folder, SHORT))
    train(job, said.append, lambda: "run", checks=Preflight())
    assert isinstance(said[-1], Finished)
    assert [event.images for event in said if isinstance(event, Finding) and event.kind == "mask"] == [(victim.name,)]
