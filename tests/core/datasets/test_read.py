"""One door to every format; what is missing is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from engine.core.datasets.read import read_dataset
from engine.core.errors import UserError


def put(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith((".png", ".jpg")):
            Image.new("RGB", (4, 4)).save(folder / name)
        else:
            (folder / name).write_bytes(b"")
    return folder


@pytest.mark.parametrize("names, message", [
    ((), r"neither transforms\.json nor a COLMAP model"),
    (("notes.txt",), r"neither transforms\.json nor a COLMAP model"),
    (("images/a.png", "images/b.jpg"), "holds 2 images but no cameras"),
    (("a.jpg",), "holds 1 images but no cameras"),
    (("sparse/0/images.bin", "images/a.png"), r"The COLMAP model in .*0 lacks cameras\.bin"),
    (("sparse/cameras.txt",), r"The COLMAP model in .*sparse lacks images\.bin"),
    (("sparse/0/points3D.bin",), r"neither transforms\.json nor a COLMAP model"),
    (("transforms.json",), "not valid JSON"),
    (("sparse/0/images.bin", "sparse/0/cameras.bin"), r"images\.bin is cut off or damaged"),
], ids=str)
def test_what_is_missing_is_named(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_dataset(put(tmp_path, *names))
    assert caught.value.hint


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_dataset(tmp_path / "nothing")
    with pytest.raises(UserError, match="is a video") as caught:
        read_dataset(put(tmp_path, "a.MOV") / "a.MOV")
    assert "splatwright frames" in caught.value.hint
    with pytest.raises(UserError, match="is no dataset"):
        read_dataset(put(tmp_path, "a.png") / "a.png")
