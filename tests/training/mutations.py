"""What disks, networks and strangers make of a checkpoint's file, by chance."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable

import numpy as np

BLOCK = 4096


def bytes_changed(data: bytes, chance: random.Random) -> bytes:
    """Up to twenty bytes are others."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 20)):
        changed[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(changed)


def block_changed(data: bytes, chance: random.Random) -> bytes:
    """A block of the disk holds zeros, or something else of the file."""
    begin = chance.randrange(0, len(data), BLOCK)
    other = bytes(BLOCK) if chance.random() < 0.5 else data[chance.randrange(len(data)):][:BLOCK]
    return (data[:begin] + other + data[begin + BLOCK:])[: len(data)]


def cut(data: bytes, chance: random.Random) -> bytes:
    """The end is missing, or more follows."""
    return data[: chance.randrange(len(data))] if chance.random() < 0.7 else data + chance.randbytes(chance.randint(1, 3 * BLOCK))


def directory_changed(data: bytes, chance: random.Random) -> bytes:
    """Bytes of the list of files at the archive's end are others."""
    begin = struct.unpack("<I", data[-6:-2])[0]
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        changed[chance.randrange(begin, len(data))] = chance.randrange(256)
    return bytes(changed)


def array_changed(data: bytes, chance: random.Random) -> bytes:
    """A sound archive in which an array is missing, has another shape or kind, or holds values that cannot be used."""
    arrays = dict(np.load(io.BytesIO(data)))
    name = chance.choice(sorted(arrays))
    array = arrays.pop(name)
    match chance.randrange(7):
        case 0:
            arrays[name] = array[..., None]
        case 1:
            arrays[name] = np.append(array.ravel(), array.ravel()[:1])
        case 2:
            arrays[name] = array.astype(np.complex64)
        case 3:
            arrays[name] = np.full(array.shape, np.nan, np.float32)
        case 4:
            arrays[name] = np.array(["text"])
        case 5 if array.ndim:
            arrays[name] = array[:-1]
        case _:
            pass
    return packed(arrays)


def head_changed(data: bytes, chance: random.Random) -> bytes:
    """A sound archive whose head is none."""
    arrays = dict(np.load(io.BytesIO(data)))
    heads = ("", "[]", "{", "[" * 5000, '{"step": -1, "seconds": 1}', '{"step": 1.5, "seconds": 1}',
             '{"step": ' + "9" * 400 + ', "seconds": 1}', '{"step": 1, "seconds": NaN}', '{"step": true, "seconds": 1}', '{"seconds": 1}',
             json.dumps({"step": "1", "seconds": []}), "\0")
    arrays["head"] = np.frombuffer(chance.choice(heads).encode(), np.uint8)
    return packed(arrays)


def bomb(data: bytes, chance: random.Random) -> bytes:
    """A file that would take far more memory than it has bytes, or run a program."""
    arrays = dict(np.load(io.BytesIO(data)))
    name = chance.choice(sorted(arrays))
    header = chance.choice([
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 1000), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "(" * 3000, "{'descr': '<f4'}"]).encode() + b"\n"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for each in arrays:
            one = io.BytesIO()
            np.save(one, arrays[each])
            archive.writestr(f"{each}.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header if each == name else one.getvalue())
    return file.getvalue()


def packed(arrays: dict[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    bytes_changed, block_changed, cut, directory_changed, array_changed, head_changed, bomb)
