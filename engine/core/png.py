"""PNG without any package: what Blender renders (8 bits, grey, RGB, RGBA, palette), and writing RGB and RGBA."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .errors import UserError
from .files import replacing

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6

Unfilter = Callable[[np.ndarray, int, int, int], np.ndarray]
"""(raw bytes, height, stride, bytes per pixel) -> [height, stride] uint8. The kernels have a fast one."""


def decode_png(data: bytes, unfilter: Unfilter | None = None) -> np.ndarray:
    """PNG bytes -> uint8 [H, W, 3] or [H, W, 4]. 16-bit values keep their high byte.

    ValueError for what is damaged, UserError for what is a valid PNG of a kind that is not read here.
    """
    if not data.startswith(SIGNATURE):
        raise ValueError("not a PNG")
    header, palette, transparency, packed = _chunks(data)
    width, height, depth, kind, _, _, interlace = header
    if interlace or depth not in (8, 16) or kind not in CHANNELS or (kind == PALETTE and depth != 8):
        raise UserError("This kind of PNG (interlaced, or fewer than 8 bits) is not read by the built-in engine.", "Save it again as a plain 8-bit PNG.")
    wide = depth // 8
    stride = width * CHANNELS[kind] * wide
    raw = np.frombuffer(zlib.decompress(packed), np.uint8)
    if raw.size != height * (stride + 1):
        raise ValueError("the pixels are cut off")
    pixels = (unfilter or unfilter_rows)(raw, height, stride, CHANNELS[kind] * wide)
    pixels = pixels.reshape(height, width, CHANNELS[kind], wide)[..., 0]
    return _to_rgb(pixels, kind, palette, transparency)


def encode_png(image: np.ndarray) -> bytes:
    """uint8 [H, W, 3 or 4] -> PNG bytes."""
    height, width, channels = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, {3: RGB, 4: RGBA}[channels], 0, 0, 0)
    rows = np.zeros((height, 1 + width * channels), np.uint8)
    rows[:, 1:] = np.ascontiguousarray(image).reshape(height, -1)
    rows[1:, 1:] -= rows[:-1, 1:].copy()
    rows[1:, 0] = 2  # every row but the first as the difference to the one above
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return SIGNATURE + b"".join(struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write uint8 [H, W, 3 or 4] in one piece."""
    with replacing(path) as temporary:
        temporary.write_bytes(encode_png(image))


def _chunks(data: bytes) -> tuple[tuple[int, ...], bytes, bytes, bytes]:
    header, palette, transparency, packed, offset = None, b"", b"", [], len(SIGNATURE)
    while offset + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, offset)
        body = data[offset + 8 : offset + 8 + length]
        if len(body) < length or data[offset + 8 + length : offset + 12 + length] != struct.pack(">I", zlib.crc32(name + body)):
            raise ValueError("the file is damaged")
        offset += 12 + length
        match name:
            case b"IHDR":
                header = struct.unpack(">IIBBBBB", body)
            case b"PLTE":
                palette = body
            case b"tRNS":
                transparency = body
            case b"IDAT":
                packed.append(body)
            case b"IEND":
                break
    if header is None or not packed or 0 in header[:2]:
        raise ValueError("the file is cut off")
    return header, palette, transparency, b"".join(packed)


def _to_rgb(pixels: np.ndarray, kind: int, palette: bytes, transparency: bytes) -> np.ndarray:
    """Any colour type -> RGB or RGBA."""
    if kind == PALETTE:
        table = np.zeros((256, 3), np.uint8)
        colors = np.frombuffer(palette, np.uint8).reshape(-1, 3)
        table[: len(colors)] = colors
        rgb = table[pixels[..., 0]]
        if not transparency:
            return rgb
        alpha = np.full(256, 255, np.uint8)
        alpha[: len(transparency)] = np.frombuffer(transparency, np.uint8)
        return np.concatenate([rgb, alpha[pixels]], axis=2)
    if kind == GREY:
        return np.repeat(pixels, 3, axis=2)
    if kind == GREY_ALPHA:
        return np.concatenate([np.repeat(pixels[..., :1], 3, axis=2), pixels[..., 1:]], axis=2)
    return np.ascontiguousarray(pixels)


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
    """Average (3) and Paeth (4), where each byte depends on the one before."""
    out = [0] * len(line)
    for i, value in enumerate(line):
        left = out[i - pixel] if i >= pixel else 0
        up, corner = above[i], above[i - pixel] if i >= pixel else 0
        out[i] = (value + ((left + up) // 2 if kind == 3 else _paeth(left, up, corner))) & 255
    return out


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    a, b, c = abs(guess - left), abs(guess - up), abs(guess - corner)
    return left if a <= b and a <= c else up if b <= c else corner
