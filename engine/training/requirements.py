"""What settings ask for and an engine or a dataset cannot give, said before any time is spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..core.datasets.dataset import Dataset, View
from ..core.errors import UserError
from ..core.protocol.config import TrainConfig
from ..core.protocol.settings import about
from .backend import BackendName
from .engines import affordable_gaussians

MAPS: dict[str, tuple[str, Callable[[View], object]]] = {
    "depth_weight": ("depth", lambda view: view.depth),
    "normal_weight": ("normal", lambda view: view.normals),
}


def check_demands(config: TrainConfig, dataset: Dataset, engine: BackendName) -> None:
    """UserError for the first setting that `engine` does not support, or for which the dataset lacks the maps."""
    for name in TrainConfig.__dataclass_fields__:
        what = about(TrainConfig, name).gpu_only
        if engine == "cpu" and what and getattr(config, name):
            raise UserError(f"The built-in engine does not {what}.",
                            f"Set {name} to 0, choose a preset without it, or train on an NVIDIA GPU.", "engine.cannot", what=what,
                            name=name)
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
