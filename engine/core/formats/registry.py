"""All splat formats: what each is called, what it can hold, how it is read and written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import open_shared
from ..splats.axes import Axes, AxesOrAuto
from ..splats.gaussians import Gaussians
from ..splats.offset import NO_OFFSET, Offset, read_offset_file, turned_offset, write_offset_file
from .compressed_ply import is_compressed_ply, lost_in_compressed_ply, read_compressed_ply, write_compressed_ply
from .dot_splat import lost_in_splat, read_splat, write_splat
from .ply import read_comments, read_ply, write_ply
from .ply_container import POSITION, read_ply_header
from .splat_file import SplatFile, turned_upright, with_linear_scales
from .spz import lost_in_spz, read_spz, write_spz


@dataclass(frozen=True)
class Format:
    """A splat format."""

    name: str
    label: str
    suffix: str
    holds: str  # for people
    sh_degree: int  # the highest that it can hold
    read: Callable[[Path, AxesOrAuto], SplatFile]
    write: Callable[[Path, Gaussians, Axes, bool], None]
    lost: Callable[[Gaussians], tuple[str, ...]]  # sentences for people about what writing leaves out or changes
    own_axes: Axes | None = None  # that its files always have


def _write_ply(path: Path, gaussians: Gaussians, axes: Axes, antialiased: bool) -> None:
    write_ply(path, gaussians, axes, antialiased=antialiased)


def _nothing(gaussians: Gaussians) -> tuple[str, ...]:
    return ()


def _write_splat(path: Path, gaussians: Gaussians, axes: Axes, antialiased: bool) -> None:
    write_splat(path, gaussians, axes)


PLY = Format("PLY", "PLY", ".ply", "Everything, exactly; large", 3, read_ply, _write_ply, _nothing)
COMPRESSED_PLY = Format("COMPRESSED_PLY", "Compressed PLY", ".compressed.ply", "Everything, rounded, in a quarter of the size", 3,
                        read_compressed_ply, write_compressed_ply, lost_in_compressed_ply)
SPZ = Format("SPZ", "SPZ", ".spz", "Everything, rounded, in a tenth of the size", 3, read_spz, write_spz, lost_in_spz)
SPZ_3 = Format("SPZ_3", "SPZ 3", ".spz", "SPZ as older programs read it, always in its own axes, OpenGL's", 3, read_spz,
               partial(write_spz, version=3), lost_in_spz, "OPENGL")
SPLAT = Format("SPLAT", "Splat", ".splat", "Colours that look the same from all sides, rounded", 0, read_splat, _write_splat, lost_in_splat)

FORMATS = (PLY, COMPRESSED_PLY, SPZ, SPZ_3, SPLAT)
SUFFIXES = tuple(dict.fromkeys(found.suffix for found in FORMATS))


MAGIC = {b"ply\n": "a PLY", b"ply\r": "a PLY", b"NGSP": "an SPZ", b"\x1f\x8b\x08": "a gzip (SPZ)", b"PK\x03\x04": "a ZIP or SOG"}
"""How the content of files begins, whatever they are called."""

OTHERS = (".ksplat", ".sog", ".splatv", ".rad")
"""Splat formats of other programs."""


def format_of(path: Path) -> Format:
    """The format that a file's name asks for; UserError when it is none of ours."""
    fitting = [found for found in FORMATS if path.name.lower().endswith(found.suffix)]
    if not fitting:
        other = "SuperSplat opens it and exports PLY. " if path.name.lower().endswith(OTHERS) else ""
        raise UserError(f"{path.name} is no splat file by its name.",
                        f"{other}Its name must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}.", "splats.ending", file=path.name,
                        other=other, suffixes=", ".join(SUFFIXES[:-1]), last=SUFFIXES[-1])
    return max(fitting, key=lambda found: len(found.suffix))  # the first of the longest


def format_named(name: str) -> Format | None:
    """The format of that name; None for AUTO."""
    return next((found for found in FORMATS if found.name == name), None)


def lost_in(chosen: Format, gaussians: Gaussians, extra_names: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Sentences for people about what the format cannot hold of these splats, and of their extra properties."""
    extra = (f"Left out, for {chosen.label} cannot hold it: {', '.join(extra_names)}.",) if extra_names and chosen is not PLY else ()
    return (*chosen.lost(gaussians), *extra)


def axes_lost(chosen: Format, axes: Axes) -> tuple[str, ...]:
    """A sentence where a format has axes of its own and others than the usual ones were asked for."""
    if chosen.own_axes in (None, axes) or axes == "SUPERSPLAT":
        return ()
    return (f"{chosen.label} always has its own axes: Y is up in it.",)


def read_splats(path: Path, axes: AxesOrAuto = "AUTO", linear_scales: bool = False, upright: bool = True) -> SplatFile:
    """Read a splat file of any format into Blender's world; AUTO trusts the file, and else takes its format's usual axes.

    With `linear_scales` the sizes in it are lengths instead of logarithms. Without `upright` an up that the file names turns nothing:
    beside the cameras that it was trained on.
    UserError in one sentence when it cannot be read, holds nothing, is of another kind than its name says, or too large for the memory.
    """
    path = Path(path)
    chosen = format_of(path)
    _refuse_misnamed(path, chosen)
    if chosen in (PLY, COMPRESSED_PLY):  # often named .ply alone
        chosen = COMPRESSED_PLY if is_compressed_ply(path) else PLY
    try:
        found = _with_offset_beside(path, chosen.read(path, axes))
        found = with_linear_scales(found) if linear_scales else found
        found = turned_upright(found) if upright else found
    except MemoryError:
        raise UserError(f"{path.name} does not fit into the memory.", "Close other programs, or make the file smaller.",
                        "splats.memory", file=path.name) from None
    if not len(found.gaussians):
        raise UserError(f"{path.name} holds no usable splats.", "Choose another file.", "splats.no_usable", file=path.name)
    return found


def stated_offset(path: Path) -> Offset | None:
    """The offset, in Blender's axes, that a splat file or the file beside it states; None where neither does. UserError as read_splats."""
    chosen = format_of(path)
    if chosen is PLY or chosen is COMPRESSED_PLY:
        header = read_ply_header(path)
        marks, part = read_comments(header.comments), header.part("vertex")
        if marks.offset != NO_OFFSET:
            return turned_offset(marks.offset, marks.axes, into_blender=True)
        if part is not None and any(part.dtype[name].itemsize == 8 for name in part.names if name.lower() in POSITION):
            return read_splats(path).offset  # what was taken from doubles stands nowhere
    beside = read_offset_file(path)
    return None if beside is None else turned_offset(beside, chosen.own_axes or _axes_of(path, chosen), into_blender=True)


def _axes_of(path: Path, chosen: Format) -> str:
    """The axes in which a file is read."""
    return read_splats(path).axes if chosen.name != SPLAT.name else "SUPERSPLAT"


def write_splats(
    path: Path, gaussians: Gaussians, axes: Axes = "SUPERSPLAT", antialiased: bool = False, chosen: Format | None = None,
    extra: np.ndarray | None = None, offset: Offset = NO_OFFSET,
) -> Format:
    """Write splats in the format that the file's name asks for, or in a chosen one; returns it. Never leaves half a file.

    `extra` [N] has a field for each property that splats do not have: PLY holds them. An `offset` (in Blender's axes) stands in the
    header of a PLY and in a file beside the splats.
    """
    path, chosen = Path(path), chosen or format_of(Path(path))
    if chosen is PLY:
        write_ply(path, gaussians, axes, antialiased=antialiased, extra=extra, offset=offset)
    elif chosen is COMPRESSED_PLY:
        write_compressed_ply(path, gaussians, axes, antialiased, offset)
    else:
        chosen.write(path, gaussians, axes, antialiased)
    write_offset_file(path, turned_offset(offset, chosen.own_axes or axes, into_blender=False))
    return chosen


def _with_offset_beside(path: Path, found: SplatFile) -> SplatFile:
    """What was read, with the offset of the file beside it where its own header holds none."""
    beside = read_offset_file(path) if found.offset == NO_OFFSET else None
    return replace(found, offset=turned_offset(beside, found.axes, into_blender=True)) if beside else found


def _refuse_misnamed(path: Path, chosen: Format) -> None:
    """Refuse a file whose first bytes are those of another format."""
    try:
        with open_shared(path) as file:
            head = file.read(4)
    except OSError:
        return  # the reader says what is wrong
    kind = next((kind for start, kind in MAGIC.items() if head.startswith(start)), None)
    if kind is not None and chosen.label.split()[-1] not in kind:
        raise UserError(f"{path.name} is {kind} file by its content, whatever its name says.",
                        "Give it the ending that fits, and try again.", "splats.other_content", file=path.name, kind=kind)
