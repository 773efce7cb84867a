"""Sizes from headers alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from engine.core.images.image_size import image_size


@pytest.mark.parametrize("name, options", [
    ("a.png", {}), ("a.jpg", {}), ("b.jpg", {"progressive": True}), ("c.jpg", {"comment": b"x" * 40_000, "quality": 5}),
])
def test_png_and_jpeg(tmp_path: Path, name: str, options: dict) -> None:
    Image.new("RGB", (37, 21)).save(tmp_path / name, **options)
    assert image_size(tmp_path / name) == (37, 21)


def test_exif_turns_are_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    Image.new("RGB", (37, 21)).save(tmp_path / "a.jpg", exif=exif)
    assert image_size(tmp_path / "a.jpg") == (37, 21)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\0\0", b"\x89PNG\r\n\x1a\n", b"hello " * 9])
def test_none_for_anything_else(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    assert image_size(tmp_path / "a") is None
    assert image_size(tmp_path / "missing") is None
