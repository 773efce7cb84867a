"""How a photo is to be turned to stand upright, by its EXIF."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..confinement import admitted
from .image_size import JPEG, PNG

EXIF = b"Exif\0\0"
TIFF = (b"II*\0", b"MM\0*")
TAG = 0x0112
UPRIGHT = 1
LYING = frozenset({5, 6, 7, 8})
"""Orientations that exchange width and height."""


def orientation(path: Path) -> int:
    """EXIF's orientation, 1 to 8; 1 (upright) for a file that names none, of another kind than JPEG, PNG, TIFF and WebP, or unreadable.

    EXIF 2.32, 4.6.2; PNG's chunk eXIf; TIFF 6.0, section 2; WebP's chunk EXIF.
    """
    with suppress(OSError, struct.error), open(admitted(path), "rb") as file:
        return next(filter(None, map(_in_tiff, _exif_of(file))), UPRIGHT)
    return UPRIGHT


def _exif_of(file: BinaryIO) -> Iterator[bytes]:
    """The TIFF data in a file that may name an orientation."""
    head = file.read(12)
    if head.startswith(JPEG):
        yield from _jpeg_exif(file)
    elif head.startswith(PNG):
        yield from _png_exif(file)
    elif head[:4] in TIFF:
        yield head + file.read()
    elif head[:4] == b"RIFF" and head[8:] == b"WEBP":
        yield from _webp_exif(file)


def upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    """Pixels [H, W, ...] as stored -> as EXIF's orientation 1 to 8 shows them."""
    if turn in LYING:
        pixels = pixels.swapaxes(0, 1)
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def same_shape(width: int, height: int, other_width: int, other_height: int) -> bool:
    """Whether two sizes have the same proportions, to a pixel of the first."""
    return (abs(width * other_height / other_width - height) <= 1
            or abs(height * other_width / other_height - width) <= 1)


def as_seen(pixels: np.ndarray, width: int, height: int, photo: Path) -> np.ndarray:
    """Pixels [H, W, ...] of a photo or a map of it, turned as its EXIF says where they have the shape of its camera only then."""
    rows, columns = pixels.shape[:2]
    if same_shape(columns, rows, width, height) or not same_shape(rows, columns, width, height):
        return pixels
    turn = orientation(photo)
    return upright(pixels, turn) if turn in LYING else pixels


def _jpeg_exif(file: BinaryIO) -> Iterator[bytes]:
    """TIFF data of a JPEG's APP1 segments."""
    file.seek(2)
    while True:
        marker, kind, length = struct.unpack(">BBH", file.read(4))
        if marker != 0xFF or kind == 0xDA or length < 2:
            return
        body = file.read(length - 2)
        if kind == 0xE1 and body.startswith(EXIF):
            yield body[len(EXIF) :]


def _png_exif(file: BinaryIO) -> Iterator[bytes]:
    file.seek(len(PNG))
    while True:
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"IEND":
            return
        if kind == b"eXIf":
            yield file.read(length)
            return
        file.seek(length + 4, 1)


def _webp_exif(file: BinaryIO) -> Iterator[bytes]:
    while True:
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind == b"EXIF":
            yield file.read(length).removeprefix(EXIF)
            return
        file.seek(length + length % 2, 1)


def _in_tiff(data: bytes) -> int:
    """The orientation in the first directory of TIFF data; 0 where it names none."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return 0
    (offset,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, offset)
    for entry in range(count):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", data, offset + 2 + 12 * entry)
        if tag == TAG and kind == 3:
            return _valid(value)
    return 0


def _valid(value: int) -> int:
    return value if 1 <= value <= 8 else UPRIGHT
