"""NumPy's files and archives, read so that none takes more memory than it has bytes, runs a program, or raises anything but ValueError."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

VERSIONS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
NUMBERS = "fiub"
"""Kinds of NumPy's types that are numbers."""


def parse_npy(data: bytes) -> np.ndarray:
    """The numbers of a NumPy file, read-only, any shape. ValueError where it holds objects, text or records, or less than it says."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        shape, fortran_order, kind = VERSIONS[version](file)
    except Exception as error:  # the header is Python, and whatever it is read with raises what it likes
        raise ValueError("it is no NumPy file") from error
    if any(type(size) is not int or size < 0 for size in shape):
        raise ValueError("its shape is none")
    count = math.prod(shape)
    if kind.kind not in NUMBERS:
        raise ValueError("it holds no numbers")
    if len(data) - file.tell() != count * kind.itemsize:
        raise ValueError("its size is not what it says")
    if not count:
        return np.zeros(shape, kind)
    return np.frombuffer(data, kind, count, file.tell()).reshape(shape, order="F" if fortran_order else "C")


def write_npz(file: BinaryIO, arrays: Mapping[str, tuple[tuple[int, ...], Iterable[np.ndarray]]]) -> None:
    """A NumPy archive that is not compressed, of arrays by their shapes and their rows, which come in contiguous parts of one type."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, (shape, parts) in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                for number, part in enumerate(parts):
                    if not number:
                        header = {"descr": np.lib.format.dtype_to_descr(part.dtype), "fortran_order": False, "shape": shape}
                        np.lib.format.write_array_header_1_0(entry, header)
                    entry.write(part.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a NumPy archive that is not compressed, by name, as parse_npy; ValueError for all that is none. OSError."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("it is compressed")
            return {entry.filename.removesuffix(".npy"): parse_npy(archive.read(entry)) for entry in archive.infolist()}
    except OSError:
        raise
    except Exception as error:  # zipfile raises whatever a damaged directory leads it to
        raise ValueError(f"it is no NumPy archive: {error}") from error
