"""The bytes of an SPZ file: header, extensions and six streams. Versions 1 to 3 are one stream in gzip, 4 has a Zstandard frame each.

The axes stand in an extension record, in version 3 after the streams and without the flag that announces extensions:
readers that know no records there pass over the bytes, but some of those that see the flag look for records elsewhere.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import disk_error, open_shared, replacing
from ..splats.axes import LETTERS
from . import zstd

MAGIC = b"NGSP"
GZIP = b"\x1f\x8b"
GZIP_LEVEL = 4
HEADER = struct.Struct("<4sIIBBBB")
TABLE = struct.Struct("<QQ")
HEADER_4 = 32
ANTIALIASED, EXTENDED = 1, 2
COORDINATE_SYSTEM = 0xADBE0003
COORDINATE_SYSTEMS = ("", "LDB", "RDB", "LUB", "RUB", "LDF", "RDF", "LUF", "RUF", "LFD", "RFD", "LFU", "RFU", "LBD", "RBD", "LBU", "RBU")
"""What the extension SPZ_ADOBE_coordinate_system numbers."""

MOST_FRACTIONAL_BITS = 24
LARGEST_RATIO = 1032
"""Deflate cannot shrink more; a Zstandard file that claims more is refused, as other readers do."""

LARGEST_UNPACKED = 4 * 2**30
MOST_EXTENSIONS = 64 * 1024
AGAIN = "Export or download it again."


@dataclass(frozen=True)
class SpzStreams:
    """The attributes of N splats as they stand in the file, all uint8."""

    version: int
    fractional_bits: int
    antialiased: bool
    axes: str  # a name or the letters of axes.py; empty where the file names none
    positions: np.ndarray  # [N, 3, 3], in version 1 [N, 3, 2]
    alphas: np.ndarray  # [N]
    colors: np.ndarray  # [N, 3]
    scales: np.ndarray  # [N, 3]
    rotations: np.ndarray  # [N, 4], in versions 1 and 2 [N, 3]
    sh: np.ndarray  # [N, K-1, 3]

    def arrays(self) -> tuple[np.ndarray, ...]:
        """The streams in the order of the file."""
        return self.positions, self.alphas, self.colors, self.scales, self.rotations, self.sh


@dataclass(frozen=True)
class SpzHeader:
    """The header of an SPZ file."""

    version: int
    count: int
    degree: int
    fractional_bits: int
    flags: int
    streams: int  # in version 4

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of every stream, in bytes."""
        n, place, turn = self.count, 2 if self.version == 1 else 3, 3 if self.version <= 2 else 4
        return (n, 3, place), (n,), (n, 3), (n, 3), (n, turn), (n, (self.degree + 1) ** 2 - 1, 3)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of every stream."""
        return tuple(int(np.prod(shape)) for shape in self.shapes)


def unpack_spz(path: Path) -> SpzStreams:
    """Read an SPZ file; UserError in one sentence when it is no SPZ, of another version, cut off or damaged."""
    try:
        with open_shared(path) as file:
            data = file.read()
    except OSError as error:
        raise disk_error(path, error) from error
    if data[:2] == GZIP:
        return _unpack_gzip(path, data)
    if data[:4] != MAGIC:
        raise UserError(f"{path.name} is not an SPZ file.", "Choose a file that Scaniverse, SuperSplat or another splat tool wrote.",
                        "spz.no_spz", file=path.name)
    header = _header(path, data, len(data))
    return _unpack_4(path, header, data) if header.version == 4 else _legacy(path, header, data)


def pack_spz(path: Path, streams: SpzStreams) -> None:
    """Write an SPZ file of version 3 or 4 in one piece."""
    arrays = [np.ascontiguousarray(array).data.cast("B") if array.size else b"" for array in streams.arrays()]
    count, degree = len(streams.alphas), round((1 + streams.sh.shape[1]) ** 0.5) - 1
    flags = (EXTENDED if streams.version == 4 else 0) | (ANTIALIASED if streams.antialiased else 0)
    head = HEADER.pack(MAGIC, streams.version, count, degree, streams.fractional_bits, flags, 0)
    extension = struct.pack("<III", COORDINATE_SYSTEM, 4, COORDINATE_SYSTEMS.index(LETTERS.get(streams.axes, streams.axes)))
    pieces = [head, *arrays, extension]
    if streams.version == 4:
        frames = [(zstd.compress(array), len(array)) for array in arrays if len(array)]
        table = b"".join(TABLE.pack(len(frame), size) for frame, size in frames)
        start = struct.pack("<I12x", HEADER_4 + len(extension))
        pieces = [head[:-1] + bytes([len(frames)]), start, extension, table, *(frame for frame, _ in frames)]
    with replacing(path) as temporary, open(temporary, "wb") as file:
        packer = zlib.compressobj(GZIP_LEVEL, wbits=31) if streams.version < 4 else None
        for piece in pieces:
            file.write(packer.compress(piece) if packer else piece)
        if packer:
            file.write(packer.flush())


def _header(path: Path, data: bytes, packed: int) -> SpzHeader:
    """The checked header of a file of `packed` bytes; a count that such a file cannot hold is refused."""
    if len(data) < HEADER.size or data[:4] != MAGIC:
        raise UserError(f"{path.name} is not an SPZ file.", AGAIN, "spz.no_header", file=path.name)
    _, version, count, degree, bits, flags, streams = HEADER.unpack_from(data)
    if version not in (1, 2, 3, 4):
        raise UserError(f"{path.name} is SPZ of version {version}, which is not known.", "Export it as version 2, 3 or 4, or as PLY.",
                        "spz.version", file=path.name, version=version)
    header = SpzHeader(version, count, degree, bits, flags, streams)
    if degree > 4 or bits > MOST_FRACTIONAL_BITS:
        raise UserError(f"The header of {path.name} is invalid: SH degree {degree}, {bits} fractional bits.", AGAIN, "spz.header",
                        file=path.name, degree=degree, bits=bits)
    if not count:
        raise UserError(f"{path.name} holds no splats.", "Choose another file.", "spz.no_splats", file=path.name)
    if sum(header.sizes) > min(packed * LARGEST_RATIO, LARGEST_UNPACKED):
        raise UserError(f"{path.name} claims {count} splats, more than a file of {packed} bytes can hold.", AGAIN, "spz.claims",
                        file=path.name, count=count, packed=packed)
    return header


def _unpack_gzip(path: Path, data: bytes) -> SpzStreams:
    """Versions 1 to 3; never unpacks more than the header asks for."""
    try:
        stream = _GzipMembers(data)
        head = stream.read(HEADER.size)
        header = _header(path, head, len(data))
        if header.version == 4:
            raise UserError(f"{path.name} is SPZ of version 4 in gzip, which is not known.", AGAIN, "spz.gzip", file=path.name)
        body = stream.read(sum(header.sizes))
        return _legacy(path, header, head + body + _records(stream))
    except zlib.error as error:
        raise UserError(f"{path.name} is damaged: {error}.", AGAIN, "spz.damaged", file=path.name, error=error) from None


def _records(stream: _GzipMembers) -> bytes:
    """What follows the streams; a member of gzip that is no part of the file, or damaged, is nothing."""
    try:
        return stream.read(MOST_EXTENSIONS)
    except zlib.error:
        return b""


class _GzipMembers:
    """The content of gzip members one after the other, as writers that pack in parallel leave them."""

    def __init__(self, data: bytes):
        self._unpacker, self._packed = zlib.decompressobj(wbits=31), data

    def read(self, count: int) -> bytes:
        """The next bytes, fewer where the file ends before."""
        pieces: list[bytes] = []
        while count > 0:
            if self._unpacker.eof:
                self._packed = self._unpacker.unused_data
                if self._packed[:2] != GZIP:
                    break
                self._unpacker = zlib.decompressobj(wbits=31)
            piece = self._unpacker.decompress(self._packed, count)
            self._packed = self._unpacker.unconsumed_tail
            if not piece and not self._unpacker.eof:
                break
            pieces.append(piece)
            count -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _legacy(path: Path, header: SpzHeader, data: bytes) -> SpzStreams:
    """Streams one after the other, then the extensions."""
    end = HEADER.size + sum(header.sizes)
    if len(data) < end:
        raise _cut_off(path, header)
    ends = np.cumsum((HEADER.size, *header.sizes))
    streams = [np.frombuffer(data, np.uint8, size, start) for size, start in zip(header.sizes, ends, strict=False)]
    return _streams(header, streams, _axes(path, data[end : end + MOST_EXTENSIONS]))


def _unpack_4(path: Path, header: SpzHeader, data: bytes) -> SpzStreams:
    """Extensions, a table of sizes, and a Zstandard frame for each stream that is not empty."""
    sizes = [size for size in header.sizes if size]
    table = struct.unpack_from("<I", data, HEADER.size)[0] if len(data) >= HEADER_4 else 0
    start = table + TABLE.size * header.streams
    if table < HEADER_4 or start > len(data):
        raise _cut_off(path, header)
    entries = [TABLE.unpack_from(data, table + TABLE.size * index) for index in range(header.streams)]
    if [size for _, size in entries] != sizes:
        raise UserError(f"{path.name} is damaged: its streams have not the size of {header.count} splats.", AGAIN, "spz.streams",
                        file=path.name, count=header.count)
    streams = []
    for packed, size in entries:
        if start + packed > len(data):
            raise _cut_off(path, header)
        stream = zstd.decompress(memoryview(data)[start : start + packed], size)
        if stream is None:
            raise UserError(f"{path.name} is damaged: a stream cannot be unpacked.", AGAIN, "spz.stream", file=path.name)
        streams.append(stream)
        start += packed
    if len(sizes) < 6:
        streams.append(np.empty(0, np.uint8))
    return _streams(header, streams, _axes(path, data[HEADER_4:table]))


def _streams(header: SpzHeader, streams: list[np.ndarray], axes: str) -> SpzStreams:
    shaped = [stream.reshape(shape) for stream, shape in zip(streams, header.shapes, strict=True)]
    return SpzStreams(header.version, header.fractional_bits, bool(header.flags & ANTIALIASED), axes, *shaped)


def _axes(path: Path, records: bytes) -> str:
    """The axes that the extension records name, empty where none does; unknown records are passed over."""
    position, found = 0, 0
    while position + 8 <= len(records):
        kind, length = struct.unpack_from("<II", records, position)
        if kind == COORDINATE_SYSTEM and length == 4 and position + 12 <= len(records):
            found = struct.unpack_from("<I", records, position + 8)[0]
        position += 8 + length
    if found >= len(COORDINATE_SYSTEMS):
        raise UserError(f"{path.name} names axes of number {found}, which are not known.", "Choose its axes by hand.", "spz.axes",
                        file=path.name, found=found)
    return COORDINATE_SYSTEMS[found]


def _cut_off(path: Path, header: SpzHeader) -> UserError:
    return UserError(f"{path.name} is cut off: its header names {header.count} splats and the file ends before that.", AGAIN,
                     "spz.cut_off", file=path.name, count=header.count)
