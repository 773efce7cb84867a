"""Splats and coloured points as PLY files. The only place that knows PLY's column names.

plyfile parses the header and the layout, numpy moves the data. Splat files follow what SuperSplat and splat-transform
read: binary little-endian, `float` properties, no lists, channel-major f_rest, exactly the size that the header implies.
"""

from __future__ import annotations

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
from .transform import PLY_TO_BLENDER, transform_gaussians

Axes = Literal["SUPERSPLAT", "BLENDER"]

BLENDER_COMMENT = "splatwright axes BLENDER"
"""Marks a file in Blender's own axes, so that it comes back as it left."""

REST_COUNTS = (0, 9, 24, 45)
POSITION, NORMAL, SCALE = ("x", "y", "z"), ("nx", "ny", "nz"), ("scale_0", "scale_1", "scale_2")
ROTATION, BASE = ("rot_0", "rot_1", "rot_2", "rot_3"), ("f_dc_0", "f_dc_1", "f_dc_2")
REQUIRED = (*POSITION, *BASE, "opacity", *SCALE, *ROTATION)

SMALLEST_LOG_SCALE = -30.0
LARGEST_LOGIT = 30.0


@dataclass(frozen=True)
class SplatFile:
    """What a splat PLY held."""

    gaussians: Gaussians
    dropped: int  # rows left out because of a NaN or an infinity
    extra: tuple[str, ...]  # properties that splats do not have
    axes: Axes


def read_ply(path: Path, axes: Axes | Literal["AUTO"] = "AUTO") -> SplatFile:
    """Read a splat PLY into Blender's world. AUTO trusts the file's own mark and else takes SuperSplat's axes.

    UserError in one sentence for a file that is no PLY, truncated, ASCII, big-endian, without a needed property.
    """
    path = Path(path)
    table, comments = _read_table(path, "splats")
    names = table.dtype.names or ()
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise UserError(f"{path.name} holds no splats: it lacks {', '.join(missing)}.", "Choose a PLY that a splat trainer or SuperSplat wrote.")
    rest = _rest_names(path, names)
    gaussians = _from_columns(table, rest)
    good = gaussians.finite_rows()
    kept = gaussians if good.all() else gaussians.take(good)
    found: Axes = "BLENDER" if BLENDER_COMMENT in comments else "SUPERSPLAT"
    if axes != "AUTO":
        found = axes
    if found == "SUPERSPLAT":
        kept = transform_gaussians(kept, PLY_TO_BLENDER)
    extra = tuple(name for name in names if name not in {*REQUIRED, *NORMAL, *rest})
    return SplatFile(kept, int((~good).sum()), extra, found)


def write_ply(path: Path, gaussians: Gaussians, axes: Axes = "SUPERSPLAT", comments: tuple[str, ...] = ()) -> None:
    """Write a splat PLY in one piece. Rows that no viewer can draw are left out."""
    good = gaussians.finite_rows()
    kept = gaussians if good.all() else gaussians.take(good)
    if axes == "SUPERSPLAT":
        kept = transform_gaussians(kept, np.linalg.inv(PLY_TO_BLENDER))
    else:
        comments = (*comments, BLENDER_COMMENT)
    _write_table(Path(path), _to_columns(kept), comments)


def read_points(path: Path) -> PointCloud:
    """Read coloured points; colours may be missing (grey) or floats in [0, 1]."""
    path = Path(path)
    table, _ = _read_table(path, "points")
    names = table.dtype.names or ()
    if any(name not in names for name in POSITION):
        raise UserError(f"{path.name} holds no points: it lacks x, y or z.", "Choose a point cloud PLY.")
    positions = np.stack([table[name].astype(np.float32) for name in POSITION], axis=1)
    colors = np.full(positions.shape, 128, np.uint8)
    if all(name in names for name in ("red", "green", "blue")):
        raw = np.stack([table[name] for name in ("red", "green", "blue")], axis=1)
        colors = (raw.clip(0, 1) * 255 + 0.5).astype(np.uint8) if raw.dtype.kind == "f" else raw.astype(np.uint8)
    return PointCloud(positions, colors)


def write_points(path: Path, points: PointCloud) -> None:
    """Write coloured points as x y z red green blue, in the frame they are in."""
    table = np.empty(len(points), [*((name, "<f4") for name in POSITION), *((name, "u1") for name in ("red", "green", "blue"))])
    for index, name in enumerate(POSITION):
        table[name] = points.positions[:, index]
    for index, name in enumerate(("red", "green", "blue")):
        table[name] = points.colors[:, index]
    _write_table(Path(path), table, ())


def _read_table(path: Path, what: str) -> tuple[np.ndarray, list[str]]:
    """The vertex element as a structured array, and the header's comments."""
    try:
        with open(path, "rb") as file:
            if file.read(3) != b"ply":
                raise UserError(f"{path.name} is not a PLY file.", f"Choose a PLY file with {what}.")
            file.seek(0)
            header = PlyData._parse_header(file)  # the public reader would also load the data
            start = file.tell()
            dtype, count = _layout(path, header)
            size = path.stat().st_size
            expected = start + dtype.itemsize * count
            if size < expected:
                raise UserError(f"{path.name} is cut off: its header promises {count} {what} and the file ends before.",
                                "Export or download it again.")
            if size > expected:
                raise UserError(f"{path.name} is longer than its header says.", "Export it again with a splat tool such as SuperSplat.")
            return np.fromfile(file, dtype, count), list(header.comments)
    except (PlyHeaderParseError, PlyParseError, UnicodeDecodeError) as error:
        raise UserError(f"The header of {path.name} cannot be read: {error}.", "Export or download it again.") from None
    except OSError as error:
        raise disk_error(path, error) from error


def _layout(path: Path, header: PlyData) -> tuple[np.dtype, int]:
    """Record and number of the vertex element; UserError for layouts that viewers do not read either."""
    if header.text:
        raise UserError(f"{path.name} is an ASCII PLY.", "Save it as binary little-endian, for example with SuperSplat.")
    if header.byte_order == ">":
        raise UserError(f"{path.name} is a big-endian PLY.", "Save it as binary little-endian, for example with SuperSplat.")
    elements = list(header.elements)
    if not elements or elements[0].name != "vertex":
        raise UserError(f"{path.name} does not begin with vertices.", "Choose a PLY with plain vertices; compressed PLY is not read here.")
    if len(elements) > 1:
        raise UserError(f"{path.name} also holds {', '.join(element.name for element in elements[1:])}.", "Export the points or splats alone.")
    vertex: PlyElement = elements[0]
    if any(isinstance(prop, PlyListProperty) for prop in vertex.properties):
        raise UserError(f"{path.name} holds lists, which splats never have.", "Choose a PLY that a splat trainer wrote.")
    return np.dtype([(prop.name, "<" + prop.dtype().lstrip("<>=")) for prop in vertex.properties]), vertex.count


def _rest_names(path: Path, names: tuple[str, ...]) -> list[str]:
    """The f_rest properties in order; UserError when there is a hole or an impossible number of them."""
    numbers = sorted(int(match[1]) for name in names if (match := re.fullmatch(r"f_rest_(\d+)", name)))
    if len(numbers) not in REST_COUNTS or numbers != list(range(len(numbers))):
        raise UserError(f"{path.name} holds {len(numbers)} view-dependent colour properties (f_rest) that form no whole SH degree.",
                        "Export it again with SH degree 0, 1, 2 or 3.")
    return [f"f_rest_{number}" for number in numbers]


def _columns(table: np.ndarray, names: tuple[str, ...] | list[str]) -> np.ndarray:
    out = np.empty((len(table), len(names)), np.float32)
    for index, name in enumerate(names):
        out[:, index] = table[name]
    return out


def _from_columns(table: np.ndarray, rest: list[str]) -> Gaussians:
    count = len(table)
    shN = _columns(table, rest).reshape(count, 3, -1).transpose(0, 2, 1) if rest else np.zeros((count, 0, 3), np.float32)
    return Gaussians(
        means=_columns(table, POSITION),
        quats=_columns(table, ROTATION),
        scales=_columns(table, SCALE),
        opacities=_columns(table, ("opacity",))[:, 0],
        sh0=_columns(table, BASE)[:, None],
        shN=np.ascontiguousarray(shN),
    )


def _to_columns(gaussians: Gaussians) -> np.ndarray:
    count, rest = len(gaussians), 3 * gaussians.shN.shape[1]
    names = (*POSITION, *NORMAL, *BASE, *(f"f_rest_{index}" for index in range(rest)), "opacity", *SCALE, *ROTATION)
    table = np.empty((count, len(names)), "<f4")
    parts = (gaussians.means, np.zeros((count, 3)), gaussians.sh0[:, 0], gaussians.shN.transpose(0, 2, 1).reshape(count, rest),
             gaussians.opacities.clip(-LARGEST_LOGIT, LARGEST_LOGIT)[:, None], gaussians.scales.clip(SMALLEST_LOG_SCALE), gaussians.quats)
    column = 0
    for part in parts:
        table[:, column : column + part.shape[1]] = part
        column += part.shape[1]
    return table.view([(name, "<f4") for name in names])[:, 0] if count else np.empty(0, [(name, "<f4") for name in names])


def _write_table(path: Path, table: np.ndarray, comments: tuple[str, ...]) -> None:
    kinds = {"f": "float", "u": "uchar"}
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {comment}" for comment in comments), f"element vertex {len(table)}",
             *(f"property {kinds[table.dtype[name].kind]} {name}" for name in table.dtype.names or ()), "end_header"]
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(("\n".join(lines) + "\n").encode("ascii"))
        table.tofile(file)
