"""Splats as PLY files: the column names of plain splat PLY.

Splat files follow what SuperSplat and splat-transform read: binary little-endian, `float` properties, no lists,
channel-major f_rest, exactly the size that the header implies. What other programs write is read as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..splats.axes import Axes, AxesOrAuto, axes_matrix
from ..splats.gaussians import Gaussians, drawable_rows, rgb_to_sh0, sh0_to_rgb
from ..splats.offset import NO_OFFSET, Offset, offset_from_words, offset_of, offset_words, turned_offset
from ..splats.surface_normals import turned_normals
from .ply_columns import SplatColumns, extra_columns, from_columns, own_names, splat_columns, to_columns, with_doubles
from .ply_container import POSITION, PlyHeader, PlyPart, read_part, read_ply_header, vertices, write_parts
from .splat_file import SplatFile, StoredSplats, from_blender, to_blender
from .strange_values import offset_note, rounding_note

AXES_COMMENT = "splatwright axes "
"""Marks a file in other axes than SuperSplat's, so that it comes back as it left."""

OFFSET_COMMENT = "splatwright offset "
"""Marks places that an offset was taken from, in the file's axes: place + offset is where the source put it."""

MIP_COMMENT = "SplatRenderMode: mip"
RENDER_MODES = {MIP_COMMENT.lower(): True, "antialiased 1": True, "splatrendermode: default": False, "antialiased 0": False}
"""How Brush and Postshot mark how splats were trained, antialiased or not."""

UP_COMMENT = "vertical axis:"
UP_WORDS = {"x": (1.0, 0.0, 0.0), "y": (0.0, -1.0, 0.0), "z": (0.0, 0.0, -1.0)}
"""What Brush means by a letter: its scenes are Y-down."""

COLOR_SPACE, LINEAR = "color_space", 1
"""The element in which ml-sharp says what its colours are: 0 is sRGB, which viewers expect, 1 linear light."""


@dataclass(frozen=True)
class Marks:
    """What the comments of a PLY say."""

    axes: str  # SuperSplat's where they say nothing
    antialiased: bool
    up: tuple[float, float, float] | None  # in the file's axes
    offset: Offset = NO_OFFSET  # in the file's axes


def read_ply(path: Path, axes: AxesOrAuto = "AUTO") -> SplatFile:
    """Read a splat PLY into Blender's world. AUTO trusts the file's own marks and else takes SuperSplat's axes.

    Binary of either byte order or ASCII, floats or doubles, properties in any order. Flat splats, colours as red, green and blue,
    and Mip-Splatting's filter are understood; survey coordinates in doubles are moved near the origin, by SplatFile.offset.
    UserError in one sentence for a file that is no PLY, truncated, a mesh or points.
    """
    path = Path(path)
    header = read_ply_header(path)
    part = own_names(vertices(path, header))
    found = splat_columns(path, header, part)
    return to_blender(_stored(path, header, part, found), axes)


def splats_in_table(name: str, table: np.ndarray, axes: AxesOrAuto = "AUTO") -> SplatFile:
    """The splats of a table [N] whose fields are called as a PLY's properties; UserError, which calls it `name`, when there are none."""
    path, header = Path(name), PlyHeader((), (), False)
    part = own_names(PlyPart("vertex", len(table), table.dtype, 0))
    found = splat_columns(path, header, part)
    table = table.view(part.dtype)
    gaussians, notes = from_columns(table, found)
    return to_blender(StoredSplats(gaussians, "SUPERSPLAT", extra=extra_columns(table, found), notes=notes), axes)


def write_ply(
    path: Path, gaussians: Gaussians, axes: Axes = "SUPERSPLAT", comments: tuple[str, ...] = (), antialiased: bool = False,
    extra: np.ndarray | None = None, offset: Offset = NO_OFFSET, whole: bool = False,
) -> None:
    """Write a splat PLY in one piece, with the extra properties [N] in their types. Rows that no viewer can draw are left out.
    Normals among the extra properties are in Blender's world, as the Gaussians are.

    An `offset` (in Blender's axes) becomes a comment; with `whole` it is added, and places are doubles.
    """
    written = from_blender(gaussians, axes)
    if extra is not None and len(written) < len(gaussians):
        extra = extra[drawable_rows(gaussians)]
    extra = turned_normals(extra, axes_matrix(axes).T)
    own = turned_offset(offset, axes, into_blender=False)
    table = to_columns(written, extra)
    if whole:
        table, own = with_doubles(table, own), NO_OFFSET
    write_parts(Path(path), {"vertex": table}, (*comments, *written_comments(axes, antialiased, own)))


def read_comments(comments: tuple[str, ...]) -> Marks:
    """What the comments of a PLY say about its splats; of several marks the last one counts."""
    named = [comment.removeprefix(AXES_COMMENT) for comment in comments if comment.startswith(AXES_COMMENT)]
    axes = next((name for name in named if name in ("BLENDER", "OPENGL")), None)
    modes = [RENDER_MODES[comment.strip().lower()] for comment in comments if comment.strip().lower() in RENDER_MODES]
    ups = [up for comment in comments if (up := _up(comment)) is not None]
    offsets = [found for comment in comments if comment.startswith(OFFSET_COMMENT)
               and (found := offset_from_words(comment.removeprefix(OFFSET_COMMENT))) is not None]
    return Marks(axes or "SUPERSPLAT", bool(modes and modes[-1]), ups[-1] if ups and axes is None else None,
                 offsets[-1] if offsets else NO_OFFSET)


def written_comments(axes: Axes, antialiased: bool, offset: Offset = NO_OFFSET) -> tuple[str, ...]:
    """What read_comments reads; the offset is in the file's axes."""
    return (*([f"{AXES_COMMENT}{axes}"] if axes != "SUPERSPLAT" else []), *([MIP_COMMENT] if antialiased else []),
            *([f"{OFFSET_COMMENT}{offset_words(offset)}"] if offset != NO_OFFSET else []))


def _up(comment: str) -> tuple[float, float, float] | None:
    """The direction that a comment of Brush names, as a letter or as a vector; None for other comments."""
    text = comment.strip().lower()
    if not text.startswith(UP_COMMENT):
        return None
    words = text.removeprefix(UP_COMMENT).split()
    try:
        up = UP_WORDS[words[0]] if len(words) == 1 else tuple(map(float, words))
    except (KeyError, ValueError):
        return None
    return up if len(up) == 3 and 0 < np.linalg.norm(up) < np.inf else None


def _stored(path: Path, header: PlyHeader, part: PlyPart, found: SplatColumns) -> StoredSplats:
    """The file's content; the table that it was read into is gone when this returns."""
    table = read_part(path, header, part)
    gaussians, notes = from_columns(table, found)
    gaussians, linear = _displayed(path, header, gaussians)
    gaussians, taken = _near_the_origin(table, gaussians)
    marks, rounded = read_comments(header.comments), rounding_note([table[name] for name in POSITION], gaussians.means, taken)
    x, y, z = (a + b for a, b in zip(marks.offset, taken, strict=True))
    notes = (*notes, *linear, *offset_note(taken), *rounded, *_faces_note(header))
    return StoredSplats(gaussians, marks.axes, marks.antialiased, extra_columns(table, found), notes, header.comments, up=marks.up,
                        offset=(x, y, z))


def _near_the_origin(table: np.ndarray, gaussians: Gaussians) -> tuple[Gaussians, Offset]:
    """Splats whose double-precision places are too large for float32, without their offset, which is in the file's axes."""
    if any(table.dtype[name].itemsize != 8 for name in POSITION):
        return gaussians, NO_OFFSET
    places = np.stack([table[name] for name in POSITION], axis=1).astype(np.float64)
    offset = offset_of(places)
    if offset == NO_OFFSET:
        return gaussians, NO_OFFSET
    with np.errstate(over="ignore", invalid="ignore"):
        return replace(gaussians, means=(places - np.array(offset)).astype(np.float32)), offset


def _displayed(path: Path, header: PlyHeader, gaussians: Gaussians) -> tuple[Gaussians, tuple[str, ...]]:
    """Colours as viewers show them, where ml-sharp says that they are linear light."""
    part = header.part(COLOR_SPACE)
    if part is None or not part.count or COLOR_SPACE not in part.names or read_part(path, header, part)[COLOR_SPACE][0] != LINEAR:
        return gaussians, ()
    light = sh0_to_rgb(gaussians.sh0).clip(0, None)
    shown = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return replace(gaussians, sh0=rgb_to_sh0(shown)), ("Its colours are linear light: they were turned into sRGB, which viewers expect.",)


def _faces_note(header: PlyHeader) -> tuple[str, ...]:
    return (f"It is a mesh too: its {header.faces:,} faces were left out.",) if header.faces else ()
