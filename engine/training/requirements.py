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
from .init.region_start import check_region
from .init.splat_start import warmed

MAPS: dict[str, tuple[str, Callable[[View], object]]] = {
    "depth_weight": ("depth", lambda view: view.depth),
    "normal_weight": ("normal", lambda view: view.normals),
}


FEWEST_PHOTOS = {"lr_exposure": 2, "lr_poses": 3}
"""Of one photo the exposure is the scene's own; and two poses that move can be explained by a scene that grows."""

GUIDES = {"depth_weight": 0.1, "normal_weight": 0.05}
"""Weights of maps that are used because they are there."""

GUIDED_ALPHA = 0.1
"""Of transparency beside them: rendered images know it exactly."""


def guided(config: TrainConfig, dataset: Dataset) -> TrainConfig:
    """The settings with weights for the depth and normal maps that the dataset has; those that are set are kept."""
    there = {"depth_weight": dataset.mapped("depth"), "normal_weight": dataset.mapped("normals")}
    found = {name: weight for name, weight in GUIDES.items() if config.guides and there[name] and not getattr(config, name)}
    if found and not config.alpha_weight:
        found["alpha_weight"] = GUIDED_ALPHA
    return replace(config, guides=False, **found)


def check_demands(config: TrainConfig, dataset: Dataset, engine: BackendName) -> None:
    """UserError for cameras that `engine` does not draw, a region that none sees, and the first setting whose maps the dataset lacks."""
    if engine == "cpu" and any(view.camera.orthographic for view in dataset.views):
        raise UserError("The built-in engine does not draw orthographic cameras.", "Use perspective cameras, or train on an NVIDIA GPU.",
                        "engine.orthographic")
    check_region(dataset)
    views = len(dataset.train_views)
    for name, fewest in FEWEST_PHOTOS.items():
        if getattr(config, name) and views < fewest:
            raise UserError(f"{name} is {getattr(config, name)}, but there are {views} photos to train on, and it takes {fewest}.",
                            f"Set {name} to 0, or add photos.", "training.few_photos", setting=name, value=getattr(config, name),
                            views=views, fewest=fewest)
    for name, (kind, path) in MAPS.items():
        if getattr(config, name) and not any(path(view) for view in dataset.train_views):
            raise UserError(f"{name} is {getattr(config, name)}, but the dataset has no {kind} maps.",
                            f"Set {name} to 0, or capture the dataset with {kind} maps.",
                            "training.no_maps", setting=name, value=getattr(config, name), kind=kind)


def settled(config: TrainConfig, dataset: Dataset, engine: BackendName) -> TrainConfig:
    """The settings with every `auto` decided, so that a job that is resumed elsewhere continues in the same way."""
    config = guided(config if dataset.start_file is None else warmed(config), dataset)
    if config.max_gaussians:
        return config
    sides = np.array([(view.camera.width, view.camera.height) for view in dataset.train_views], float)  # [V, 2]
    reduced = sides * np.minimum(1, config.resolution / sides.max(axis=1, keepdims=True))
    return replace(config, max_gaussians=affordable_gaussians(config, engine, int(np.median(reduced.prod(axis=1)))))
