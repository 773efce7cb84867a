"""PNG: the same pixels as Pillow's, both ways; damaged and rare files are refused in plain words."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from engine.core.errors import UserError
from engine.core.images.png import GREY, PALETTE, RGB, RGBA, SIGNATURE, decode_png, encode_png, unfilter_rows, write_png
from engine.training.cpu.library import png_unfilter

SIDES = st.integers(1, 13)
IMAGES = st.tuples(SIDES, SIDES, st.sampled_from([1, 3, 4])).flatmap(lambda shape: arrays(np.uint8, shape))


def with_pillow(data: bytes, mode: str = "") -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert(mode) if mode else image)


def written_by_pillow(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_of(rows: np.ndarray, width: int, kind: int, depth: int = 8, interlaced: int = 0, extra: bytes = b"") -> bytes:
    """A file of filtered rows [H, 1 + stride]."""
    header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, interlaced)
    return SIGNATURE + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b"")


def photo(width: int = 61, height: int = 47) -> np.ndarray:
    """uint8 [H, W, 4] with smooth parts and noise, so that writers choose every filter."""
    y, x = np.mgrid[:height, :width] / 20
    smooth = np.stack([np.sin(x + y), np.cos(x * y), x / 3 - y, np.sin(3 * x)], axis=2) * 100 + 128
    return (smooth + np.random.default_rng(1).normal(0, 4, smooth.shape) * (x[..., None] > 1.5)).clip(0, 255).astype(np.uint8)


@given(IMAGES)
def test_round_trip_and_pillow_reads_the_same(image: np.ndarray) -> None:
    data = encode_png(image)
    expected = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    assert np.array_equal(decode_png(data), expected)
    assert np.array_equal(with_pillow(data), image[..., 0] if image.shape[2] == 1 else image)


@pytest.mark.parametrize("unfilter", [None, png_unfilter], ids=["python", "kernel"])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_reads_what_pillow_writes(mode: str, level: int, unfilter) -> None:
    data = written_by_pillow(Image.fromarray(photo()).convert(mode), compress_level=level)
    assert np.array_equal(decode_png(data, unfilter), with_pillow(data, "RGBA" if "A" in mode else "RGB"))


@given(st.data(), st.integers(1, 9), st.integers(1, 7), st.sampled_from([(GREY, 8, 1), (RGB, 8, 3), (RGBA, 8, 4)]))
def test_every_filter_as_in_pillow(data: st.DataObject, width: int, height: int, kind: tuple[int, int, int]) -> None:
    rows = data.draw(arrays(np.uint8, (height, 1 + width * kind[2])))
    rows[:, 0] %= 5
    file = png_of(rows, width, *kind[:2])
    expected = with_pillow(file, "RGBA" if kind[0] == RGBA else "RGB")
    assert np.array_equal(decode_png(file), expected)
    assert np.array_equal(decode_png(file, png_unfilter), expected)


@given(st.data(), st.integers(1, 9), st.integers(1, 5), st.sampled_from([1, 2, 3, 4, 6, 8]))
def test_python_and_kernel_filters_agree(data: st.DataObject, width: int, height: int, pixel: int) -> None:
    rows = data.draw(arrays(np.uint8, (height, 1 + width * pixel)))
    rows[:, 0] %= 5
    raw, stride = rows.ravel(), width * pixel
    assert np.array_equal(unfilter_rows(raw, height, stride, pixel), png_unfilter(raw, height, stride, pixel))


@pytest.mark.parametrize("transparent", [False, True])
def test_palette(transparent: bool) -> None:
    colors = Image.fromarray(photo()[..., :3]).quantize(200)
    data = written_by_pillow(colors, **({"transparency": bytes(range(0, 250, 5))} if transparent else {}))
    assert np.array_equal(decode_png(data), with_pillow(data, "RGBA" if transparent else "RGB"))


def test_transparent_colour() -> None:
    image = photo()[..., :3].copy()
    image[3:9, 4:20] = (1, 2, 3)
    data = written_by_pillow(Image.fromarray(image), transparency=(1, 2, 3))
    assert np.array_equal(decode_png(data), with_pillow(data, "RGBA"))
    assert (decode_png(data)[3:9, 4:20, 3] == 0).all()


@pytest.mark.parametrize("kind, channels", [(GREY, 1), (RGB, 3), (RGBA, 4)])
def test_sixteen_bits_keep_the_high_byte(kind: int, channels: int) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (5, 7 * channels)).astype(">u2")
    rows = np.concatenate([np.zeros((5, 1), np.uint8), values.view(np.uint8)], axis=1)
    expected = (values >> 8).astype(np.uint8).reshape(5, 7, channels)
    assert np.array_equal(decode_png(png_of(rows, 7, kind, 16)), np.repeat(expected, 3, axis=2) if kind == GREY else expected)


def test_rare_kinds_are_refused_by_name() -> None:
    rows = np.zeros((4, 5), np.uint8)
    with pytest.raises(UserError, match="Interlaced"):
        decode_png(png_of(rows, 4, GREY, interlaced=1))
    with pytest.raises(UserError, match="4 bits"):
        decode_png(png_of(rows[:, :3], 4, GREY, 4))


@pytest.mark.parametrize("file", [
    b"", SIGNATURE, b"\xff\xd8 no PNG at all", png_of(np.zeros((0, 5), np.uint8), 4, GREY), png_of(np.zeros((4, 4), np.uint8), 4, GREY),
    png_of(np.full((4, 5), 5, np.uint8), 4, GREY), png_of(np.zeros((4, 5), np.uint8), 4, 5), png_of(np.zeros((4, 5), np.uint8), 4, PALETTE),
    png_of(np.zeros((4, 5), np.uint8), 4, PALETTE, 16), png_of(np.zeros((2, 5), np.uint8), 1 << 30, GREY),
    png_of(np.zeros((4, 5), np.uint8), 4, GREY, extra=chunk(b"tRNS", b"x")),
], ids=["empty", "signature", "jpeg", "no rows", "short", "filter", "colour type", "no palette", "wide palette", "huge", "bad key"])
def test_damaged_files(file: bytes) -> None:
    with pytest.raises(ValueError):
        decode_png(file)


@settings(max_examples=300)
@given(st.binary(max_size=9), st.binary(max_size=9), st.binary(max_size=60), st.booleans(), st.data())
def test_no_damage_is_unforeseen(palette: bytes, transparency: bytes, pixels: bytes, packed: bool, data: st.DataObject) -> None:
    sides, depth, kind = [data.draw(st.integers(0, 5)) for _ in "wh"], data.draw(st.sampled_from([1, 8, 16])), data.draw(st.integers(0, 7))
    header = struct.pack(">IIBBBBB", *sides, depth, kind, 0, 0, data.draw(st.integers(0, 1)))[: data.draw(st.integers(11, 13))]
    body = zlib.compress(pixels) if packed else pixels
    file = SIGNATURE + b"".join(chunk(*part) for part in ((b"IHDR", header), (b"PLTE", palette), (b"tRNS", transparency), (b"IDAT", body)))
    with suppress(ValueError, UserError):
        assert decode_png(file).dtype == np.uint8


def test_every_cut_is_noticed_until_the_end_mark() -> None:
    file = encode_png(photo(9, 8))
    for cut in range(len(file) - 12):
        with pytest.raises(ValueError):
            decode_png(file[:cut])


@pytest.mark.parametrize("image", [np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 3))], ids=str)
def test_only_pictures_are_written(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        encode_png(image)


def test_writes_in_one_piece(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", photo()[..., 0])
    assert np.array_equal(with_pillow((tmp_path / "a.png").read_bytes()), photo()[..., 0])
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    with pytest.raises(UserError, match="cannot be reached"):
        write_png(tmp_path / "missing" / "a.png", photo())
