"""What settings ask for and an engine or a dataset cannot give, said before any time is spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..core.datasets.dataset import Dataset, View
from ..core.errors import UserError
from ..core.protocol.config import TrainConfig
from .backend import BackendName
from .engines import affordable_gaussians

ONLY_ON_GPU = {
    "alpha_weight": "compare transparency directly; it learns it through the random background",
    "depth_weight": "learn from depth maps",
    "normal_weight": "learn from normal maps",
    "distortion_weight": "measure the spread of depth",
    "transmittance_weight": "push the opacity of pixels to 0 or 1",
    "needle_weight": "penalise needles",
    "lr_exposure": "correct the photos' exposure",
    "lr_poses": "correct the photos' poses",
}
"""Settings that the built-in engine has to leave at 0, and what it does not do."""

MAPS: dict[str, tuple[str, Callable[[View], object]]] = {
    "depth_weight": ("depth", lambda view: view.depth),
    "normal_weight": ("normal", lambda view: view.normals),
}


def check_demands(config: TrainConfig, dataset: Dataset, engine: BackendName) -> None:
    """UserError for the first setting that `engine` does not support, or for which the dataset lacks the maps."""
    for name, what in ONLY_ON_GPU.items():
        if engine == "cpu" and getattr(config, name):
            raise UserError(f"The built-in engine does not {what}.",
                            f"Set {name} to 0, choose a preset without it, or train on an NVIDIA GPU.", "engine.cannot", what=what)
    if engine == "cpu" and any(view.camera.orthographic for view in dataset.views):
        raise UserError("The built-in engine does not draw orthographic cameras.", "Use perspective cameras, or train on an NVIDIA GPU.",
                        "engine.orthographic")
    for name, (kind, path) in MAPS.items():
        if getattr(config, name) and not any(path(view) for view in dataset.train_views):
            raise UserError(f"{name} is {getattr(config, name)}, but the dataset has no {kind} maps.",
                            f"Set {name} to 0, or capture the dataset with {kind} maps.",
                            "training.no_maps", setting=name, value=getattr(config, name), kind=kind)


def settled(config: TrainConfig, dataset: Dataset, engine: BackendName) -> TrainConfig:
    """The settings with every `auto` decided, so that a job that is resumed elsewhere continues in the same way."""
    if config.max_gaussians:
        return config
    sides = np.array([(view.camera.width, view.camera.height) for view in dataset.train_views], float)  # [V, 2]
    reduced = sides * np.minimum(1, config.resolution / sides.max(axis=1, keepdims=True))
    return replace(config, max_gaussians=affordable_gaussians(config, engine, int(np.median(reduced.prod(axis=1)))))
