"""Where OpenImageIO is looked for, and what happens where it is not, or does not work."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.core.images import decoding, openimageio
from engine.core.images.decoding import decode, display_values
from engine.core.images.image_size import image_size


def package(folder: Path, text: str = "") -> Path:
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(text)
    return folder


@pytest.mark.parametrize("below", ["python/lib/site-packages", "python/lib/python3.13/site-packages"])
def test_found_in_blenders_layouts(tmp_path: Path, below: str) -> None:
    assert openimageio.packaged_folder(tmp_path) is None
    assert openimageio.packaged_folder(package(tmp_path / below / "OpenImageIO").parents[below.count("/") + 1]) is not None


def test_windows_is_told_where_the_libraries_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the layout of Blender's zip for Windows; a module elsewhere brings its own libraries."""
    told: list[str] = []
    monkeypatch.setattr(os, "add_dll_directory", told.append, raising=False)
    folder = package(tmp_path / "Blender 4.5" / "4.5" / "python" / "lib" / "site-packages" / "OpenImageIO")
    openimageio.register_libraries(folder)
    assert told == []
    (tmp_path / "Blender 4.5" / "blender.shared").mkdir()
    openimageio.register_libraries(folder)
    assert told == [str(tmp_path / "Blender 4.5" / "blender.shared")]


@pytest.mark.parametrize("text", ["import a_library_that_is_not_there", "raise OSError('wrong Python')"])
def test_one_that_does_not_work_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(openimageio.LIBRARY, str(package(tmp_path / "broken" / "OpenImageIO", text)))
    assert openimageio.openimageio() is None and "OpenImageIO" not in sys.modules
    (tmp_path / "a.tif").write_bytes(b"II*\0" * 9)
    assert decode(tmp_path / "a.tif") is None and image_size(tmp_path / "a.tif") is None


def test_linear_light_as_display_values() -> None:
    light = np.array([[0, 0.0021, 0.2140, 1.0, 7.5, np.nan, np.inf, -1]], np.float32)
    assert display_values(np.repeat(light[..., None], 3, axis=2))[0, :, 0].tolist() == [0, 7, 127, 255, 255, 0, 255, 0]
    premultiplied = np.array([[[0.5, 0.107, 0, 0.5], [0.3, 0.3, 0.3, 0]]], np.float32)
    assert display_values(premultiplied)[0].tolist() == [[255, 127, 0, 128], [149, 149, 149, 0]]


@pytest.mark.parametrize("names, alpha, expected", [
    ("R G B", -1, [0, 1, 2]), ("R G B A", 3, [0, 1, 2, 3]), ("Y", -1, [0, 0, 0]), ("Y A", 1, [0, 0, 0, 1]),
    ("Layer.Depth.Z Layer.Combined.A Layer.Combined.B Layer.Combined.G Layer.Combined.R", -1, [4, 3, 2, 1]), ("A", 0, [0, 0, 0, 0]),
])
def test_colours_by_the_names_of_channels(names: str, alpha: int, expected: list[int]) -> None:
    """Layers of an EXR lie in any order."""
    channels = names.split()
    pixels = np.tile(np.arange(len(channels), dtype=np.uint8), (2, 3, 1))
    assert decoding._color_and_alpha(pixels, channels, alpha)[1, 2].tolist() == expected
