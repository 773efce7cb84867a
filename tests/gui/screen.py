"""What an X server shows, read from the XWD file that Xvfb keeps of its screen (X11/XWDFile.h, version 7)."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

VERSION = 7
COLOUR_BYTES = 12


def decode_xwd(data: bytes) -> np.ndarray:
    """uint8 [H, W, 3] of a true-colour screen with 32 bits a pixel."""
    header = struct.unpack(">20I", data[:80])
    size, version, width, height, byte_order = (header[index] for index in (0, 1, 4, 5, 7))
    bits, stride, masks, colours = header[11], header[12], header[14:17], header[19]
    if version != VERSION or bits != 32:
        raise ValueError(f"an XWD file of version {version} with {bits} bits a pixel is not read here")
    start = size + colours * COLOUR_BYTES
    rows = np.frombuffer(data, np.uint8, height * stride, start).reshape(height, stride)[:, : width * 4]
    words = np.ascontiguousarray(rows).view(">u4" if byte_order else "<u4")
    return np.stack([(words & mask) >> _shift(mask) for mask in masks], axis=2).astype(np.uint8)


def _shift(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def read_screen(framebuffer: Path) -> np.ndarray:
    """The picture of a file below Xvfb's -fbdir."""
    return decode_xwd(framebuffer.read_bytes())
