"""The colour space that a PNG or JPEG says it is in, from its header alone."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..confinement import admitted
from .image_size import JPEG, PNG

LARGEST_HEADER = 4 << 20
ICC_MARK = b"ICC_PROFILE\0"
LINEAR = 100_000
"""Gamma 1 in the PNG chunk gAMA."""


def color_profile(path: Path) -> str:
    """Name of the colour space; empty when the file names none, names sRGB, or cannot be read.

    PNG specification 11.3.3 (gAMA, iCCP), ICC.1 annex B.4 (profiles in JPEG) and 9.2.41 (description of a profile).
    """
    try:
        with open(admitted(path), "rb") as file:
            head = file.read(8)
            if head.startswith(PNG):
                name = _from_png(file)
            else:
                name = _described(b"".join(_icc_parts(file))) if head.startswith(JPEG) else ""
    except (OSError, ValueError, struct.error, zlib.error):
        return ""
    return "" if "srgb" in name.lower().replace(" ", "") else name.strip()


def _from_png(file: BinaryIO) -> str:
    while True:
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"IDAT" or length > LARGEST_HEADER:
            return ""
        body = file.read(length + 4)
        if kind == b"iCCP":
            label, _, packed = body[:-4].partition(b"\0")
            return _described(zlib.decompressobj().decompress(packed[1:], LARGEST_HEADER)) or label.decode("latin-1")
        if kind == b"gAMA" and struct.unpack_from(">I", body)[0] == LINEAR:
            return "linear light"


def _icc_parts(file: BinaryIO) -> Iterator[bytes]:
    """The pieces of a profile in a JPEG's APP2 segments."""
    file.seek(2)
    while True:
        head = file.read(4)
        if len(head) < 4:
            return
        marker, kind, length = struct.unpack(">BBH", head)
        if marker != 0xFF or kind == 0xDA or length < 2:
            return
        body = file.read(length - 2)
        if kind == 0xE2 and body.startswith(ICC_MARK):
            yield body[len(ICC_MARK) + 2 :]


def _described(profile: bytes) -> str:
    """The description of an ICC profile; empty when it has none."""
    count = struct.unpack_from(">I", profile, 128)[0] if len(profile) > 132 else 0
    for index in range(min(count, 100)):
        name, offset, size = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        if name == b"desc":
            return _text(profile[offset : offset + size])
    return ""


def _text(tag: bytes) -> str:
    if tag.startswith(b"desc"):
        length = struct.unpack_from(">I", tag, 8)[0]
        return tag[12 : 12 + length].split(b"\0")[0].decode("latin-1")
    if tag.startswith(b"mluc"):
        length, offset = struct.unpack_from(">II", tag, 20)
        return tag[offset : offset + length].decode("utf-16-be", "replace")
    return ""
