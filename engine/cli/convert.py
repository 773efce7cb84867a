"""The command that writes a splat file anew."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from ..core.formats.registry import axes_lost, format_named, format_of, lost_in, read_splats, write_splats
from ..core.formats.splat_file import left_behind
from ..core.splats.axes import Axes, AxesOrAuto

FormatName = Literal["AUTO", "PLY", "COMPRESSED_PLY", "SPZ", "SPZ_3", "SPLAT"]


def convert(
    source: Positional[Path],
    output: Positional[Path],
    axes: Axes = "SUPERSPLAT",
    source_axes: AxesOrAuto = "AUTO",
    format: FormatName = "AUTO",
    linear_scales: bool = False,
) -> int:
    """Convert a splat file: to another format or other axes. What no viewer can draw is left out.

    Args:
        source: a splat file: PLY, compressed PLY, SPZ or .splat
        output: where the copy goes; its name chooses the format
        axes: orientation of the copy
        source_axes: orientation of the source, where the file does not say it or says it wrongly
        format: of the copy, where its name does not say it
        linear_scales: the source's sizes are lengths instead of logarithms
    """
    chosen = format_named(format) or format_of(output)
    found = read_splats(source, source_axes, linear_scales)
    write_splats(output, found.gaussians, axes, found.antialiased, chosen, found.extra)
    for note in (*left_behind(found), *lost_in(chosen, found.gaussians, found.extra_names), *axes_lost(chosen, axes)):
        print(note)
    print(f"{len(found.gaussians)} Gaussians written to {output}")
    return 0
