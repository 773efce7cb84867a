"""Splat files seen through the cameras of a dataset: scores and pictures for the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .core.config import TrainConfig
from .core.distortion import undistorted_camera
from .core.errors import UserError
from .core.formats import read_splats
from .core.png import write_png
from .core.sources import read_dataset
from .training.backend import Model, Target, choose_engine, create_model
from .training.evaluate import BLACK, Score, evaluate
from .training.targets import load_targets


def held_out_targets(dataset: Path, resolution: int) -> dict[str, Target]:
    """The held-out images of a dataset by view name; UserError when it has none."""
    views = read_dataset(dataset).eval_views
    if not views:
        raise UserError(f"{dataset} holds no views out.", "Measure on a dataset with at least three images.")
    return dict(zip((view.name for view in views), (pyramid.full for pyramid in load_targets(views, resolution)), strict=True))


def open_scene(scene: Path) -> tuple[Model, int]:
    """A splat file as a model, drawn as it was trained, and its SH degree."""
    file = read_splats(scene)
    config = TrainConfig(antialiased=file.antialiased, max_gaussians=max(1, len(file.gaussians)))
    return create_model(file.gaussians, config, choose_engine(config).engine), file.gaussians.sh_degree


def score_views(scene: Path, targets: dict[str, Target]) -> dict[str, Score]:
    """PSNR and SSIM of every target."""
    model, degree = open_scene(scene)
    scores = {name: evaluate(model, [target], degree) for name, target in targets.items()}
    model.close()
    return {name: score for name, score in scores.items() if score}


def render_views(scene: Path, dataset: Path, output: Path, resolution: int, all_views: bool) -> list[Path]:
    """Render the cameras of a dataset, held-out ones only unless told otherwise; returns the pictures written."""
    found = read_dataset(dataset)
    views = found.views if all_views or not found.eval_views else found.eval_views
    model, degree = open_scene(scene)
    written = []
    for view in views:
        pinhole = undistorted_camera(view.camera)
        factor = min(1.0, resolution / max(pinhole.width, pinhole.height))
        camera = pinhole.resized(max(1, round(pinhole.width * factor)), max(1, round(pinhole.height * factor)))
        image = model.render(camera, degree, BLACK).rgb
        written.append(output / f"{Path(view.name).stem}.png")
        write_png(written[-1], (image.clip(0, 1) * 255 + 0.5).astype(np.uint8))
    model.close()
    return written
