"""Quality on held-out views, of the file as it lies on the disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from ..core.errors import UserError
from ..core.files import write_text
from ..core.formats.registry import PLY, format_of
from ..core.protocol.events import Finished
from ..core.protocol.folder import JobFolder
from ..core.text import named
from .terminal import console, counted

ELSEWHERE = 12
"""PSNR in dB below which splats most likely lie elsewhere than in the images: an even grey has about as much."""

LIE_ELSEWHERE = (f"Splats of these images score more than {ELSEWHERE} dB even when they are bad. Were these moved, turned or scaled, as in "
                 "a layout, or trained from others? The folder of their training measures them where they were trained.")

if TYPE_CHECKING:
    from ..evaluation.lpips import Compare


def evaluate(
    scene: tyro.conf.Positional[Path],
    dataset: tyro.conf.Positional[Path | None] = None,
    resolution: int | None = None,
    lpips: bool | None = None,
    output: Path | None = None,
) -> int:
    """Measure a splat file, or the result of a training, on held-out views.

    Args:
        scene: a splat file, or a training's folder
        dataset: folder with the images and their cameras; default: the one that the splats were trained from
        resolution: longest image side in pixels; default: as in the training
        lpips: measure LPIPS too; default: where torch has AlexNet's weights
        output: a JSON file for the whole table
    """
    from ..evaluation.held_out import held_out_for
    from ..evaluation.measure import figures, mean_row, measure_file, table
    from ..evaluation.scene import splats_of

    path = splats_of(scene)
    held_out = held_out_for(scene, dataset, resolution)
    compare = None if lpips is False else _lpips(required=lpips is True)
    with counted("measuring", len(held_out.views)) as tick:
        rows = measure_file(path, held_out, compare, tick)
    print("\n".join(table(rows)))
    values = figures(rows)
    unmeasured = {view.name for view in held_out.views} - {row.name for row in rows}
    if unmeasured:
        console.print(f"Not measured, for they cannot be read or their mask hides all: {named(sorted(unmeasured))}.", style="yellow",
                      markup=False, highlight=False)
    if mean_row(rows).psnr < ELSEWHERE:
        console.print(LIE_ELSEWHERE, style="yellow", markup=False, highlight=False)
    if output:
        write_text(output, json.dumps({"file": str(path), "dataset": str(dataset or ""), **values}, indent=1))
    print(json.dumps({name: value for name, value in values.items() if name != "each"}))
    return 0


def exported_quality(path: Path, job: JobFolder, finished: Finished) -> tuple[float | None, float | None]:
    """PSNR and SSIM of a file that a job's result was exported to: measured on the file itself where its format rounds."""
    from ..evaluation.held_out import held_out_for
    from ..evaluation.measure import mean_row, measure_file

    if finished.psnr is None or format_of(path) is PLY:
        return finished.psnr, finished.ssim
    mean = mean_row(measure_file(path, held_out_for(job.path)))
    return mean.psnr, mean.ssim


def _lpips(required: bool) -> Compare | None:
    """The comparison where it can be had; UserError when it is asked for and cannot."""
    from ..evaluation.lpips import load_lpips

    try:
        return load_lpips()
    except UserError as error:
        if required:
            raise
        console.print(f"PSNR and SSIM alone. {error.message}", style="dim", markup=False, highlight=False)
        return None
