"""Splat files of a folder through our reader and every writer: `python -m tests.cases.splats FOLDER`.

A line for each file: what was read or said, what went wrong between the formats, and whether that is what its name promises.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.core.errors import UserError
from engine.core.formats.registry import FORMATS, PLY, SPLAT, SUFFIXES, Format, lost_in, read_splats, write_splats
from engine.core.formats.splat_file import SplatFile
from engine.core.formats.strange_values import spread_of
from engine.core.splats.gaussians import Gaussians

REFUSED = {
    "allnan.ply": "no usable splats", "empty.ply": "no usable splats", "v2_empty.spz": "no splats", "points.ply": "holds points",
    "odd.splat": "whole splats", "ksplat_named.splat": "whole splats", "ksplat_mod32.splat": "not a .splat",
    "ply_named.splat": "a PLY", "spz_named.splat": "SPZ", "spz_named.ply": "SPZ", "splat_named.ply": "not a PLY",
    "splat_named.spz": "not an SPZ", "x.ksplat": "SuperSplat", "x.sog": "SuperSplat", "rest48.ply": "48 view-dependent",
}
"""Files that cannot be read, and the words that say why."""

TOLD = {
    "far_4e6.ply": "3 splats lie far", "far_2e7.ply": "3 splats lie far", "tiny_scales.ply": "so small", "sky_scales.ply": "larger than",
    "utm_double.ply": "offset is remembered", "linear_scales.ply": "Scales Are Linear", "with_faces.ply": "mesh", "2dgs.ply": "flat",
    "nerfstudio_rgb.ply": "red, green", "deg4.ply": "degree 4", "v3_deg4.spz": "degree 4", "mlsharp_linear.ply": "linear light",
    "brush.ply": "is up",
}
"""Files that are read with a sentence, and its words."""

AXES_NAMED = {"v3_ext.spz", "v3_LUF.spz"}
"""SPZ that say which axes they have; the others are told that they do not."""

GRID = 2e-3
"""Of the spread: how far a format may move half of the places."""


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    happened: str
    expected: str
    fine: bool


def main(folder: Path) -> int:
    """Print the table; returns the number of files that are not as expected."""
    paths, start = sorted(path for path in folder.iterdir() if path.is_file()), time.perf_counter()
    wrong = 0
    for path in paths:
        outcome = outcome_of(path)
        wrong += not outcome.fine
        print(f"{'ok ' if outcome.fine else 'BAD'} {path.name:24} {outcome.happened} | expected: {outcome.expected}")
    print(f"{len(paths)} files, {wrong} not as expected, {time.perf_counter() - start:.1f} s")
    return wrong


def outcome_of(path: Path) -> Outcome:
    """Read a file, and write and read it again in every format."""
    expected = f"refused: {REFUSED[path.name]}" if path.name in REFUSED else f"read, {_sentence(path) or 'nothing to say'}"
    try:
        found = read_splats(path)
    except UserError as error:
        return Outcome(f"refused: {error.message}", expected, REFUSED.get(path.name, "\0") in f"{error.message} {error.hint}")
    except Exception as error:  # a table shows what broke, whatever it is
        return Outcome(f"{type(error).__name__}: {error}", expected, False)
    said, problems = " ".join(found.notes), round_trips(found)
    fine = path.name not in REFUSED and not problems and (_sentence(path) in said if _sentence(path) else not said)
    return Outcome("; ".join([f"read {len(found.gaussians):,}", *_dropped(found), *found.notes, *problems]), expected, fine)


def round_trips(found: SplatFile) -> list[str]:
    """What goes wrong from our own splats through each format and back."""
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for chosen in FORMATS:
            if problem := _attempt(lambda chosen=chosen: _round_trip(found, chosen, Path(folder) / f"a{chosen.suffix}")):
                problems.append(f"{chosen.name}: {problem}")
    return problems


def _round_trip(found: SplatFile, chosen: Format, path: Path) -> str:
    gaussians = found.gaussians
    write_splats(path, gaussians, chosen=chosen, extra=found.extra)
    again = read_splats(path, "SUPERSPLAT" if chosen is SPLAT else "AUTO")
    lost = " ".join(lost_in(chosen, gaussians))
    if len(again.gaussians) != len(gaussians) and "left out" not in lost:
        return f"{len(gaussians) - len(again.gaussians)} splats lost, nothing said"
    if chosen is PLY and found.extra is not None and (again.extra is None or not np.array_equal(again.extra, found.extra)):
        return "extra properties changed"
    moved = _half_moved(gaussians, again.gaussians)
    return f"half of the places moved by more than {moved:.2g} of the spread" if moved > GRID and "rounded" not in lost else ""


def _half_moved(before: Gaussians, after: Gaussians) -> float:
    """The median distance of what was read from the nearest that was written, by a sample, against the spread."""
    radius = spread_of(before.means).radius
    if not radius:
        return 0.0
    sample = after.means[:: max(1, len(after) // 100)]
    return float(np.median([np.linalg.norm(before.means - place, axis=1).min() for place in sample])) / radius


def _attempt(work: Callable[[], str]) -> str:
    try:
        return work()
    except Exception as error:  # a table shows what broke, whatever it is
        return f"{type(error).__name__}: {error}"


def _sentence(path: Path) -> str:
    guessed = "Turn Over" if path.suffix == ".spz" and path.name not in AXES_NAMED else ""
    return TOLD.get(path.name, guessed)


def _dropped(found: SplatFile) -> list[str]:
    return [f"{found.dropped} dropped"] if found.dropped else []


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit(f"Name the folder of the files ({', '.join(SUFFIXES)}).")
    sys.exit(min(main(Path(sys.argv[1])), 1))
