"""Photos as files: turns, bit depths, colour spaces, transparency, EXIF, masks."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.core.errors import UserError
from engine.sfm.photos import find_photos, open_mask, open_photo
from tests.sfm.photo_scene import save


def picture(width: int = 40, height: int = 24) -> np.ndarray:
    """Smooth colours, another one in each corner: uint8 [H, W, 3]."""
    v, u = np.mgrid[:height, :width]
    return np.stack([u * 255 / width, v * 255 / height, 255 - u * 255 / width], axis=2).astype(np.uint8)


def exif(**values: object) -> Image.Exif:
    """EXIF with the tags that are named as in the standard."""
    made = Image.Exif()
    for name, value in values.items():
        tag = {"Orientation": 0x0112, "Make": 0x010F, "Model": 0x0110, "FocalLength": 0x920A, "FocalLengthIn35mmFilm": 0xA405}[name]
        (made if tag < 0x9000 else made.get_ifd(0x8769))[tag] = value
    return made


@pytest.mark.parametrize(("orientation", "stored"), [
    (1, lambda p: p), (2, np.fliplr), (3, lambda p: np.rot90(p, 2)), (4, np.flipud), (5, lambda p: p.transpose(1, 0, 2)),
    (6, lambda p: np.rot90(p, 1)), (7, lambda p: np.rot90(p, 2).transpose(1, 0, 2)), (8, lambda p: np.rot90(p, -1)),
])
def test_photos_are_read_upright(tmp_path: Path, orientation: int, stored: object) -> None:
    save(tmp_path / "a.png", np.ascontiguousarray(stored(picture())), exif=exif(Orientation=orientation))  # type: ignore[operator]
    [photo], _ = find_photos(tmp_path)
    assert (photo.width, photo.height) == (40, 24)
    assert np.array_equal(np.asarray(open_photo(photo.path)), picture())


@pytest.mark.parametrize(("mode", "expected"), [
    ("L", "RGB"), ("P", "RGB"), ("CMYK", "RGB"), ("RGBA", "RGBA"), ("LA", "RGBA"), ("1", "RGB"),
])
def test_any_mode_becomes_eight_bits_of_colour(tmp_path: Path, mode: str, expected: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.fromarray(picture()).convert(mode).save(path)
    image = open_photo(path)
    assert image.mode == expected and image.size == (40, 24)


def test_sixteen_bits_keep_their_high_byte(tmp_path: Path) -> None:
    grey = picture()[..., 0]
    save(tmp_path / "deep.png", grey.astype(np.uint16) * 257)
    assert np.array_equal(np.asarray(open_photo(tmp_path / "deep.png"))[..., 1], grey)
    save(tmp_path / "float.tif", (grey / 255).astype(np.float32))
    assert np.array_equal(np.asarray(open_photo(tmp_path / "float.tif"))[..., 1], grey)


def profile(red: tuple[float, ...], green: tuple[float, ...], blue: tuple[float, ...]) -> bytes:
    """An ICC profile (version 2) of three primaries, XYZ under D50, and gamma 2.2."""
    def xyz(values: tuple[float, ...]) -> bytes:
        return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    text = b"Wide"
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(2.2 * 256)) + bytes(2)
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text) + 1) + text + bytes(80), b"wtpt": xyz((0.9642, 1.0, 0.8249)),
            b"rXYZ": xyz(red), b"gXYZ": xyz(green), b"bXYZ": xyz(blue), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve,
            b"cprt": b"text" + bytes(4) + b"free" + bytes(4)}
    table, body, offset = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = 132 + 12 * len(tags) + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ") + bytes(12) + b"acsp"
    return head.ljust(68, b"\0") + struct.pack(">iii", 63190, 65536, 54061) + bytes(48) + table + body


def test_colours_of_another_space_become_those_of_screens(tmp_path: Path) -> None:
    red, green, blue = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)  # sRGB's, under D50
    save(tmp_path / "swapped.png", picture(), icc_profile=profile(green, red, blue))
    seen = np.asarray(open_photo(tmp_path / "swapped.png"), int)
    assert np.abs(seen - picture()[..., [1, 0, 2]]).max() <= 12  # the curves differ near black
    save(tmp_path / "broken.png", picture(), icc_profile=b"no profile at all")
    assert np.array_equal(np.asarray(open_photo(tmp_path / "broken.png")), picture())


def test_exif_tells_lens_and_focal_length(tmp_path: Path) -> None:
    tags = exif(Make="Maker\0", Model="Model 3", FocalLength=4.2, FocalLengthIn35mmFilm=26)
    save(tmp_path / "a.jpg", picture(400, 300), exif=tags)
    save(tmp_path / "b.jpg", picture(400, 300), exif=exif(Make="Maker", Model="Model 3", FocalLength=6.0, FocalLengthIn35mmFilm=52))
    save(tmp_path / "c.jpg", picture(400, 300))
    (a, b, c), _ = find_photos(tmp_path)
    assert a.focal == pytest.approx(26 * 500 / 43.2666) and b.focal == pytest.approx(2 * a.focal) and c.focal is None
    assert len({a.lens, b.lens, c.lens}) == 3 and a.lens.startswith("Maker Model 3")


HEADS = [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"II*\0\x08\0\0\0", b"RIFF\x20\0\0\0WEBP"]


@pytest.mark.filterwarnings("ignore")
@given(st.binary(max_size=300), st.sampled_from(HEADS))
def test_any_bytes_are_a_photo_or_one_sentence(tmp_path_factory: pytest.TempPathFactory, data: bytes, head: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jpg"
    path.write_bytes(head + data)
    try:
        assert open_photo(path).mode in ("RGB", "RGBA")
    except UserError as error:
        assert error.message.endswith(".")


@given(st.integers(1, 20))
def test_a_jpeg_cut_anywhere_is_told(tmp_path_factory: pytest.TempPathFactory, twentieth: int) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole = save(folder / "whole.jpg", picture(200, 150)).read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) * twentieth // 21])
    with pytest.raises(UserError):
        open_photo(folder / "cut.jpg")


def test_masks_are_found_turned_and_refused(tmp_path: Path) -> None:
    mask = np.zeros((24, 40), np.uint8)
    mask[:, 20:] = 255
    save(tmp_path / "in" / "flat.png", picture())
    save(tmp_path / "in" / "masks" / "flat.png", mask)
    save(tmp_path / "in" / "turned.jpg", np.ascontiguousarray(np.rot90(picture())), exif=exif(Orientation=6))
    save(tmp_path / "in" / "masks" / "turned.jpg.png", np.ascontiguousarray(np.rot90(mask)))
    save(tmp_path / "in" / "wrong.png", picture())
    save(tmp_path / "in" / "masks" / "wrong.png", mask[:, :30])
    (flat, turned, wrong), _ = find_photos(tmp_path / "in")
    for photo in (flat, turned):
        assert np.array_equal(np.asarray(open_mask(photo, (40, 24))), mask), photo.name
        assert open_mask(photo, (20, 12)).size == (20, 12)
    with pytest.raises(UserError, match=r"wrong\.png is 30 x 24 pixels, the photo 40 x 24"):
        open_mask(wrong, (40, 24))
