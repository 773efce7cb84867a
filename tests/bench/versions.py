"""Whole steps of the built-in engine in two versions, in turns: ratios that a busy machine does not touch, by thread time.

The other version is taken from git, with its own code and kernels, compiled as that version compiles them.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

from engine.training.cpu.library import fitting_builds

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "versions"
ROUNDS = 6


def compare(commit: str, counts: Sequence[int], sizes: Sequence[int], seconds: float) -> None:
    """Print milliseconds of a step on one core by instruction set, without and with absolute gradients, and geometric means of ratios."""
    roots = {"before": checkout(commit), "now": ROOT}
    ratios: dict[tuple[str, bool], list[float]] = {}
    print(f"Gaussians  side  {'kernels':32} absolute gradients   before ms     now ms   ratio")
    for count, size, build, absolute in product(counts, sizes, fitting_builds(), (False, True)):
        took = least(roots, build, (count, size, absolute), seconds)
        ratio = took["before"] / took["now"]
        ratios.setdefault((build, absolute), []).append(ratio)
        print(f"{count:9,d} {size:5d}  {build:32} {'yes' if absolute else 'no':18} {took['before']:11.1f} {took['now']:10.1f} {ratio:7.2f}",
              flush=True)
    for (build, absolute), found in ratios.items():
        mean = math.exp(sum(map(math.log, found)) / len(found))
        print(f"{build}{', absolute gradients' if absolute else ''}: geometric mean {mean:.2f}, least {min(found):.2f}")


def checkout(commit: str) -> Path:
    """The engine of another version with its kernels; made once."""
    name = subprocess.run(["git", "rev-parse", commit], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    folder = CACHE / name
    if not folder.exists():
        packed = subprocess.run(["git", "archive", name, "engine"], cwd=ROOT, check=True, capture_output=True).stdout
        making = folder.with_suffix(".making")
        shutil.rmtree(making, ignore_errors=True)
        with tarfile.open(fileobj=BytesIO(packed)) as archive:
            archive.extractall(making, filter="data")
        subprocess.run([sys.executable, "-m", "engine.training.cpu.build"], cwd=making, check=True, env=environment(making))
        making.rename(folder)
    return folder


def least(roots: dict[str, Path], build: str, case: tuple[int, int, bool], seconds: float) -> dict[str, float]:
    """Milliseconds of the quickest step of each version, taken in turns."""
    found = dict.fromkeys(roots, math.inf)
    with workers(roots, build, case) as running:
        for _ in range(ROUNDS):
            for name, worker in running.items():
                worker.stdin.write(f"{seconds / ROUNDS}\n")
                worker.stdin.flush()
                found[name] = min(found[name], json.loads(worker.stdout.readline()))
    return found


@contextmanager
def workers(roots: dict[str, Path], build: str, case: tuple[int, int, bool]) -> Iterator[dict[str, Any]]:
    """A process for each version, with these kernels and the plain ones, which say what the computer runs."""
    running: dict[str, Any] = {}
    try:
        for name, root in roots.items():
            libraries = CACHE / f"{name} {build}"
            libraries.mkdir(exist_ok=True)
            for needed in {fitting_builds()[0], build}:
                shutil.copy(root / "engine" / "training" / "cpu" / "lib" / needed, libraries)
            running[name] = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.step_worker", *map(str, map(int, case))], cwd=root, text=True,
                env={**environment(root), "SPLATWRIGHT_KERNELS": str(libraries)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        yield running
    finally:
        for worker in running.values():
            worker.communicate()


def environment(root: Path) -> dict[str, str]:
    """The version's own engine, and these measurements."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(ROOT)]), "PYTHONSAFEPATH": "1"}
