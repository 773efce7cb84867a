"""All splat formats: what each is called, what it can hold, how it is read and written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..errors import UserError
from ..splats.axes import Axes, AxesOrAuto
from ..splats.gaussians import Gaussians
from .compressed_ply import is_compressed_ply, read_compressed_ply, write_compressed_ply
from .dot_splat import read_splat, write_splat
from .ply import read_ply, write_ply
from .splat_file import SplatFile
from .spz import read_spz, write_spz


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


def _write_ply(path: Path, gaussians: Gaussians, axes: Axes, antialiased: bool) -> None:
    write_ply(path, gaussians, axes, antialiased=antialiased)


def _write_splat(path: Path, gaussians: Gaussians, axes: Axes, antialiased: bool) -> None:
    write_splat(path, gaussians, axes)


PLY = Format("PLY", "PLY", ".ply", "Everything, exactly; large", 3, read_ply, _write_ply)
COMPRESSED_PLY = Format("COMPRESSED_PLY", "Compressed PLY", ".compressed.ply", "Everything, rounded, in a quarter of the size", 3,
                        read_compressed_ply, write_compressed_ply)
SPZ = Format("SPZ", "SPZ", ".spz", "Everything, rounded, in a tenth of the size", 3, read_spz, write_spz)
SPZ_3 = Format("SPZ_3", "SPZ 3", ".spz", "SPZ as older programs read it", 3, read_spz, partial(write_spz, version=3))
SPLAT = Format("SPLAT", "Splat", ".splat", "Colours that look the same from all sides, rounded", 0, read_splat, _write_splat)

FORMATS = (PLY, COMPRESSED_PLY, SPZ, SPZ_3, SPLAT)
SUFFIXES = tuple(dict.fromkeys(found.suffix for found in FORMATS))


def format_of(path: Path) -> Format:
    """The format that a file's name asks for; UserError when it is none of ours."""
    fitting = [found for found in FORMATS if path.name.lower().endswith(found.suffix)]
    if not fitting:
        raise UserError(f"{path.name} is no splat file by its name.", f"Its name must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}.")
    return max(fitting, key=lambda found: len(found.suffix))  # the first of the longest


def format_named(name: str) -> Format | None:
    """The format of that name; None for AUTO."""
    return next((found for found in FORMATS if found.name == name), None)


def lost_in(chosen: Format, gaussians: Gaussians) -> tuple[str, ...]:
    """Sentences about what the format cannot hold of these splats; empty when it holds all."""
    if gaussians.sh_degree <= chosen.sh_degree:
        return ()
    return (f"{chosen.label} cannot hold colour that changes with the view: it was left out.",)


def read_splats(path: Path, axes: AxesOrAuto = "AUTO") -> SplatFile:
    """Read a splat file of any format into Blender's world; AUTO trusts the file, and else takes its format's usual axes.

    UserError in one sentence when it cannot be read, holds nothing, or is too large for the memory.
    """
    path = Path(path)
    chosen = format_of(path)
    if chosen in (PLY, COMPRESSED_PLY):  # often named .ply alone
        chosen = COMPRESSED_PLY if is_compressed_ply(path) else PLY
    try:
        found = chosen.read(path, axes)
    except MemoryError:
        raise UserError(f"{path.name} does not fit into the memory.", "Close other programs, or make the file smaller.") from None
    if not len(found.gaussians):
        raise UserError(f"{path.name} holds no usable splats.", "Choose another file.")
    return found


def write_splats(
    path: Path, gaussians: Gaussians, axes: Axes = "SUPERSPLAT", antialiased: bool = False, chosen: Format | None = None,
) -> Format:
    """Write splats in the format that the file's name asks for, or in a chosen one; returns it. Never leaves half a file."""
    chosen = chosen or format_of(Path(path))
    chosen.write(Path(path), gaussians, axes, antialiased)
    return chosen
