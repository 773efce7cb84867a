"""Splats and coloured points as PLY files. The only place that knows PLY's column names.

plyfile parses the header and the layout, numpy moves the data. Splat files follow what SuperSplat and splat-transform
read: binary little-endian, `float` properties, no lists, channel-major f_rest, exactly the size that the header implies.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from plyfile import PlyData, PlyElement, PlyHeaderParseError, PlyListProperty, PlyParseError

from .dataset import PointCloud
from .errors import UserError
from .files import disk_error, replacing
from .gaussians import Gaussians
from .transform import BLENDER_TO_PLY, PLY_TO_BLENDER, transform_gaussians

Axes = Literal["SUPERSPLAT", "BLENDER"]

BLENDER_COMMENT = "splatwright axes BLENDER"
"""Marks a file in Blender's own axes, so that it comes back as it left."""

ANTIALIASED_COMMENT = "SplatRenderMode: mip"
"""Marks splats that were trained antialiased, so that viewers draw them so."""

REST_COUNTS = (0, 9, 24, 45)
POSITION, NORMAL, SCALE = ("x", "y", "z"), ("nx", "ny", "nz"), ("scale_0", "scale_1", "scale_2")
ROTATION, BASE = ("rot_0", "rot_1", "rot_2", "rot_3"), ("f_dc_0", "f_dc_1", "f_dc_2")
REQUIRED = (*POSITION, *BASE, "opacity", *SCALE, *ROTATION)
COLOR_NAMES = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))

SMALLEST_LOG_SCALE = -30.0
LARGEST_LOGIT = 30.0
"""What an infinite logit (opacity of exactly 1 or 0, as some converters write it) becomes."""

LONGEST_HEADER = 128 * 1024
BINARY = "Save it as binary little-endian, for example with SuperSplat."
AGAIN = "Export or download it again."


@dataclass(frozen=True)
class PlyHeader:
    """What a PLY promises about its vertices; the file has the size that this implies."""

    count: int
    dtype: np.dtype  # one vertex
    start: int  # bytes before the first vertex
    comments: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return self.dtype.names or ()


@dataclass(frozen=True)
class SplatFile:
    """What a splat PLY held."""

    gaussians: Gaussians
    dropped: int  # rows left out because of a NaN or an infinity
    extra: tuple[str, ...]  # properties that splats do not have
    axes: Axes
    comments: tuple[str, ...] = ()


def read_ply(path: Path, axes: Axes | Literal["AUTO"] = "AUTO") -> SplatFile:
    """Read a splat PLY into Blender's world. AUTO trusts the file's own mark and else takes SuperSplat's axes.

    UserError in one sentence for a file that is no PLY, truncated, ASCII, big-endian, without a needed property.
    """
    path = Path(path)
    header = read_ply_header(path)
    missing = [name for name in REQUIRED if name not in header.names]
    if missing:
        raise UserError(f"{path.name} holds no splats: it lacks {', '.join(missing)}.",
                        "Choose a PLY that a splat trainer or SuperSplat wrote.")
    rest = _rest_names(path, header.names)
    gaussians = drawable(_from_columns(_read_table(path, header), rest))
    found: Axes = "BLENDER" if BLENDER_COMMENT in header.comments else "SUPERSPLAT"
    if axes != "AUTO":
        found = axes
    dropped = header.count - len(gaussians)
    if found == "SUPERSPLAT":
        gaussians = transform_gaussians(gaussians, PLY_TO_BLENDER)
    extra = tuple(name for name in header.names if name not in {*REQUIRED, *NORMAL, *rest})
    return SplatFile(gaussians, dropped, extra, found, header.comments)


def write_ply(path: Path, gaussians: Gaussians, axes: Axes = "SUPERSPLAT", comments: tuple[str, ...] = ()) -> None:
    """Write a splat PLY in one piece. Rows that no viewer can draw are left out."""
    gaussians = drawable(gaussians)
    if axes == "SUPERSPLAT":
        gaussians = transform_gaussians(gaussians, BLENDER_TO_PLY)
    else:
        comments = (*comments, BLENDER_COMMENT)
    _write_table(Path(path), _to_columns(gaussians), comments)


def drawable(gaussians: Gaussians) -> Gaussians:
    """The rows that a viewer can draw, without NaN and infinities; the same object when nothing is wrong.

    An opacity of exactly 0 or 1 (infinite logit), a scale of 0 and a quaternion of 0 are mended, all else is dropped.
    """
    arrays = gaussians.arrays()
    opacities, scales, quats = gaussians.opacities, gaussians.scales, gaussians.quats
    if np.isinf(opacities).any():
        arrays["opacities"] = np.where(np.isinf(opacities), np.copysign(np.float32(LARGEST_LOGIT), opacities), opacities)
    if (scales < SMALLEST_LOG_SCALE).any():
        arrays["scales"] = np.maximum(scales, np.float32(SMALLEST_LOG_SCALE))
    if not (turned := quats.any(axis=1)).all():
        arrays["quats"] = np.where(turned[:, None], quats, np.array([1, 0, 0, 0], np.float32))
    mended = Gaussians(**arrays)
    if all(np.isfinite(array).all() for array in arrays.values()):
        return mended if any(arrays[name] is not array for name, array in gaussians.arrays().items()) else gaussians
    return mended.take(mended.finite_rows())


def read_points(path: Path) -> PointCloud:
    """Read coloured points, binary or ASCII (nerfstudio writes that), in the frame they are in.

    Colours may be missing (grey), floats or 16-bit; NaN rows are left out.
    """
    path = Path(path)
    if _is_ascii(path):
        return _points(path, _read_ascii(path))
    header = read_ply_header(path)
    _require_positions(path, header.names)
    return _points(path, _read_table(path, header))


def _points(path: Path, table: np.ndarray) -> PointCloud:
    found = table.dtype.names or ()
    _require_positions(path, found)
    positions = _columns(table, POSITION)
    names = next((names for names in COLOR_NAMES if all(name in found for name in names)), None)
    colors = _bytes(np.stack([table[name] for name in names], axis=1)) if names else np.full(positions.shape, 128, np.uint8)
    good = np.isfinite(positions).all(axis=1)
    return PointCloud(positions[good], colors[good])


def write_points(path: Path, points: PointCloud) -> None:
    """Write coloured points as x y z red green blue, in the frame they are in."""
    colors = COLOR_NAMES[0]
    table = np.empty(len(points), [*((name, "<f4") for name in POSITION), *((name, "u1") for name in colors)])
    for index, (position, color) in enumerate(zip(POSITION, colors, strict=True)):
        table[position] = points.positions[:, index]
        table[color] = points.colors[:, index]
    _write_table(Path(path), table, ())


def _require_positions(path: Path, names: tuple[str, ...]) -> None:
    if any(name not in names for name in POSITION):
        raise UserError(f"{path.name} holds no points: it lacks x, y or z.", "Choose a point cloud PLY.")


def _is_ascii(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return re.match(rb"ply\s+format ascii", file.read(64)) is not None
    except OSError as error:
        raise disk_error(path, error) from error


def _read_ascii(path: Path) -> np.ndarray:
    """The vertices of an ASCII PLY, by plyfile."""
    try:
        return PlyData.read(str(path))["vertex"].data
    except (PlyHeaderParseError, PlyParseError, ValueError, KeyError, OverflowError) as error:
        raise UserError(f"{path.name} cannot be read: {error}.", AGAIN) from None


def read_ply_header(path: Path) -> PlyHeader:
    """Read and check a PLY's header and size, without its data. UserError in one sentence when it cannot be read."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            head = file.read(LONGEST_HEADER)
        size = path.stat().st_size
    except OSError as error:
        raise disk_error(path, error) from error
    text, start = _header_text(path, head)
    try:
        # The public reader would load the data as well. Foreign letters in comments are not worth refusing a file for.
        parsed = PlyData._parse_header(io.BytesIO(text.decode("ascii", "replace").encode("ascii", "replace")))
    except (PlyHeaderParseError, ValueError, OverflowError) as error:
        raise UserError(f"The header of {path.name} cannot be read: {error}.", AGAIN) from None
    header = _layout(path, parsed, start)
    end = header.start + header.dtype.itemsize * header.count + sum(_size(element) for element in list(parsed.elements)[1:])
    if size < end:
        raise UserError(f"{path.name} is cut off: its header promises {header.count} rows and the file ends before.", AGAIN)
    if size > end:
        raise UserError(f"{path.name} is longer than its header says.", "Export it again with a splat tool such as SuperSplat.")
    return header


def _header_text(path: Path, head: bytes) -> tuple[bytes, int]:
    """The header alone, and the number of its bytes."""
    if not re.match(rb"ply\r?\n|ply\r", head):
        raise UserError(f"{path.name} is not a PLY file.", "Choose a PLY file with splats or points.")
    ending = b"\r\n" if head[3:5] == b"\r\n" else head[3:4]
    end = head.find(ending + b"end_header" + ending)
    if end < 0:
        raise UserError(f"The header of {path.name} has no end.", AGAIN)
    start = end + len(b"end_header") + 2 * len(ending)
    return head[:start], start


def _layout(path: Path, parsed: PlyData, start: int) -> PlyHeader:
    """Record and number of the vertices; UserError for layouts that viewers do not read either."""
    if parsed.text:
        raise UserError(f"{path.name} is an ASCII PLY.", BINARY)
    if parsed.byte_order == ">":
        raise UserError(f"{path.name} is a big-endian PLY.", BINARY)
    elements = list(parsed.elements)
    if not elements or elements[0].name != "vertex":
        raise UserError(f"{path.name} does not begin with vertices.", "Choose a PLY with plain vertices; compressed PLY is not read here.")
    if any(element.count < 0 for element in elements):
        raise UserError(f"The header of {path.name} promises less than nothing.", AGAIN)
    lists = [prop.name for element in elements for prop in element.properties if isinstance(prop, PlyListProperty)
             if element.count or element is elements[0]]
    if lists:
        raise UserError(f"{path.name} holds lists ({', '.join(lists)}), which splats and points never have.",
                        "Export the points or splats alone.")
    comments = [*parsed.comments, *(comment for element in elements for comment in element.comments)]
    return PlyHeader(elements[0].count, _record(elements[0]), start, tuple(comments))


def _record(element: PlyElement) -> np.dtype:
    return np.dtype([(prop.name, "<" + prop.dtype().lstrip("<>=|")) for prop in element.properties])


def _size(element: PlyElement) -> int:
    """Bytes of an element after the vertices; some trainers append their cameras."""
    return _record(element).itemsize * element.count if element.count else 0


def _read_table(path: Path, header: PlyHeader) -> np.ndarray:
    """The vertices as a structured array."""
    if not header.count:
        return np.empty(0, header.dtype)
    try:
        return np.fromfile(path, header.dtype, header.count, offset=header.start)
    except OSError as error:
        raise disk_error(path, error) from error


def _rest_names(path: Path, names: tuple[str, ...]) -> list[str]:
    """The f_rest properties in order; UserError when there is a hole or an impossible number of them."""
    numbers = sorted(int(match[1]) for name in names if (match := re.fullmatch(r"f_rest_(\d{1,6})", name)))
    if len(numbers) not in REST_COUNTS or numbers != list(range(len(numbers))):
        raise UserError(f"{path.name} holds {len(numbers)} view-dependent colour properties (f_rest) that form no whole SH degree.",
                        "Export it again with SH degree 0, 1, 2 or 3.")
    return [f"f_rest_{number}" for number in numbers]


def _columns(table: np.ndarray, names: tuple[str, ...] | list[str]) -> np.ndarray:
    """Some properties as float32 [N, len(names)]; neighbours of one type move in one go."""
    own = table.dtype.names or ()
    first = own.index(names[0]) if names else 0
    if list(own[first : first + len(names)]) == list(names) and all(table.dtype[index] == "<f4" for index in range(len(own))):
        return table.view("<f4").reshape(len(table), len(own))[:, first : first + len(names)]
    out = np.empty((len(table), len(names)), np.float32)
    for index, name in enumerate(names):
        out[:, index] = table[name]
    return out


def _from_columns(table: np.ndarray, rest: list[str]) -> Gaussians:
    count = len(table)
    shN = _columns(table, rest).reshape(count, 3, len(rest) // 3).transpose(0, 2, 1)
    parts = {
        "means": _columns(table, POSITION), "quats": _columns(table, ROTATION), "scales": _columns(table, SCALE),
        "opacities": _columns(table, ("opacity",))[:, 0], "sh0": _columns(table, BASE)[:, None], "shN": shN,
    }
    return Gaussians(**{name: np.array(part, np.float32, order="C") for name, part in parts.items()})


def _to_columns(gaussians: Gaussians) -> np.ndarray:
    count, rest = len(gaussians), 3 * gaussians.shN.shape[1]
    names = (*POSITION, *NORMAL, *BASE, *(f"f_rest_{index}" for index in range(rest)), "opacity", *SCALE, *ROTATION)
    raw = np.zeros((count, len(names)), "<f4")
    raw[:, 0:3] = gaussians.means
    raw[:, 6:9] = gaussians.sh0[:, 0]
    raw[:, 9 : 9 + rest].reshape(count, 3, rest // 3)[:] = gaussians.shN.transpose(0, 2, 1)
    raw[:, -8] = gaussians.opacities
    raw[:, -7:-4] = gaussians.scales
    raw[:, -4:] = gaussians.quats
    return raw.view([(name, "<f4") for name in names]).reshape(count)


def _bytes(colors: np.ndarray) -> np.ndarray:
    """Colours as uint8: floats are in [0, 1], or in [0, 255] when one of them is larger than 1."""
    if colors.dtype.kind == "f":
        values = np.nan_to_num(colors.astype(np.float64), nan=0.5, posinf=1.0, neginf=0.0)
        return (values * (1.0 if values.max(initial=0) > 1 else 255.0) + 0.5).clip(0, 255).astype(np.uint8)
    return colors.astype(np.uint8) if colors.dtype.itemsize == 1 else (colors.astype(np.float64) / 257 + 0.5).clip(0, 255).astype(np.uint8)


def _write_table(path: Path, table: np.ndarray, comments: tuple[str, ...]) -> None:
    kinds = {"f": "float", "u": "uchar"}
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {' '.join(comment.split())}" for comment in comments),
             f"element vertex {len(table)}",
             *(f"property {kinds[table.dtype[name].kind]} {name}" for name in table.dtype.names or ()), "end_header"]
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(("\n".join(lines) + "\n").encode("ascii", "replace"))
        table.tofile(file)
