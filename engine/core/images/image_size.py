"""The size of an image, from its header alone."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from ..confinement import admitted
from .openimageio import size_of

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""JPEG segments that tell the size (ITU T.81, table B.1: SOF0 to SOF15)."""


def image_size(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels as stored (no EXIF turn is applied): of PNG and JPEG, and of what OpenImageIO reads where it is there.

    None for a file of another kind, damaged or not there.
    """
    try:
        with open(admitted(path), "rb") as file:
            head = file.read(24)
            if head.startswith(PNG) and head[12:16] == b"IHDR":
                return struct.unpack(">II", head[16:24])
            return _jpeg_size(file) if head.startswith(JPEG) else size_of(path)
    except (OSError, struct.error):
        return None


def _jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    """Walk over the segments to the first frame header."""
    file.seek(2)
    while True:
        marker, kind, length = struct.unpack(">BBH", file.read(4))
        if marker != 0xFF or length < 2:
            return None
        if kind in FRAMES:
            _, height, width = struct.unpack(">BHH", file.read(5))
            return width, height
        file.seek(length - 2, 1)
