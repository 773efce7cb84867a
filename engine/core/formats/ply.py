"""Splats as PLY files: the column names of plain splat PLY.

Splat files follow what SuperSplat and splat-transform read: binary little-endian, `float` properties, no lists,
channel-major f_rest, exactly the size that the header implies.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..splats.axes import Axes, AxesOrAuto
from ..splats.gaussians import Gaussians
from .ply_container import POSITION, PlyHeader, PlyPart, columns, read_part, read_ply_header, vertices, write_parts
from .splat_file import SplatFile, StoredSplats, from_blender, to_blender

AXES_COMMENT = "splatwright axes "
"""Marks a file in other axes than SuperSplat's, so that it comes back as it left."""

MIP_COMMENT = "SplatRenderMode: mip"
ANTIALIASED = {MIP_COMMENT.lower(), "antialiased 1"}
"""How Brush and Postshot mark splats that were trained with an antialiased rasterizer."""

REST_COUNTS = (0, 9, 24, 45)
NORMAL, SCALE = ("nx", "ny", "nz"), ("scale_0", "scale_1", "scale_2")
ROTATION, BASE = ("rot_0", "rot_1", "rot_2", "rot_3"), ("f_dc_0", "f_dc_1", "f_dc_2")
REQUIRED = (*POSITION, *BASE, "opacity", *SCALE, *ROTATION)


def read_ply(path: Path, axes: AxesOrAuto = "AUTO") -> SplatFile:
    """Read a splat PLY into Blender's world. AUTO trusts the file's own mark and else takes SuperSplat's axes.

    Binary of either byte order or ASCII, floats or doubles, properties in any order.
    UserError in one sentence for a file that is no PLY, truncated or without a needed property.
    """
    path = Path(path)
    header = read_ply_header(path)
    part = vertices(path, header)
    missing = [name for name in REQUIRED if name not in part.names]
    if missing:
        raise UserError(f"{path.name} holds no splats: it lacks {', '.join(missing)}.",
                        "Choose a PLY that a splat trainer or SuperSplat wrote.")
    return to_blender(_stored(path, header, part), axes)


def write_ply(
    path: Path, gaussians: Gaussians, axes: Axes = "SUPERSPLAT", comments: tuple[str, ...] = (), antialiased: bool = False,
) -> None:
    """Write a splat PLY in one piece. Rows that no viewer can draw are left out."""
    write_parts(Path(path), {"vertex": _to_columns(from_blender(gaussians, axes))}, (*comments, *written_comments(axes, antialiased)))


def read_comments(comments: tuple[str, ...]) -> tuple[str, bool]:
    """The axes that a PLY says it has, SuperSplat's where it says nothing, and whether it was trained antialiased."""
    named = [comment.removeprefix(AXES_COMMENT) for comment in comments if comment.startswith(AXES_COMMENT)]
    axes = next((name for name in named if name in ("BLENDER", "OPENGL")), "SUPERSPLAT")
    return axes, any(comment.strip().lower() in ANTIALIASED for comment in comments)


def written_comments(axes: Axes, antialiased: bool) -> tuple[str, ...]:
    """What read_comments reads."""
    return (*([f"{AXES_COMMENT}{axes}"] if axes != "SUPERSPLAT" else []), *([MIP_COMMENT] if antialiased else []))


def rest_names(path: Path, names: tuple[str, ...]) -> list[str]:
    """The f_rest properties in order; UserError when there is a hole or an impossible number of them."""
    numbers = sorted(int(match[1]) for name in names if (match := re.fullmatch(r"f_rest_(\d{1,6})", name)))
    if len(numbers) not in REST_COUNTS or numbers != list(range(len(numbers))):
        raise UserError(f"{path.name} holds {len(numbers)} view-dependent colour properties (f_rest) that form no whole SH degree.",
                        "Export it again with SH degree 0, 1, 2 or 3.")
    return [f"f_rest_{number}" for number in numbers]


def _stored(path: Path, header: PlyHeader, part: PlyPart) -> StoredSplats:
    """The file's content; the table that it was read into is gone when this returns."""
    rest = rest_names(path, part.names)
    table = read_part(path, header, part)
    axes, antialiased = read_comments(header.comments)
    extra = _without(table, {*REQUIRED, *NORMAL, *rest})
    return StoredSplats(_from_columns(table, rest), axes, antialiased, extra, comments=header.comments)


def _without(table: np.ndarray, known: set[str]) -> np.ndarray | None:
    """A copy of the other properties in native byte order; None when there are none."""
    names = [name for name in table.dtype.names or () if name not in known]
    if not names:
        return None
    extra = np.empty(len(table), [(name, table.dtype[name].newbyteorder("=")) for name in names])
    for name in names:
        extra[name] = table[name]
    return extra


def _from_columns(table: np.ndarray, rest: list[str]) -> Gaussians:
    count = len(table)
    shN = columns(table, rest).reshape(count, 3, len(rest) // 3).transpose(0, 2, 1)
    parts = {
        "means": columns(table, POSITION), "quats": columns(table, ROTATION), "scales": columns(table, SCALE),
        "opacities": columns(table, ("opacity",))[:, 0], "sh0": columns(table, BASE)[:, None], "shN": shN,
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
