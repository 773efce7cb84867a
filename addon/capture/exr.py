"""Reads what Blender renders into an uncompressed multilayer EXR. Blender's Python cannot reach render passes otherwise."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...engine.core.errors import UserError

MAGIC = b"v/1\x01"
MULTIPART = 0x1000
_TYPES = {0: "<u4", 1: "<f2", 2: "<f4"}


@dataclass(frozen=True)
class _Part:
    """One header: attributes by name, and the channels' names and numpy types in the order of the file."""

    attributes: dict[str, bytes]

    @property
    def size(self) -> tuple[int, int]:
        left, top, right, bottom = struct.unpack("<4i", self.attributes["dataWindow"])
        return right - left + 1, bottom - top + 1

    @property
    def channels(self) -> list[tuple[str, str]]:
        data, channels, position = self.attributes["channels"], [], 0
        while data[position]:
            name, position = _text(data, position)
            channels.append((name, _TYPES[struct.unpack_from("<i", data, position)[0]]))
            position += 16
        return channels


def read_channels(path: Path, prefix: str) -> dict[str, np.ndarray]:
    """Channels whose names start with `prefix`, each [H, W]. Only uncompressed scanlines, in one part or several."""
    data = path.read_bytes()
    if data[:4] != MAGIC:
        raise UserError(f"{path} is not an EXR file.", "Render again.", "exr.no_exr", path=path)
    multipart = bool(struct.unpack_from("<i", data, 4)[0] & MULTIPART)
    parts, position = _parts(data, multipart)
    found: dict[str, np.ndarray] = {}
    for part in parts:
        offsets = np.frombuffer(data, "<u8", part.size[1], position)
        position += offsets.nbytes
        if any(name.startswith(prefix) for name, _ in part.channels):
            found |= _read_part(data, part, offsets + (4 if multipart else 0))
    return {name: values for name, values in found.items() if name.startswith(prefix)}


def _read_part(data: bytes, part: _Part, offsets: np.ndarray) -> dict[str, np.ndarray]:
    """Every channel of a part, whose lines lie at `offsets` [H]: row number, byte count, then channel by channel."""
    if part.attributes["compression"] != b"\0":
        raise UserError("The EXR file is compressed, which is not supported here.", "Save it with the codec None.", "exr.compressed")
    line = np.dtype([(name, kind, (part.size[0],)) for name, kind in part.channels])
    lines = np.stack([np.frombuffer(data, line, 1, int(offset) + 8)[0] for offset in offsets])
    return {name: lines[name] for name, _ in part.channels}


def _parts(data: bytes, multipart: bool) -> tuple[list[_Part], int]:
    """Every header, and where the offset tables start."""
    attributes, position = _header(data, 8)
    parts = [_Part(attributes)]
    while multipart and data[position]:
        attributes, position = _header(data, position)
        parts.append(_Part(attributes))
    return parts, position + multipart


def _header(data: bytes, position: int) -> tuple[dict[str, bytes], int]:
    attributes: dict[str, bytes] = {}
    while data[position]:
        name, position = _text(data, position)
        _, position = _text(data, position)
        size = struct.unpack_from("<i", data, position)[0]
        attributes[name] = data[position + 4:position + 4 + size]
        position += 4 + size
    return attributes, position + 1


def _text(data: bytes, position: int) -> tuple[str, int]:
    end = data.index(b"\0", position)
    return data[position:end].decode("utf-8", "replace"), end + 1
