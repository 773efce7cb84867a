"""Masks found by the names of their photos, for every reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.datasets.mask_search import find_masks
from tests.core.datasets.test_photo_search import put


@pytest.mark.parametrize("folder", ["masks", "mask", "Masks"])
@pytest.mark.parametrize("mask", ["a.png", "a.jpg.png", "a.jpg", "a.jpg.mask.png", "A.PNG", "a.mask.png", "a_mask.png", "a.JPG.PNG"])
def test_how_masks_are_called(tmp_path: Path, folder: str, mask: str) -> None:
    put(tmp_path, "images/a.jpg", "images/b.jpg", f"{folder}/{mask}")
    found = find_masks(tmp_path, [tmp_path / "images/a.jpg", tmp_path / "images/b.jpg"])
    assert found.paths == {tmp_path / "images/a.jpg": tmp_path / folder / mask} and not found.unfit


@pytest.mark.parametrize("photo, mask", [
    ("images/left/a.jpg", "masks/left/a.png"), ("images/left/a.jpg", "images/left/masks/a.png"), ("left/a.jpg", "masks/a.png"),
    ("dense/0/images/a.jpg", "dense/0/masks/a.jpg.png"), ("a.jpg", "masks/a.png"), ("images/a.jpg", "images/mask/a.png"),
])
def test_where_masks_lie(tmp_path: Path, photo: str, mask: str) -> None:
    put(tmp_path, photo, mask, "masks/other/a.png")
    assert find_masks(tmp_path, [tmp_path / photo]).paths == {tmp_path / photo: tmp_path / mask}


def test_the_nearest_and_the_most_exact_counts(tmp_path: Path) -> None:
    put(tmp_path, "images/a.jpg", "masks/a.png", "masks/a.jpg.png", "images/masks/a.png")
    assert find_masks(tmp_path, [tmp_path / "images/a.jpg"]).paths[tmp_path / "images/a.jpg"] == tmp_path / "images/masks/a.png"
    (tmp_path / "images/masks/a.png").unlink()
    assert find_masks(tmp_path, [tmp_path / "images/a.jpg"]).paths[tmp_path / "images/a.jpg"] == tmp_path / "masks/a.jpg.png"


def test_a_mask_that_two_photos_of_one_name_could_have_is_none(tmp_path: Path) -> None:
    photos = [put(tmp_path, f"images/{side}/a.jpg") / f"images/{side}/a.jpg" for side in ("left", "right")]
    put(tmp_path, "masks/a.png")
    assert not find_masks(tmp_path, photos).paths


def test_masks_of_which_none_fits_are_said(tmp_path: Path) -> None:
    put(tmp_path, "images/a.jpg", "masks/m_01.png", "masks/m_02.png")
    found = find_masks(tmp_path, [tmp_path / "images/a.jpg"])
    assert found.unfit == (f"None of the 2 files in {tmp_path / 'masks'} is named like an image: it holds m_01.png, m_02.png; "
                           "the mask of a.jpg is looked for as a.png, a.jpg.png, a.jpg and a.jpg.mask.png")
    assert found.notes[0].part == "mask" and not find_masks(put(tmp_path / "without", "a.jpg"), [tmp_path / "without/a.jpg"]).notes


def test_photos_outside_of_the_folder(tmp_path: Path) -> None:
    put(tmp_path, "photos/a.jpg", "photos/masks/a.png", "dataset/x.txt")
    photo = tmp_path / "photos/a.jpg"
    assert find_masks(tmp_path / "dataset", [photo]).paths == {photo: tmp_path / "photos/masks/a.png"}
