"""What lies in memory: photos on the device and in the computer within their budgets, and the prediction for a card."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from engine.core.cameras.camera import Camera
from engine.core.datasets.dataset import Dataset
from engine.core.datasets.read import read_dataset
from engine.core.errors import UserError
from engine.core.protocol.config import TrainConfig
from engine.training.backend import Target
from engine.training.data.image_store import AHEAD, Photos, bytes_of, open_photos
from engine.training.data.targets import load_targets
from engine.training.host_memory import container_free, free_memory
from tests.scenes import write_ball_dataset

torch = pytest.importorskip("torch")

from engine.training.cuda import memory, residency  # noqa: E402
from engine.training.cuda.model import largest_picture  # noqa: E402
from engine.training.cuda.residency import DevicePhotos, ground_truth  # noqa: E402

CPU = torch.device("cpu")
CONFIG = TrainConfig(resolution=48)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return read_dataset(write_ball_dataset(tmp_path_factory.mktemp("photos"), views=10, size=48).folder)


def photo(view: int, size: int = 10) -> Target:
    return Target(Camera(size, size, 9.0, 9.0, 5.0, 5.0, np.eye(4)), np.full((size, size, 3), view, np.uint8), view)


def nothing() -> None:
    pass


def test_the_device_keeps_what_fits_and_copies_the_rest() -> None:
    photos = DevicePhotos(CPU, budget=3 * 300)
    for _ in range(2):
        for view in range(5):
            photos.expect(photo(view))
            assert photos.get(photo(view)).image[0, 0, 0] == view
            assert photos.held <= photos.budget
    assert photos.held == 900
    photos.close()
    assert photos.held == 0


def test_larger_photos_take_the_place_of_those_that_the_schedule_left() -> None:
    photos = DevicePhotos(CPU, budget=1500)
    for view in range(5):
        photos.get(photo(view))
    assert photos.held == 1500
    photos.get(photo(0, size=20))
    assert photos.held == 1200
    photos.release()
    assert photos.get(photo(1)).image.shape == (10, 10, 3) and photos.held == 0
    photos.close()


def test_held_out_photos_are_not_kept() -> None:
    """They have no number, so one would be taken for another."""
    photos = DevicePhotos(CPU, budget=10**6)
    for value in (3, 8):
        shown = dataclasses.replace(photo(value), view=-1)
        assert photos.get(shown).image[0, 0, 0] == value
    assert photos.held == 0
    photos.close()


def test_a_photo_over_a_background() -> None:
    image = np.array([[[255, 0, 0, 255], [0, 255, 0, 0], [0, 0, 255, 51]]], np.uint8)
    mask, depth = np.array([[255, 0, 255]], np.uint8), np.ones((1, 3), np.float32)
    photos = DevicePhotos(CPU, 0)
    shown = photos.get(Target(Camera(3, 1, 1.0, 1.0, 1.0, 1.0, np.eye(4)), image, 0, mask, depth))
    truth = ground_truth(shown, torch.tensor([1.0, 1.0, 0.0]))
    np.testing.assert_allclose(truth.image.numpy(), [[[1, 0, 0], [1, 1, 0], [0.8, 0.8, 0.2]]], atol=1e-6)
    assert truth.alpha is not None and truth.mask is not None and truth.depth is not None and truth.normals is None
    np.testing.assert_allclose(truth.alpha.numpy(), [[1, 0, 0.2]], atol=1e-6)
    assert truth.mask.tolist() == [[1, 0, 1]]
    photos.close()


def test_photos_beyond_the_budget_are_read_ahead_and_again(dataset: Dataset) -> None:
    whole = [pyramid.full for pyramid in load_targets(dataset.train_views, CONFIG.resolution)]
    one = bytes_of(load_targets(dataset.train_views[:1], CONFIG.resolution)[0])
    photos = Photos(dataset.train_views, CONFIG, budget=3.5 * one)
    ticks: list[int] = []
    photos.fill(lambda: ticks.append(1))
    assert photos.held == 3 * one and not photos.whole and len(ticks) == 4
    order = np.random.default_rng(0).permutation(len(photos)).tolist() * 2
    for number, index in enumerate(order):
        for ahead in order[number + 1 : number + 1 + AHEAD]:
            photos.expect(ahead)
        found = photos.at(index, 1)
        assert np.array_equal(found.image, whole[index].image) and found.view == index
        assert photos.held == 3 * one and len(photos._coming) <= AHEAD
    assert [target.camera.width for target in photos.each()] == [48] * len(photos)
    photos.close()


def test_photos_that_fit_are_read_once(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = open_photos(dataset.train_views, dataclasses.replace(CONFIG, image_memory=0.1), 1.0, nothing)
    assert photos.whole and photos.ready(2)
    monkeypatch.setattr("engine.training.data.image_store.pyramid_of", None)
    assert photos.at(2, 4).camera.width == 12 and photos.peek(2, 2).camera.width == 24
    photos.close()


def test_a_damaged_photo_read_ahead_is_a_sentence(tmp_path: Path) -> None:
    dataset = write_ball_dataset(tmp_path, views=4, size=32)
    photos = Photos(dataset.train_views, CONFIG, budget=0)
    dataset.train_views[1].image.write_bytes(b"no image")
    photos.expect(1)
    with pytest.raises(UserError, match=dataset.train_views[1].image.name):
        photos.at(1, 1)
    photos.close()


def test_free_memory_is_told() -> None:
    assert 1e7 < free_memory() < 1e14


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    assert container_free(tmp_path) == float("inf")
    for name, text in (("memory.max", "max"), ("memory.current", "300"), ("memory.stat", "anon 5\ninactive_file 100\n")):
        (tmp_path / name).write_text(text)
    assert container_free(tmp_path) == float("inf")
    (tmp_path / "memory.max").write_text("1000\n")
    assert container_free(tmp_path) == 800


def test_the_plan_shares_out_all_that_may_be_used() -> None:
    plan = memory.plan_memory(24 * 10**9, 3_000_000, 3, 1600 * 1200)
    assert plan.gaussians + plan.pictures + plan.photos + memory.ALWAYS == plan.limit
    assert plan.gaussians == 3_000_000 * memory.bytes_of_gaussian(3)
    assert memory.bytes_of_gaussian(0) < memory.bytes_of_gaussian(3) < 3000


def test_two_thousand_large_photos_train_within_the_limit() -> None:
    """What does not fit beside the Gaussians is left out of the card, whatever the number of photos."""
    pixels = 4000 * 3000
    plan = memory.plan_memory(24 * 10**9, 3_000_000, 3, pixels)
    assert 0 < plan.photos < 2000 * pixels * 3
    assert plan.gaussians + plan.pictures + plan.photos <= plan.limit


def test_more_gaussians_than_fit_name_the_setting() -> None:
    with pytest.raises(UserError, match=r"20,000,000 Gaussians need about .* GB") as caught:
        memory.plan_memory(8 * 10**9, 20_000_000, 3, 10**6)
    most = int(caught.value.hint.split("max_gaussians to ")[1].split(" or")[0].replace(",", ""))
    assert most > 1_000_000
    memory.plan_memory(8 * 10**9, most, 3, 10**6)
    with pytest.raises(UserError):
        memory.plan_memory(8 * 10**9, most + 1000, 3, 10**6)


def test_photos_too_large_for_the_card_name_the_setting() -> None:
    with pytest.raises(UserError, match="million pixels") as caught:
        memory.plan_memory(2 * 10**9, 1000, 0, 20_000_000)
    assert "resolution" in caught.value.hint


def test_the_largest_picture_counts(dataset: Dataset) -> None:
    cameras = [Camera(4000, 3000, 1.0, 1.0, 1.0, 1.0, np.eye(4)), Camera(100, 300, 1.0, 1.0, 1.0, 1.0, np.eye(4))]
    assert largest_picture(cameras, 1000) == 750_000 and largest_picture([], 1000) == 0
    assert residency.key_of(photo(3)) == (3, 10, 10)
