"""The command that writes a splat file anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from tyro.conf import Positional

from ..core.errors import UserError
from ..core.formats.ply import write_ply
from ..core.formats.registry import PLY, Format, axes_lost, format_named, format_of, lost_in, read_splats, write_splats
from ..core.formats.splat_file import SplatFile, left_behind
from ..core.splats.axes import Axes, AxesOrAuto
from ..core.splats.offset import NO_OFFSET, millimetres, offset_file, offset_words, rounding_of, write_offset_file

OffsetMeaning = Literal["KEEP", "ADD", "ADD_DOUBLE"]
FormatName = Literal["AUTO", "PLY", "COMPRESSED_PLY", "SPZ", "SPZ_3", "SPLAT"]


def convert(
    source: Positional[Path],
    output: Positional[Path],
    axes: Axes = "SUPERSPLAT",
    source_axes: AxesOrAuto = "AUTO",
    format: FormatName = "AUTO",
    linear_scales: bool = False,
    offset: OffsetMeaning = "KEEP",
) -> int:
    """Convert a splat file: to another format or other axes. What no viewer can draw is left out.

    Args:
        source: a splat file: PLY, compressed PLY, SPZ or .splat
        output: where the copy goes; its name chooses the format
        axes: orientation of the copy
        source_axes: orientation of the source, where the file does not say it or says it wrongly
        format: of the copy, where its name does not say it
        linear_scales: the source's sizes are lengths instead of logarithms
        offset: of survey coordinates: KEEP leaves the splats near the origin and states it in the copy's header and in a file beside
            it; ADD adds it, rounded to single precision; ADD_DOUBLE adds it in double precision (PLY alone)
    """
    chosen = format_named(format) or format_of(output)
    found = read_splats(source, source_axes, linear_scales)
    notes = _write(output, found, axes, chosen, offset)
    for note in (*left_behind(found), *lost_in(chosen, found.gaussians, found.extra_names), *axes_lost(chosen, axes), *notes):
        print(note)
    print(f"{len(found.gaussians)} Gaussians written to {output}")
    return 0


def _write(output: Path, found: SplatFile, axes: Axes, chosen: Format, meaning: OffsetMeaning) -> tuple[str, ...]:
    """Write the copy; returns what is to be said about the offset of its coordinates."""
    if meaning == "ADD_DOUBLE" and chosen is not PLY:
        raise UserError(f"{chosen.label} holds no double precision.", "Write a PLY, or choose --offset ADD.")
    if meaning == "KEEP" or found.offset == NO_OFFSET:
        write_splats(output, found.gaussians, axes, found.antialiased, chosen, found.extra, found.offset)
        return () if found.offset == NO_OFFSET else (
            f"Its offset ({', '.join(offset_words(found.offset).split())}), in Blender's axes, was kept apart: {offset_file(output).name} "
            "holds it in those of the file; --offset ADD adds it.",)
    if meaning == "ADD_DOUBLE":
        write_ply(output, found.gaussians, axes, antialiased=found.antialiased, extra=found.extra, offset=found.offset, whole=True)
        write_offset_file(output, NO_OFFSET)
        return ("Its offset was added in double precision.",)
    means = (found.gaussians.means.astype(np.float64) + found.offset).astype(np.float32)
    write_splats(output, replace(found.gaussians, means=means), axes, found.antialiased, chosen, found.extra)
    loss = millimetres(rounding_of(found.gaussians.means, found.offset))
    return (f"Its offset was added: single precision moved places by up to {loss}.",)
