"""Held-out PSNR over seconds of training: ours, and the prototype's on the same square images."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from engine.core.datasets.dataset import Dataset, View
from engine.core.datasets.read import read_dataset
from engine.core.datasets.transforms_json import write_transforms
from engine.core.protocol.config import PRESETS, PresetName, TrainConfig
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.training.data.images import read_image
from engine.training.data.targets import load_pyramid
from engine.training.engines import create_model
from engine.training.evaluate import BLACK, composed, evaluate
from engine.training.group import SOLO
from engine.training.run import Run, close, prepare
from engine.training.schedule import sh_degree_at
from engine.training.trainer import learn, refine
from tests.bench import cores, prototype
from tests.bench.prototype import Curve
from tests.data import DATA

ROOT = Path(__file__).resolve().parents[2]
SIZE = 400
MEASUREMENTS = 25
MARKS = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0)
PROTOTYPE: dict[PresetName, dict[str, float]] = {
    "quick-look": {"steps": 700, "cap": 30_000, "quarter": 0.3, "half": 0.4},
    "preview": {"steps": 2500, "cap": 50_000, "quarter": 0.15, "half": 0.45},
}
"""Presets of the built-in engine, and what the prototype's notes call the best for these times."""


def scenes() -> dict[str, Path]:
    """The datasets that are there; the sample scene is rendered when it is missing."""
    sample, photos = ROOT / "out" / "sample", DATA / "snowmiku"
    if not (sample / "transforms.json").exists():
        subprocess.run([sys.executable, "-m", "demo.capture", "sample", str(sample)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return {"sample scene": sample} | ({"snowmiku": photos} if photos.exists() else {})


def square_copy(source: Path, folder: Path) -> Path:
    """The middle of every image at SIZE pixels, as a dataset; the same over black, for it knows no alpha, for the prototype."""
    dataset = read_dataset(source)
    (folder / "images").mkdir(parents=True)
    copy = Dataset(folder, tuple(_square_view(view, folder) for view in dataset.views), dataset.points)
    write_transforms(copy)
    _write_for_prototype(copy, folder / "prototype")
    return folder


def _square_view(view: View, folder: Path) -> View:
    longest_to_shortest = max(view.camera.width, view.camera.height) / min(view.camera.width, view.camera.height)
    target = load_pyramid(view, math.ceil(SIZE * longest_to_shortest)).full
    left, top = (target.camera.width - SIZE) // 2, (target.camera.height - SIZE) // 2
    path = folder / "images" / f"{Path(view.name).stem}.png"
    Image.fromarray(target.image[top : top + SIZE, left : left + SIZE]).save(path)
    camera = replace(target.camera, width=SIZE, height=SIZE, cx=target.camera.cx - left, cy=target.camera.cy - top)
    return View(path.stem, path, camera, view.held_out)


def _write_for_prototype(dataset: Dataset, folder: Path) -> None:
    folder.mkdir()
    camera = dataset.views[0].camera
    lens = {name: getattr(camera, name) for name in ("fl_x", "fl_y", "cx", "cy")}
    for name, views in (("transforms.json", dataset.train_views), ("transforms_test.json", dataset.eval_views)):
        frames = [{"file_path": view.image.name, "transform_matrix": view.camera.camera_to_world.tolist()} for view in views]
        for view in views:
            pixels = composed(read_image(view.image), BLACK) * 255 + 0.5
            Image.fromarray(pixels.astype(np.uint8)).save(folder / view.image.name)
        (folder / name).write_text(json.dumps(lens | {"frames": frames}))
    assert dataset.points is not None
    np.savez(folder / "pts.npz", p=dataset.points.positions.astype(np.float32), c=dataset.points.colors)


def our_curve(data: Path, preset: PresetName) -> Curve:
    """Train as the trainer does, measuring with the clock stopped; over black, which is all that the prototype can."""
    config = TrainConfig(**{**PRESETS[preset].settings, "background": "black", "backend": "cpu"})
    job = JobFolder(Path(tempfile.mkdtemp(prefix="splatwright-bench-")) / "job")
    job.write_spec(JobSpec(data, config))
    with cores.first():
        with cores.one_each():
            run = prepare(job, lambda event: None, SOLO, create_model)
        curve = list(_measured(run))
        close(run)
    return curve


def _measured(run: Run) -> Curve:
    seconds, curve = 0.0, []
    while run.step < run.config.max_steps:
        start = time.perf_counter()
        learn(run)
        refine(run)
        run.step += 1
        seconds += time.perf_counter() - start
        if run.step % (run.config.max_steps // MEASUREMENTS) == 0:
            score = evaluate(run.model, run.held_out.each(), sh_degree_at(run.step, run.config))
            curve.append((seconds, score.psnr if score else 0.0))
    return curve


def best_until(curve: Curve, seconds: float) -> float | None:
    """The last PSNR that was measured by then."""
    return max((measured for measured in curve if measured[0] <= seconds), default=(0.0, None))[1]


def compare() -> dict[str, Curve]:
    """Print the curves of every scene and preset at some seconds, and return them whole."""
    print(" " * 26 + "".join(f"{mark:8.0f}" for mark in MARKS))
    curves: dict[str, Curve] = {}
    with tempfile.TemporaryDirectory(prefix="splatwright-bench-") as folder:
        for scene, source in scenes().items():
            data = square_copy(source, Path(folder) / scene)
            for preset in PROTOTYPE:
                label = f"{scene}, {PRESETS[preset].label.lower()}"
                curves[label] = our_curve(data, preset)
                _print_curve(label, curves[label])
                if prototype.is_there():
                    curves[f"{label}, prototype"] = prototype.training_curve(data / "prototype", **PROTOTYPE[preset])
                    _print_curve("  prototype", curves[f"{label}, prototype"])
    return curves


def _print_curve(label: str, curve: Curve) -> None:
    ended, last = curve[-1]
    values = [best_until(curve, mark) if mark <= ended else None for mark in MARKS]
    columns = "".join(f"{value:8.2f}" if value else " " * 8 for value in values)
    print(f"{label:26}{columns}   {last:.2f} dB at {ended:.1f} s", flush=True)


def draw(curves: dict[str, Curve], path: Path) -> None:
    """All curves in one picture: ours drawn through, the prototype's dashed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 5))
    colors: dict[str, str] = {}
    for label, curve in curves.items():
        base = label.removesuffix(", prototype")
        [line] = axes.plot(*zip(*curve, strict=True), "-" if base == label else "--", color=colors.get(base), label=label)
        colors[base] = line.get_color()
    axes.set(xscale="log", xlabel="seconds of training", ylabel="PSNR on held-out views, dB")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")
    print(f"drawn: {path}")
