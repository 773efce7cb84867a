"""Masks, depth and normals beside images: read from every kind of file, reduced by their own rules, refused with the file's name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from engine.core.cameras.camera import Camera
from engine.core.datasets.dataset import Dataset, View
from engine.core.datasets.transforms_json import read_transforms, write_transforms
from engine.core.errors import UserError
from engine.core.formats.ply import read_ply
from engine.core.images.png import write_png
from engine.core.protocol.config import TrainConfig
from engine.training.data.images import read_image
from engine.training.data.maps import (
    MapSelection,
    read_depth,
    read_mask,
    read_normals,
    reduced_depth,
    reduced_mask,
    reduced_normals,
    selected_maps,
)
from engine.training.data.targets import load_pyramid, load_targets
from engine.training.engines import create_model
from engine.training.requirements import check_demands, guided
from tests.scenes import look_at, write_ball_dataset
from tests.training.test_trainer import finished, make_job, run

ALL = MapSelection(depth=True, normals=True)
IMAGE = np.full((24, 32, 3), 200, np.uint8)


def view(folder: Path, image: np.ndarray = IMAGE, **maps: Path) -> View:
    write_png(folder / "a.png", image)
    height, width = image.shape[:2]
    return View("a.png", folder / "a.png", Camera(width, height, 40.0, 40.0, width / 2, height / 2, np.eye(4)), **maps)


def saved(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path)
    return path


def test_every_size_carries_its_maps(tmp_path: Path) -> None:
    depth = np.full((24, 32), 2000, np.float32)
    normals = np.tile(np.float32([0, 0, 1]), (24, 32, 1))
    mask = np.zeros((24, 32), np.uint8)
    mask[:, :16] = 255
    shown = view(tmp_path, mask=saved(tmp_path / "masks ü" / "a.png", mask), depth=saved(tmp_path / "depth" / "a.npy", depth),
                 normals=saved(tmp_path / "normals" / "a.npy", normals))
    pyramid = load_pyramid(shown, 32, ALL)
    for reduction in (1, 2):
        target = pyramid.at(reduction)
        height, width = target.image.shape[:2]
        assert target.mask is not None and target.depth is not None and target.normals is not None
        assert target.mask.shape == (height, width) and target.mask.dtype == np.uint8 and set(np.unique(target.mask)) == {0, 255}
        assert (target.mask[:, : width // 2] == 255).all() and not target.mask[:, width // 2 :].any()
        assert target.depth.shape == (height, width) and np.allclose(target.depth, 2.0)
        assert target.normals.shape == (height, width, 3) and np.allclose(target.normals, [0, 0, 1])
        assert all(array.flags.c_contiguous for array in (target.mask, target.depth, target.normals))
    unread = load_pyramid(shown, 32).full
    assert unread.depth is None and unread.normals is None and unread.mask is not None


def test_photos_are_numbered_and_held_out_ones_are_none(tmp_path: Path) -> None:
    shown = view(tmp_path)
    numbers = [pyramid.full.view for pyramid in load_targets([shown, replace(shown, held_out=True), shown], 32)]
    assert numbers == [0, -1, 2]


@given(arrays(bool, (8, 12)))
def test_a_mask_keeps_pixels_that_are_half_kept(mask: np.ndarray) -> None:
    reduced = reduced_mask(mask, 6, 4)
    assert np.array_equal(reduced == 255, mask.reshape(4, 2, 6, 2).mean(axis=(1, 3)) >= 0.5)


@given(arrays(np.float32, (8, 12), elements=st.sampled_from([0.0, 1.0, 2.5, 40.0])))
def test_depth_is_the_mean_of_what_is_known(depth: np.ndarray) -> None:
    blocks = depth.reshape(4, 2, 6, 2).swapaxes(1, 2).reshape(4, 6, 4)
    known = (blocks > 0).sum(axis=2)
    expected = np.where(known >= 2, blocks.sum(axis=2) / np.maximum(known, 1), 0)
    assert np.allclose(reduced_depth(depth, 6, 4), expected, rtol=1e-5)


def test_normals_stay_unit_vectors_and_opposite_ones_are_unknown() -> None:
    normals = np.zeros((4, 4, 3), np.float32)
    normals[:2] = [0, 0, 1]
    normals[0, ::2] = [0, 1, 0]
    normals[2:, :, 0] = [[1, -1, 0, 0]] * 2
    reduced = reduced_normals(normals, 2, 2)
    assert np.allclose(reduced[0], np.array([0, 0.5, 1.5]) / np.hypot(0.5, 1.5), atol=1e-6)
    assert not reduced[1].any()


def test_depth_files(tmp_path: Path) -> None:
    depth = np.array([[0, 1000], [2500, 65535]], np.uint16)
    metres = depth / 1000
    assert np.allclose(read_depth(saved(tmp_path / "deep.png", depth)), metres)
    assert np.allclose(read_depth(saved(tmp_path / "deep.npy", depth.astype(np.float32)[..., None])), metres)
    broken = np.array([[np.nan, -5], [np.inf, 1500]], np.float32)
    assert np.allclose(read_depth(saved(tmp_path / "broken.npy", broken)), [[0, 0], [0, 1.5]])


def test_normal_files(tmp_path: Path) -> None:
    up = np.array([[[0, 0, 1], [0, 0.6, 0.8], [0, 0, 0]]], np.float32)
    assert np.allclose(read_normals(saved(tmp_path / "n.npy", 3 * up)), up)
    pixels = np.round((up + 1) * 127.5).astype(np.uint8)
    assert np.abs(read_normals(saved(tmp_path / "n.png", pixels)) - up).max() < 0.01
    hidden = np.concatenate([pixels, np.array([[[0], [255], [255]]], np.uint8)], axis=2)
    assert not read_normals(saved(tmp_path / "h.png", hidden))[0, 0].any()


def test_mask_files(tmp_path: Path) -> None:
    grey = np.array([[0, 127, 128, 255]], np.uint8)
    kept = [[False, False, True, True]]
    assert read_mask(saved(tmp_path / "grey.png", grey)).tolist() == kept
    cut_out = np.concatenate([np.full((1, 4, 3), 255, np.uint8), grey[..., None]], axis=2)
    assert read_mask(saved(tmp_path / "alpha.png", cut_out)).tolist() == kept
    opaque = np.concatenate([np.repeat(grey[..., None], 3, 2), np.full((1, 4, 1), 255, np.uint8)], axis=2)
    assert read_mask(saved(tmp_path / "opaque.png", opaque)).tolist() == kept


def test_empty_means_transparent(tmp_path: Path) -> None:
    mask = np.zeros((24, 32), np.uint8)
    mask[:, :16] = 255
    shown = view(tmp_path, mask=saved(tmp_path / "m.png", mask))
    target = load_pyramid(shown, 32, MapSelection("empty")).full
    assert target.mask is None and target.image.shape == (24, 32, 4)
    assert (target.image[:, :16] == [200, 200, 200, 255]).all() and not target.image[:, 16:, 3].any()
    half_clear = np.concatenate([IMAGE, np.full((24, 32, 1), 100, np.uint8)], axis=2)
    target = load_pyramid(view(tmp_path, half_clear, mask=tmp_path / "m.png"), 32, MapSelection("empty")).full
    assert (target.image[:, :16, 3] == 100).all() and not target.image[:, 16:, 3].any()


@pytest.mark.parametrize("meaning", ["ignore", "empty"])
def test_a_mask_goes_through_the_lens_with_its_photo(tmp_path: Path, meaning: str) -> None:
    """A dark disk in the photo and a mask that hides it: after undistortion no dark pixel is left to learn from."""
    y, x = np.mgrid[:120, :160]
    disk = (x - 125) ** 2 + (y - 30) ** 2 < 15**2
    image = np.where(disk[..., None], 20, 200).astype(np.uint8).repeat(3, 2)
    mask = np.where((x - 125) ** 2 + (y - 30) ** 2 < 17**2, 0, 255).astype(np.uint8)
    shown = view(tmp_path, image, mask=saved(tmp_path / "m.png", mask))
    shown = replace(shown, camera=replace(shown.camera, fl_x=140.0, fl_y=140.0, distortion=(-0.2, 0.05)))
    target = load_pyramid(shown, 160, MapSelection(meaning)).full  # type: ignore[arg-type]
    seen = target.mask == 255 if target.mask is not None else target.image[..., 3] > 250
    assert 0.9 < seen.mean() < 0.99 and target.image[..., 0][seen].min() > 150 and target.image[..., 0][~seen].min() < 60


@pytest.mark.parametrize("kind, file, content, sentence", [
    ("mask", "m.png", b"no image", "m.png"), ("depth", "d.npy", b"no array", "d.npy is damaged"),
    ("depth", "d.png", b"\x89PNG\r\n\x1a\n", "d.png"),
    ("depth", "d.npy", None, "d.npy"), ("normals", "n.npy", np.zeros((24, 32), np.float32), "n.npy holds float32"),
    ("depth", "d.npy", np.array(["a", "b"]), "d.npy is damaged"), ("depth", "d.npy", np.zeros((10, 32), np.float32), "d.npy is 32 x 10"),
    ("mask", "m.png", np.zeros((24, 30), np.uint8), "m.png is 30 x 24"),
])
def test_bad_maps_are_one_sentence(tmp_path: Path, kind: str, file: str, content: bytes | np.ndarray | None, sentence: str) -> None:
    path = tmp_path / file
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        saved(path, content)
    with pytest.raises(UserError, match=sentence) as caught:
        load_pyramid(view(tmp_path, **{kind: path}), 32, ALL)
    assert caught.value.hint


def test_pickles_in_depth_files_are_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "d.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"d\.npy is damaged"):
        read_depth(path)


def test_depth_behind_a_distorted_lens_is_refused(tmp_path: Path) -> None:
    shown = view(tmp_path, depth=saved(tmp_path / "d.npy", np.ones((24, 32), np.float32)))
    shown = replace(shown, camera=replace(shown.camera, distortion=(0.1,)))
    with pytest.raises(UserError, match="distorted"):
        load_pyramid(shown, 32, ALL)
    load_pyramid(shown, 32)


def test_transforms_json_names_the_maps(tmp_path: Path) -> None:
    shown = view(tmp_path, mask=tmp_path / "masks" / "a.png", depth=tmp_path / "depth" / "a.npy", normals=tmp_path / "normals" / "a.npy")
    shown = replace(shown, camera=replace(shown.camera, camera_to_world=look_at(np.array([1.0, 2.0, 3.0]))))
    for path in (shown.mask, shown.depth, shown.normals):
        assert path
        path.parent.mkdir(exist_ok=True)
        path.touch()
    write_transforms(Dataset(tmp_path, (shown,)))
    found = read_transforms(tmp_path).views[0]
    assert (found.mask, found.depth, found.normals) == (shown.mask, shown.depth, shown.normals)


def test_settings_decide_what_is_read() -> None:
    assert selected_maps(TrainConfig()) == MapSelection()
    assert selected_maps(TrainConfig(depth_weight=0.1, mask_meaning="empty")) == MapSelection("empty", depth=True)


def test_what_settings_and_datasets_cannot_do_is_said_before_training(tmp_path: Path) -> None:
    dataset = write_ball_dataset(tmp_path / "data", views=4, size=16)
    flat = replace(dataset, views=tuple(replace(view, camera=replace(view.camera, orthographic=True)) for view in dataset.views))
    with pytest.raises(UserError, match="orthographic"):
        check_demands(TrainConfig(), flat, "cpu")
    for setting in ("depth_weight", "normal_weight"):
        with pytest.raises(UserError, match="maps") as caught:
            run(make_job(tmp_path / setting, dataset.folder, backend="cpu", **{setting: 0.1}))
        assert setting in caught.value.hint
    for setting, views in (("lr_exposure", 1), ("lr_poses", 2)):
        few = replace(dataset, views=dataset.train_views[:views])
        with pytest.raises(UserError, match=f"{views} photos"):
            check_demands(TrainConfig(**{setting: 0.1}), few, "cpu")
    check_demands(TrainConfig(lr_poses=0.1, needle_weight=1.0), dataset, "cpu")


def test_maps_of_every_image_are_learned_from(tmp_path: Path) -> None:
    shown = view(tmp_path, depth=tmp_path / "a.npy", normals=tmp_path / "b.npy")
    mapped, half = (Dataset(tmp_path, views) for views in ((shown, shown), (shown, replace(shown, depth=None))))
    found = guided(TrainConfig(), mapped)
    assert found.depth_weight > 0 and found.normal_weight > 0 and found.alpha_weight > 0
    assert guided(TrainConfig(), half).depth_weight == 0 and guided(TrainConfig(), half).normal_weight > 0
    assert guided(TrainConfig(depth_weight=3.0), mapped).depth_weight == 3.0
    distorted = replace(shown, camera=replace(shown.camera, distortion=(0.1, 0.0)))
    for settings, dataset in ((TrainConfig(guides=False), mapped), (TrainConfig(), Dataset(tmp_path, (distorted,)))):
        assert guided(settings, dataset) == replace(settings, guides=False)
    assert guided(found, mapped) == found, "decided once"


def test_what_masks_call_empty_becomes_empty(tmp_path: Path) -> None:
    """The ball before a bright wall in every photo, and start points in mid air: masks of the ball keep the rest free."""
    folder = write_ball_dataset(tmp_path / "data", views=10, size=32, alpha=True).folder
    for path in (folder / "images").iterdir():
        image = read_image(path)
        saved(folder / "masks" / path.name, np.where(image[..., 3] > 128, 255, 0).astype(np.uint8))
        write_png(path, np.where(image[..., 3:] > 128, image[..., :3], 230))
    dataset = read_transforms(folder)
    write_transforms(replace(dataset, views=tuple(replace(view, mask=folder / "masks" / view.image.name) for view in dataset.views)))
    outside = []
    for meaning in ("ignore", "empty"):
        job = make_job(tmp_path / meaning, folder, max_steps=300, mask_meaning=meaning, backend="cpu", max_gaussians=900, resolution=32)
        events = run(job)
        model = create_model(read_ply(job.result).gaussians, TrainConfig())
        alphas = [model.render(pyramid.full.camera, 0, (0.0, 0.0, 0.0)).alpha[pyramid.full.mask == 0]
                  for pyramid in load_targets(read_transforms(folder).views, 32)]
        model.close()
        outside.append(np.concatenate(alphas).mean())
        assert finished(events).psnr > 20
    assert outside[1] < 0.1 and outside[1] < 0.5 * outside[0]
