"""The table of a splat file's quality: every held-out view, and the mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import UserError
from ..core.former_imports import former_members
from ..training.backend import Target
from ..training.evaluate import ViewScore, compared, evaluate_each
from .held_out import HeldOut
from .lpips import Compare
from .scene import SplatScene, opened

if not TYPE_CHECKING:
    __getattr__ = former_members(__name__)


@dataclass(frozen=True)
class ViewRow:
    """Figures of one view: PSNR in dB and SSIM, higher is better; LPIPS, lower is better, None where it is not measured."""

    name: str
    psnr: float
    ssim: float
    lpips: float | None = None


def measure_file(path: Path, held_out: HeldOut, lpips: Compare | None = None, tick: Callable[[], None] = lambda: None) -> list[ViewRow]:
    """Read a splat file from the disk and measure what is in it; UserError when the masks leave nothing to measure."""
    with opened(path, held_out.config) as scene:
        rows = [row for named in held_out.targets() for row in _rows(scene, named, lpips, tick)]
    if not rows:
        raise UserError("The masks of all held-out views hide everything.", "Fix the masks, or hold out other views.")
    return rows


def _rows(scene: SplatScene, named: tuple[str, Target], lpips: Compare | None, tick: Callable[[], None]) -> Iterable[ViewRow]:
    scores: list[ViewScore] = evaluate_each(scene.model, [named], scene.gaussians.sh_degree, tick)
    for score in scores:
        distance = None if lpips is None else lpips(*compared(scene.model, named[1], scene.gaussians.sh_degree))
        yield ViewRow(score.name, score.psnr, score.ssim, distance)


def mean_row(rows: list[ViewRow]) -> ViewRow:
    """The mean over the views."""
    lpips = [row.lpips for row in rows if row.lpips is not None]
    return ViewRow("mean", float(np.mean([row.psnr for row in rows])), float(np.mean([row.ssim for row in rows])),
               float(np.mean(lpips)) if lpips else None)


def table(rows: list[ViewRow]) -> list[str]:
    """Lines for a terminal: a heading with the names of the figures, the views, the mean."""
    width = max(len("view"), *(len(row.name) for row in rows))
    lpips = rows[0].lpips is not None
    heading = f"{'held-out view':{max(width, 13)}}  PSNR/dB    SSIM" + ("   LPIPS" if lpips else "")
    return [heading, *(_line(row, max(width, 13)) for row in (*rows, mean_row(rows)))]


def _line(row: ViewRow, width: int) -> str:
    return f"{row.name:{width}}  {row.psnr:7.2f}  {row.ssim:6.4f}" + ("" if row.lpips is None else f"  {row.lpips:6.4f}")


def figures(rows: list[ViewRow]) -> dict[str, object]:
    """The table as plain values."""
    mean = mean_row(rows)
    lpips = {} if mean.lpips is None else {"lpips": round(mean.lpips, 4)}
    return {"psnr": round(mean.psnr, 3), "ssim": round(mean.ssim, 4), **lpips, "views": len(rows), "held_out": True,
            "each": [{name: value for name, value in asdict(row).items() if value is not None} for row in rows]}
