"""Zstandard, by the package that Blender brings along; imported when it is needed, for not every Python has it."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from ..errors import UserError

WIDEST_WINDOW = 2**27
LEVEL = 5
"""Higher levels take several times as long for splats that are two percent smaller."""


def compress(data: bytes | memoryview) -> bytes:
    """One frame that names its size."""
    return _package().ZstdCompressor(level=LEVEL).compress(data)


def decompress(data: bytes | memoryview, size: int) -> np.ndarray | None:
    """Exactly `size` bytes [size] of one frame; None when it is damaged or holds another number. Never more memory than that."""
    package = _package()
    out = np.empty(size, np.uint8)
    filled = 0
    try:
        with package.ZstdDecompressor(max_window_size=WIDEST_WINDOW).stream_reader(data) as reader:
            while filled < size and (got := reader.readinto(out.data[filled:])):
                filled += got
            return out if filled == size and not reader.read(1) else None
    except package.ZstdError:
        return None


def _package() -> ModuleType:
    try:
        import zstandard
    except ImportError:
        raise UserError("This Python has no Zstandard, which SPZ version 4 is packed with.",
                        "Install the package zstandard, or use SPZ version 3 or PLY.", "spz.no_zstandard") from None
    return zstandard
