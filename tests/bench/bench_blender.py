"""Speed and memory of splats in Blender: `make bench-blender`, or `python -m tests.bench.bench_blender [splats ...]`.

Beside Blender's stock PLY import and splat-transform (from npm), in the same run on the same file. Each program runs in a process of
its own, which tells how much memory it took at its peak. Every time is the best of some runs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.core.formats.ply import write_ply
from tests.bench.bench_formats import trained_like
from tests.peer.peers import splat_transform

MEASURED_BY = "tests.bench.splats_in_blender"
COUNTS = (1_000_000, 5_000_000)


@dataclass(frozen=True)
class Goal:
    """What a million splats of degree 3 may take at most."""

    name: str
    most: float
    unit: str = "s"


LONGEST_STEP = 0.05
"""Seconds of processor time that the main thread may work before Blender answers."""

GOALS = (Goal("import", 1.0), Goal("export with transform", 2.0), Goal("preview of 200k rewritten", 0.05),
         Goal("memory peak of import / file", 2.5, "x"), Goal("longest step of the import", LONGEST_STEP),
         Goal("longest step of a preview of 200k", LONGEST_STEP))
DRAWN = Goal("longest step of the first draw, without painting", LONGEST_STEP)
"""Measured where this Blender draws without a window."""


def main() -> int:
    """Print a table for each count; 1 when a million splats miss a goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", nargs="*", type=int, default=COUNTS)
    missed = [name for count in parser.parse_args().counts for name in measure(count)]
    return 1 if missed else 0


def measure(count: int) -> list[str]:
    """Measure one number of splats; the goals that were missed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.ply"
        write_ply(path, trained_like(count))
        print(f"\n{count:,} splats, SH degree 3, a PLY of {path.stat().st_size / 1e6:.0f} MB", flush=True)
        ours = in_blender("ours", path)
        show("Splatwright", ours)
        show("Blender's wm.ply_import", in_blender("stock", path))
        show("splat-transform", {"PLY to PLY": converting(path, Path(folder) / "out.ply")})
    return judge(ours) if count == COUNTS[0] else []


def in_blender(what: str, path: Path) -> dict[str, float]:
    """What a fresh Blender measures."""
    done = subprocess.run([sys.executable, "-m", MEASURED_BY, what, str(path)], capture_output=True, text=True, timeout=900)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURES ")]
    if not lines:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    return json.loads(lines[-1].removeprefix("FIGURES "))


def converting(source: Path, output: Path) -> float:
    """Seconds of splat-transform for reading and writing; NaN where it cannot be installed."""
    try:
        splat_transform("--version")  # installs it
        return best(lambda: splat_transform("-w", source, "-r", "0,30,0", output), 2)
    except pytest.skip.Exception as skipped:
        print(f"  {skipped}")
        return float("nan")


def best(work: Callable[[], object], runs: int = 3) -> float:
    """Seconds of the quickest run."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def show(program: str, figures: dict[str, float]) -> None:
    print(f"  {program}")
    for name, figure in figures.items():
        print(f"    {name:40}{figure:9.3f} {'x' if '/' in name else 's'}", flush=True)


def judge(figures: dict[str, float]) -> list[str]:
    """Say which goals are met; the names of the others."""
    goals = (*GOALS, DRAWN) if DRAWN.name in figures else GOALS
    missed = [goal.name for goal in goals if not figures[goal.name] <= goal.most]
    for goal in goals:
        print(f"  {'MISSED' if goal.name in missed else 'met   '} {goal.name}: {figures[goal.name]:.3f} of {goal.most} {goal.unit}")
    return missed


if __name__ == "__main__":
    raise SystemExit(main())
