"""PLY as a container: its header, and its elements as structured arrays. What the properties mean is not known here.

plyfile parses the header, numpy moves the data. Lists, which are the faces of meshes, are passed over behind the vertices and
refused elsewhere, for neither splats nor points have them.
"""

from __future__ import annotations

import io
import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from plyfile import PlyData, PlyHeaderParseError, PlyListProperty

from ..confinement import admitted
from ..errors import UserError
from ..files import disk_error, open_shared, replacing

LONGEST_HEADER = 128 * 1024
LONGEST_TAIL = 1024
"""Bytes of white space that may follow the data: some writers end every file with a line break."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
AGAIN = "Export or download it again."

POSITION = ("x", "y", "z")
KINDS = {"<f4": "float", "<f8": "double", "|i1": "char", "|u1": "uchar", "<i2": "short", "<u2": "ushort", "<i4": "int", "<u4": "uint"}
"""What PLY calls numpy's types."""


@dataclass(frozen=True)
class PlyPart:
    """One element of a PLY; its rows are all there."""

    name: str
    count: int
    dtype: np.dtype  # one row
    start: int  # bytes before the first row; in a text file the number of lines

    @property
    def names(self) -> tuple[str, ...]:
        return self.dtype.names or ()


@dataclass(frozen=True)
class PlyHeader:
    """The header of a PLY; the file has the size that it implies."""

    parts: tuple[PlyPart, ...]
    comments: tuple[str, ...]
    text: bool
    lists: tuple[tuple[str, int], ...] = ()  # elements that hold lists, and their rows; what follows them is not reached

    @property
    def faces(self) -> int:
        """How many faces the file holds beside its vertices."""
        return sum(count for _, count in self.lists)

    def part(self, name: str) -> PlyPart | None:
        """The element of that name."""
        return next((part for part in self.parts if part.name == name), None)


def read_ply_header(path: Path) -> PlyHeader:
    """Read and check a PLY's header and size, without its data. UserError in one sentence when it cannot be read."""
    path = Path(path)
    try:
        with open_shared(admitted(path)) as file:
            head = file.read(LONGEST_HEADER)
        size = path.stat().st_size
    except OSError as error:
        raise disk_error(path, error) from error
    text, start = _header_text(path, head)
    try:
        # The public reader would load the data as well. Foreign letters in comments are not worth refusing a file for.
        parsed = PlyData._parse_header(io.BytesIO(_plain(text)))
    except (PlyHeaderParseError, ValueError, OverflowError) as error:
        raise UserError(f"The header of {path.name} cannot be read: {error}.", AGAIN, "ply.header", file=path.name, error=error) from None
    _refuse_odd_elements(path, parsed)
    comments = [*parsed.comments, *(comment for element in parsed.elements for comment in element.comments)]
    lines = len(re.findall(rb"\r\n|\n|\r", text))
    lists = tuple((element.name, element.count) for element in parsed.elements if _holds_lists(element))
    header = PlyHeader(_parts(parsed, lines if parsed.text else start), tuple(comments), parsed.text, lists)
    _check_size(path, header, size - start, size)
    return header


def read_part(path: Path, header: PlyHeader, part: PlyPart) -> np.ndarray:
    """The rows of an element as a structured array [N]; UserError when a text file holds something else than its numbers."""
    if not part.count:
        return np.empty(0, part.dtype)
    try:
        if header.text:
            return _read_text(path, part)
        with open_shared(admitted(path)) as file:
            return np.fromfile(file, part.dtype, part.count, offset=part.start)
    except OSError as error:
        raise disk_error(path, error) from error


def write_parts(path: Path, parts: dict[str, np.ndarray], comments: tuple[str, ...]) -> None:
    """Write elements (structured arrays of little-endian numbers) in one piece."""
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {' '.join(comment.split())}" for comment in comments)]
    for name, rows in parts.items():
        lines.append(f"element {name} {len(rows)}")
        lines += [f"property {KINDS[rows.dtype[field].str]} {field}" for field in rows.dtype.names or ()]
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(("\n".join([*lines, "end_header"]) + "\n").encode("ascii", "replace"))
        for rows in parts.values():
            rows.tofile(file)


def _header_text(path: Path, head: bytes) -> tuple[bytes, int]:
    """The header alone, and the number of bytes before the data."""
    mark = len(BYTE_ORDER_MARK) if head.startswith(BYTE_ORDER_MARK) else 0
    first = re.match(rb"ply[ \t]*(\r\n|\n|\r)", head[mark:])
    if not first:
        raise UserError(f"{path.name} is not a PLY file.", "Choose a PLY file with splats or points.", "ply.no_ply", file=path.name)
    ending = re.escape(first[1])
    end = re.compile(ending + rb"[ \t]*end_header[ \t]*" + ending).search(head)
    if not end:
        raise UserError(f"The header of {path.name} has no end.", AGAIN, "ply.header_end", file=path.name)
    return head[mark : end.end()], end.end()


def _plain(text: bytes) -> bytes:
    """A header without what other writers put between its words: more than one space, empty lines, letters beyond ASCII."""
    lines = []
    for line in re.split(rb"\r\n|\n|\r", text):
        words = line.split()
        if words and words[0] in (b"comment", b"obj_info"):
            lines.append(line.strip())
        elif words:
            lines.append(b" ".join(words))
    plain = b"\n".join([*lines, b""]).decode("ascii", "replace").encode("ascii", "replace")
    return re.sub(rb"\A(ply\nformat \w+) 1\.\d+\n", rb"\1 1.0\n", plain)


def _holds_lists(element: Any) -> bool:
    return bool(element.count) and any(isinstance(prop, PlyListProperty) for prop in element.properties)


def _refuse_odd_elements(path: Path, parsed: PlyData) -> None:
    elements = list(parsed.elements)
    if any(element.count < 0 for element in elements):
        raise UserError(f"The header of {path.name} holds negative counts.", AGAIN, "ply.negative", file=path.name)
    names = [element.name for element in elements]
    wanted = elements[: names.index("vertex") + 1] if "vertex" in names else elements
    lists = [prop.name for element in wanted for prop in element.properties if isinstance(prop, PlyListProperty)
             if element.count or element.name == "vertex"]
    if lists:
        raise UserError(f"{path.name} holds lists ({', '.join(lists)}) before or in its vertices, which splats and points never have.",
                        "Export the points or splats alone.", "ply.lists", file=path.name, lists=", ".join(lists))


def _parts(parsed: PlyData, start: int) -> tuple[PlyPart, ...]:
    """The elements up to the first that holds lists, whose length in bytes the header does not tell."""
    order, parts = ">" if parsed.byte_order == ">" else "<", []
    for element in itertools.takewhile(lambda element: not _holds_lists(element), parsed.elements):
        fields = [(prop.name, order + prop.dtype().lstrip("<>=|")) for prop in element.properties if not isinstance(prop, PlyListProperty)]
        parts.append(PlyPart(element.name, element.count, np.dtype(fields), start))
        start += element.count * (1 if parsed.text else parts[-1].dtype.itemsize)
    return tuple(parts)


def _check_size(path: Path, header: PlyHeader, held: int, size: int) -> None:
    """Refuse a file that is shorter or longer than its header says; a number in text takes two bytes at least."""
    promised = sum(part.count * (2 * len(part.names) if header.text else part.dtype.itemsize) for part in header.parts)
    rows = sum(part.count for part in header.parts) + header.faces
    if held < promised - header.text or rows > size:
        raise UserError(f"{path.name} is cut off: its header names {rows} rows and the file ends before that.", AGAIN, "ply.cut_off",
                        file=path.name, rows=rows)
    if held > promised and not header.text and not header.lists and not _ends_blank(path, held - promised):
        raise UserError(f"{path.name} is longer than its header says.", "Export it again with a splat tool such as SuperSplat.",
                        "ply.too_long", file=path.name)


def _ends_blank(path: Path, count: int) -> bool:
    """Whether the last `count` bytes of a file are few and white space."""
    if count > LONGEST_TAIL:
        return False
    with open_shared(admitted(path)) as file:
        file.seek(-count, io.SEEK_END)
        return not file.read().strip()


def _read_text(path: Path, part: PlyPart) -> np.ndarray:
    with open(admitted(path), encoding="ascii", errors="replace") as file:
        lines = list(itertools.islice(file, part.start, part.start + part.count))
    if lines and "," in lines[0]:
        lines = _without_commas(lines)
    try:
        rows = np.loadtxt(lines, part.dtype, comments=None, ndmin=1) if any(map(str.strip, lines)) else np.empty(0, part.dtype)
    except (ValueError, OverflowError) as error:
        rows = _wrapped_rows(path, part)
        if rows is None:
            raise UserError(f"{path.name} cannot be read: {error}.", AGAIN, "ply.unreadable", file=path.name, error=error) from None
    if len(rows) != part.count:
        raise UserError(f"{path.name} is cut off: it holds {len(rows)} of the {part.count} rows that its header names.", AGAIN, "ply.rows",
                        file=path.name, count=len(rows), total=part.count)
    return rows


def _without_commas(lines: list[str]) -> list[str]:
    """Commas between the numbers, or within them as the decimal sign of many countries, as others write them."""
    sign = " " if "." in lines[0] else "."
    return [line.replace(",", sign) for line in lines]


def _wrapped_rows(path: Path, part: PlyPart) -> np.ndarray | None:
    """The rows of a text file that breaks its lines anywhere, by counting its numbers; None when it holds too few, or other words."""
    wanted = part.count * len(part.names)
    with open(admitted(path), encoding="ascii", errors="replace") as file:
        lines = itertools.islice(file, part.start, None)
        words = list(itertools.islice((word for line in lines for word in line.split()), wanted))
    try:
        numbers = np.array(words, np.float64).reshape(part.count, len(part.names))
        rows = np.empty(part.count, part.dtype)
        for index, name in enumerate(part.names):
            rows[name] = numbers[:, index]
    except (ValueError, OverflowError):
        return None
    return rows


def vertices(path: Path, header: PlyHeader) -> PlyPart:
    """The header's element `vertex`; UserError without one."""
    part = header.part("vertex")
    if part is None:
        raise UserError(f"{path.name} holds no vertices.", "Choose a PLY with splats or points.", "ply.no_vertices", file=path.name)
    return part


def columns(table: np.ndarray, names: tuple[str, ...] | list[str]) -> np.ndarray:
    """Some properties as float32 [N, len(names)]; neighbours of one type move in one go."""
    own = table.dtype.names or ()
    first = own.index(names[0]) if names else 0
    if list(own[first : first + len(names)]) == list(names) and all(table.dtype[index] == "<f4" for index in range(len(own))):
        return table.view("<f4").reshape(len(table), len(own))[:, first : first + len(names)]
    out = np.empty((len(table), len(names)), np.float32)
    with np.errstate(over="ignore"):  # a double beyond float32 becomes an infinity, which is dropped
        for index, name in enumerate(names):
            out[:, index] = table[name]
    return out
