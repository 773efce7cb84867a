"""PNG without any package: reading and writing 8 and 16 bits, reading every colour type, writing grey, RGB and RGBA."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import replacing

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
AVERAGE, PAETH = 3, 4
LARGEST_SIDE = 1 << 16
"""Most pixels in a row; a header with more counts as damaged."""

EFFORT = 4
"""Of zlib, in whose usual 6 a photo takes three times as long and becomes 4 % smaller."""

MOST_PIXELS = 179_000_000
"""As Pillow has it; a file of some kilobytes can claim to hold any number."""

Unfilter = Callable[[np.ndarray, int, int, int], np.ndarray]
"""(raw bytes, height, stride, bytes per pixel) -> [height, stride] uint8. The kernels have a fast one."""


def decode_png(data: bytes, unfilter: Unfilter | None = None) -> np.ndarray:
    """PNG bytes -> uint8 [H, W, 3] or [H, W, 4]. 16-bit values keep their high byte.

    ValueError for what is damaged, UserError for what is a valid PNG of a kind that is not read here.
    """
    return _to_rgb(*_pixels(data, unfilter))


def decode_deep_png(data: bytes, unfilter: Unfilter | None = None) -> np.ndarray:
    """PNG bytes -> uint16 [H, W, channels as stored], as depth maps need; 8-bit values stay below 256. Errors as in decode_png."""
    pixels, _ = _pixels(data, unfilter)
    wide = pixels.astype(np.uint16)
    return wide[..., 0] if pixels.shape[3] == 1 else wide[..., 0] << 8 | wide[..., 1]


def decode_png_shares(data: bytes, unfilter: Unfilter | None = None) -> np.ndarray:
    """PNG bytes -> float32 [H, W, channels as stored] in 0 to 1, of the largest value that the bits hold. Errors as in decode_png."""
    pixels, file = _pixels(data, unfilter)
    wide = pixels.astype(np.float32)
    return wide[..., 0] / 255 if file.depth == 8 else (256 * wide[..., 0] + wide[..., 1]) / 65535


def _pixels(data: bytes, unfilter: Unfilter | None) -> tuple[np.ndarray, _PngFile]:
    """uint8 [H, W, channels, bytes of a channel], and what the file says about them."""
    file = _PngFile.parse(data)
    file.refuse_other_kinds()
    channels, wide = CHANNELS[file.kind], file.depth // 8
    stride = file.width * channels * wide
    raw = _inflated(file.packed, file.height * (stride + 1))
    rows = (unfilter or unfilter_rows)(raw, file.height, stride, channels * wide)
    return rows.reshape(file.height, file.width, channels, wide), file


def encode_png(image: np.ndarray) -> bytes:
    """uint8 or uint16 [H, W] or [H, W, 1, 3 or 4] -> PNG bytes."""
    image = np.ascontiguousarray(image if image.ndim == 3 else image[..., None])
    height, width, channels = image.shape
    if image.dtype not in (np.uint8, np.uint16) or not image.size or channels not in (1, 3, 4):
        raise ValueError(f"expected uint8 or uint16 [H, W, 1, 3 or 4], got {image.dtype} {image.shape}")
    header = struct.pack(">IIBBBBB", width, height, 8 * image.itemsize, {1: GREY, 3: RGB, 4: RGBA}[channels], 0, 0, 0)
    rows = np.zeros((height, 1 + width * channels * image.itemsize), np.uint8)
    rows[:, 1:] = image.astype(np.dtype(image.dtype).newbyteorder(">")).view(np.uint8).reshape(height, -1)
    rows[1:, 1:] -= rows[:-1, 1:].copy()
    rows[1:, 0] = 2  # every row but the first as the difference to the one above
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), EFFORT)), (b"IEND", b""))
    return SIGNATURE + b"".join(struct.pack(">I", len(body)) + name + body + _checksum(name, body) for name, body in parts)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write uint8 or uint16 [H, W] or [H, W, 1, 3 or 4] in one piece."""
    with replacing(path) as temporary:
        temporary.write_bytes(encode_png(image))


@dataclass(frozen=True)
class _PngFile:
    """The chunks of a PNG that matter."""

    width: int
    height: int
    depth: int
    kind: int
    interlaced: bool
    palette: np.ndarray  # [n, 3] uint8
    transparency: bytes
    packed: bytes

    @staticmethod
    def parse(data: bytes) -> _PngFile:
        if not data.startswith(SIGNATURE):
            raise ValueError("not a PNG")
        chunks: dict[bytes, bytes] = {}
        offset = len(SIGNATURE)
        while offset + 12 <= len(data) and b"IEND" not in chunks:
            length, name = struct.unpack_from(">I4s", data, offset)
            body = data[offset + 8 : offset + 8 + length]
            if data[offset + 8 + length : offset + 12 + length] != _checksum(name, body):
                raise ValueError("the file is damaged")
            chunks[name] = chunks.get(name, b"") + body if name == b"IDAT" else body
            offset += 12 + length
        return _PngFile._from_chunks(chunks)

    @staticmethod
    def _from_chunks(chunks: dict[bytes, bytes]) -> _PngFile:
        if len(chunks.get(b"IHDR", b"")) != 13 or b"IDAT" not in chunks:
            raise ValueError("the file is cut off")
        width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
        palette = np.frombuffer(chunks.get(b"PLTE", b""), np.uint8).reshape(-1, 3)
        possible = 0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE and kind in CHANNELS
        if not possible or len(palette) > 256 or (kind == PALETTE and depth == 16):
            raise ValueError("the header is damaged")
        if width * height > MOST_PIXELS:
            raise too_large()
        return _PngFile(width, height, depth, kind, bool(interlaced), palette, chunks.get(b"tRNS", b""), chunks[b"IDAT"])

    def refuse_other_kinds(self) -> None:
        if self.interlaced:
            raise UserError("Interlaced PNG is not read by the built-in engine.", "Save it again without interlacing (Adam7).",
                            "png.interlaced")
        if self.depth not in (8, 16):
            raise UserError(f"PNG with {self.depth} bits a channel is not read by the built-in engine.", "Save it again with 8 bits.",
                            "png.depth", bits=self.depth)


def too_large() -> UserError:
    """What is said of an image with more than MOST_PIXELS."""
    return UserError("The image is too large.", "Make it smaller than 170 million pixels.", "images.too_large")


def _checksum(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(body, zlib.crc32(name)))


def _inflated(packed: bytes, size: int) -> np.ndarray:
    """Exactly `size` bytes [size] uint8, never more memory than that; ValueError when the stream is damaged or holds fewer."""
    try:
        raw = zlib.decompressobj().decompress(packed, size)
    except zlib.error as error:
        raise ValueError("the pixels are damaged") from error
    if len(raw) != size:
        raise ValueError("the pixels are cut off")
    return np.frombuffer(raw, np.uint8)


def _to_rgb(pixels: np.ndarray, file: _PngFile) -> np.ndarray:
    """Pixels of any colour type uint8 [H, W, C, bytes] -> RGB or RGBA."""
    plain = pixels[..., 0]
    if file.kind == PALETTE:
        return _from_palette(plain[..., 0], file)
    if file.kind == GREY_ALPHA:
        return plain[..., [0, 0, 0, 1]]
    if file.kind == RGBA:
        return np.ascontiguousarray(plain)
    rgb = np.repeat(plain, 3, axis=2) if file.kind == GREY else plain
    return np.concatenate([rgb, _colour_key(pixels, file.transparency)], axis=2) if file.transparency else np.ascontiguousarray(rgb)


def _from_palette(indices: np.ndarray, file: _PngFile) -> np.ndarray:
    """Palette indices [H, W] -> RGB, or RGBA when the palette has transparent colours."""
    if indices.max() >= len(file.palette):
        raise ValueError("a pixel has a colour that the palette lacks")
    if not file.transparency:
        return file.palette[indices]
    alpha = np.full((len(file.palette), 1), 255, np.uint8)
    known = np.frombuffer(file.transparency[: len(alpha)], np.uint8)
    alpha[: len(known), 0] = known
    return np.concatenate([file.palette, alpha], axis=1)[indices]


def _colour_key(pixels: np.ndarray, key: bytes) -> np.ndarray:
    """Alpha [H, W, 1] of an image in which one exact colour (16 bits a channel in tRNS) stands for transparency."""
    _, _, channels, wide = pixels.shape
    if len(key) != 2 * channels:
        raise ValueError("the transparent colour is damaged")
    colour = np.frombuffer(key, np.uint8).reshape(channels, 2)[:, 2 - wide :]
    return np.where((pixels == colour).all(axis=(2, 3)), 0, 255).astype(np.uint8)[..., None]


def unfilter_rows(raw: np.ndarray, height: int, stride: int, pixel: int) -> np.ndarray:
    """Undo the PNG filters (PNG specification, section 9) row by row: slow for Average and Paeth, needs nothing."""
    rows = raw.reshape(height, stride + 1)
    out = np.zeros((height + 1, stride), np.uint8)
    for index, row in enumerate(rows):
        line, above = row[1:], out[index]
        match int(row[0]):
            case 0:
                out[index + 1] = line
            case 1:
                out[index + 1] = np.add.accumulate(line.reshape(-1, pixel), axis=0, dtype=np.uint8).reshape(-1)
            case 2:
                out[index + 1] = line + above
            case 3 | 4 as kind:
                out[index + 1] = _sequential(line.tolist(), above.tolist(), pixel, kind)
            case _:
                raise ValueError("a row has an unknown filter")
    return out[1:]


def _sequential(line: list[int], above: list[int], pixel: int, kind: int) -> list[int]:
    """Average and Paeth, where each byte depends on the one before."""
    out = [0] * len(line)
    for i, value in enumerate(line):
        left = out[i - pixel] if i >= pixel else 0
        up, corner = above[i], above[i - pixel] if i >= pixel else 0
        out[i] = (value + ((left + up) // 2 if kind == AVERAGE else _paeth(left, up, corner))) & 255
    return out


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    a, b, c = abs(guess - left), abs(guess - up), abs(guess - corner)
    return left if a <= b and a <= c else up if b <= c else corner
