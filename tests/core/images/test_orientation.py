"""EXIF's orientation, as Pillow reads and applies it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from engine.core.images.orientation import as_seen, orientation, upright

PIXELS = np.random.default_rng(0).integers(0, 255, (6, 9, 3), dtype=np.uint8)


def saved(path: Path, turn: int) -> Path:
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(PIXELS).save(path, **({"tiffinfo": {0x0112: turn}} if path.suffix == ".tif" else {"exif": exif}))
    return path


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_every_kind_of_file(tmp_path: Path, ending: str, turn: int) -> None:
    assert orientation(saved(tmp_path / f"a.{ending}", turn)) == turn


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_turn(tmp_path: Path, turn: int) -> None:
    with Image.open(saved(tmp_path / "a.png", turn)) as image:
        assert np.array_equal(upright(PIXELS, turn), np.asarray(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize("turn, size, turned", [
    (6, (6, 9), True), (6, (9, 6), False), (8, (12, 18), True), (3, (9, 6), False), (1, (6, 9), False), (6, (7, 7), False),
    (6, (6, 12), False),
])
def test_turned_only_where_the_size_fits_so(tmp_path: Path, turn: int, size: tuple[int, int], turned: bool) -> None:
    seen = as_seen(PIXELS, *size, saved(tmp_path / "a.jpg", turn))
    assert np.array_equal(seen, upright(PIXELS, turn) if turned else PIXELS)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe1\0\x10Exif\0\0II*\0", b"II*\0\xff\xff\xff\xff", b"RIFF\0\0\0\0WEBP",
                                  b"\x89PNG\r\n\x1a\n\0\0", b"text"], ids=repr)
def test_damaged_files_are_upright(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    assert orientation(tmp_path / "a") == 1 and orientation(tmp_path / "gone") == 1
