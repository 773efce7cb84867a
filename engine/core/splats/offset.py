"""What is taken from places whose numbers are too large for single precision, so that nothing of them is lost.

Survey coordinates (UTM, national grids) have seven digits before the point; float32 holds seven digits in all. An offset is a vector in
double precision: place + offset is where the source put it. It is a round number, so that people can read it, and it is none for
everything that float32 holds well.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ..files import remove_file, write_text
from .axes import axes_matrix

Offset = tuple[float, float, float]
"""In Blender's axes where nothing else is said."""

NO_OFFSET: Offset = (0.0, 0.0, 0.0)

FARTHEST = 50.0
"""Times the spread of places that their middle may be from the origin: beyond, float32 is coarser than the last steps of a training."""

SAMPLE = 10_000
FILE_ENDING = "_offset.xyz"
"""Three numbers in a text file beside the splats, as Pix4D and programs after it write them: `scene_ply_offset.xyz` for scene.ply."""


def offset_of(places: np.ndarray) -> Offset:
    """The offset that places [N, 3], float64, need; NO_OFFSET for all that float32 holds well. A few stray places do not change it.

    Its grid is a power of ten no smaller than the places' spread, so that a place more or less seldom changes it.
    """
    sample = places[np.isfinite(places).all(axis=1)][:: max(1, len(places) // SAMPLE)]
    if not len(sample):
        return NO_OFFSET
    middle = np.median(sample, axis=0)
    spread = float(np.median(np.linalg.norm(sample - middle, axis=1)))
    if not spread or np.abs(middle).max() <= FARTHEST * spread:
        return NO_OFFSET
    digits = -math.ceil(math.log10(spread))
    x, y, z = (round(float(value), digits) + 0.0 for value in middle)  # the nearest to a decimal number, which people read as it is
    return x, y, z


def turned_offset(offset: Offset, axes: str, into_blender: bool) -> Offset:
    """An offset of a file in `axes` in Blender's, or the inverse."""
    matrix = axes_matrix(axes)[:3, :3]
    x, y, z = ((matrix if into_blender else matrix.T) @ np.array(offset) + 0.0).tolist()
    return x, y, z


def offset_words(offset: Offset) -> str:
    """Three numbers, exactly: whole ones without a point."""
    return " ".join(str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value) for value in offset)


def offset_from_words(text: str) -> Offset | None:
    """The inverse of offset_words; None for anything else."""
    try:
        values = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        return None
    return (values[0], values[1], values[2]) if len(values) == 3 and all(map(math.isfinite, values)) else None


def offset_file(path: Path) -> Path:
    """The file beside splats that holds their offset."""
    return path.with_name(path.name.replace(".", "_") + FILE_ENDING)


def write_offset_file(path: Path, offset: Offset) -> None:
    """Write the file beside splats at `path`, in their own axes; one that is there is removed where there is no offset. UserError."""
    beside = offset_file(path)
    if offset != NO_OFFSET:
        write_text(beside, offset_words(offset) + "\n")
    elif read_offset_file(path) is not None:
        remove_file(beside)


def read_offset_file(path: Path) -> Offset | None:
    """What the file beside splats says; None where there is none, or it says something else."""
    try:
        return offset_from_words(offset_file(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError):
        return None


def rounding_of(places: np.ndarray, offset: Offset) -> float:
    """How far places [N, 3] move at most when they are written in float32 with their offset added."""
    whole = places.astype(np.float64) + np.array(offset)
    return float(np.abs(whole - whole.astype(np.float32)).max(initial=0.0))


def millimetres(length: float) -> str:
    """A length in units of the scene as people read it."""
    return f"{1000 * length:.3g} mm (where a unit is a metre)"
