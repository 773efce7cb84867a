"""Reads what Blender renders into an uncompressed multilayer EXR. Blender's Python cannot reach render passes otherwise."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from ..engine.core.errors import UserError

MAGIC = b"v/1\x01"
_TYPES = {0: "<u4", 1: "<f2", 2: "<f4"}


def read_exr(path: Path) -> dict[str, np.ndarray]:
    """Channels by name, each [H, W]. Only single-part, uncompressed scanline files."""
    data = path.read_bytes()
    if data[:4] != MAGIC:
        raise UserError(f"{path} is not an EXR file.", "Render again.")
    attributes, start = _header(data)
    if attributes["compression"] != b"\0":
        raise UserError(f"{path} is compressed, which is not supported here.", "Save it with the codec None.")
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    line = np.dtype([("y", "<i4"), ("size", "<i4"), *((name, kind, (width,)) for name, kind in _channels(attributes["channels"]))])
    lines = np.frombuffer(data, line, count=height, offset=start + 8 * height)
    return {name: lines[name] for name in line.names[2:]}


def _header(data: bytes) -> tuple[dict[str, bytes], int]:
    """Attributes by name, and where the offset table starts."""
    attributes, position = {}, 8
    while data[position]:
        name, position = _text(data, position)
        _, position = _text(data, position)
        size = struct.unpack_from("<i", data, position)[0]
        attributes[name] = data[position + 4:position + 4 + size]
        position += 4 + size
    return attributes, position + 1


def _channels(data: bytes) -> list[tuple[str, str]]:
    """Name and numpy type of each channel, in the order of the file."""
    channels, position = [], 0
    while data[position]:
        name, position = _text(data, position)
        channels.append((name, _TYPES[struct.unpack_from("<i", data, position)[0]]))
        position += 16
    return channels


def _text(data: bytes, position: int) -> tuple[str, int]:
    end = data.index(b"\0", position)
    return data[position:end].decode("utf-8", "replace"), end + 1
