"""Finding cameras, beside plain pycolmap with its default options: `python -m tests.bench.bench_sfm [banana snowmiku]`.

Real photos with a given model lie in the folder that the variable SPLATWRIGHT_DATA names. Printed for each way:
photos with a camera, distance of
the camera centres to the given model's after the best similarity, as a share of its extent, wall and processor time, peak memory.
A camera that the given model hangs on a handful of points is no truth: it counts as a camera, not in the distances.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from engine.core.datasets.read import read_dataset
from tests.data import DATA

ROOT = Path(__file__).resolve().parents[2]
PLAIN = Path(__file__).with_name("plain_pycolmap.py")

HELD = 15
"""Points that a camera of the given model must see to be taken for true; COLMAP asks for twice as many."""

Centres = dict[str, np.ndarray]
"""Camera centres [3] by the stem of the photo's name."""


@dataclass(frozen=True)
class Cost:
    """What a process took, with all that it started."""

    seconds: float
    processor: float
    megabytes: float


def main() -> None:
    """Measure the sets that are named, or both."""
    for name in sys.argv[1:] or ("banana", "snowmiku"):
        if not (DATA / name / "images").is_dir():
            print(f"{name}: not measured, {DATA / name} is not there")
            continue
        print(name)
        with tempfile.TemporaryDirectory() as folder:
            measure_set(name, Path(folder))


def measure_set(name: str, folder: Path) -> None:
    """A line for our way, and one for the plain way."""
    photos, truth = DATA / name / "images", true_centres(DATA / name / "sparse" / "0")
    print(f"{'':12}{'cameras':>9}{'median %':>10}{'largest %':>11}{'wall s':>8}{'CPU s':>8}{'peak MB':>9}", flush=True)
    cost = run([sys.executable, "-m", "engine", "poses", str(photos), str(folder / "ours")])
    report("ours", centres(folder / "ours"), truth, photos, cost)
    plain = folder / "plain"
    plain.mkdir()
    cost = run([sys.executable, str(PLAIN), str(photos), str(plain)])
    report("pycolmap", model_centres(plain / "sparse" / "0"), truth, photos, cost)


def run(command: list[str]) -> Cost:
    """Run to the end, quietly; CalledProcessError when it fails."""
    begin = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(time.monotonic() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def centres(folder: Path) -> Centres:
    """Where the cameras of a dataset are."""
    return {Path(view.name).stem: view.camera.position for view in read_dataset(folder).views}


def model_centres(model: Path) -> Centres:
    """Where the cameras of a COLMAP model are."""
    return {Path(image.name).stem: image.projection_center() for image in pycolmap.Reconstruction(model).images.values()}


def true_centres(model: Path) -> Centres:
    """Where the cameras of the given model are; those that hang on too few points are named and left out."""
    held, loose = {}, []
    for image in pycolmap.Reconstruction(model).images.values():
        if image.num_points3D >= HELD:
            held[Path(image.name).stem] = image.projection_center()
        else:
            loose.append(f"{image.name} ({image.num_points3D} points)")
    print(f"not taken for true in the given model: {', '.join(loose)}" if loose else f"{len(held)} cameras taken for true")
    return held


def report(way: str, found: Centres, truth: Centres, photos: Path, cost: Cost) -> None:
    """One line of the table."""
    errors = 100 * errors_of(found, truth)
    print(f"{way:12}{f'{len(found)}/{len(list(photos.iterdir()))}':>9}{np.median(errors):10.3f}{errors.max():11.3f}"
          f"{cost.seconds:8.0f}{cost.processor:8.0f}{cost.megabytes:9.0f}", flush=True)


def errors_of(found: Centres, truth: Centres) -> np.ndarray:
    """Distances [N] of the common cameras after alignment, as shares of the largest distance between two true cameras."""
    common = sorted(set(found) & set(truth))
    ours, given = (np.array([side[name] for name in common]) for side in (found, truth))
    every = np.array(list(truth.values()))
    extent = np.linalg.norm(every[:, None] - every[None], axis=2).max()
    return np.linalg.norm(aligned(ours, given) - given, axis=1) / extent


def aligned(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Points [N, 3] moved by the similarity that brings them closest to `target` (Umeyama 1991)."""
    middle, goal = points.mean(axis=0), target.mean(axis=0)
    source, wanted = points - middle, target - goal
    left, values, right = np.linalg.svd(wanted.T @ source)
    measurements = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    scale = (values * measurements).sum() / (source**2).sum()
    return scale * source @ (left * measurements @ right).T + goal


if __name__ == "__main__":
    main()
