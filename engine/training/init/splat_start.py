"""Trainings that begin with splats: which of them, where they lie, and the settings that leave them what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...core.cameras.camera import Camera
from ...core.datasets.dataset import Dataset
from ...core.datasets.spread import scene_scale
from ...core.errors import UserError, values
from ...core.formats.registry import read_splats
from ...core.protocol.config import TrainConfig
from ...core.protocol.events import Finding
from ...core.splats.gaussians import Gaussians, drawable
from ..strategies.mcmc import sigmoid

LOOKED_AT = 5_000
"""Splats that are looked for in the cameras' images."""

LEAST_SEEN = 0.02
"""Share of the splats that some camera must see."""

FARTHEST = 30.0
"""Scene lengths that seen splats may lie from their nearest camera, by the median: files of another unit are off by a hundred or more."""

NEVER = 1_000_000
WARM: dict[str, Any] = {"quarter_until": 0.0, "half_until": 0.0, "full_sh_at": 0.0, "reset_every": NEVER, "strategy": "mcmc"}
"""Small images, colours without view dependence and transparent Gaussians are what a training from nothing begins with. The strategy mcmc
leaves the image as it was where it copies a Gaussian; a split of a large one cost 2 dB, which gentle rates took long to win back."""

GENTLEST = {"lr_means": 8e-5, "lr_scales": 4e-3, "lr_opacities": 2e-2, "lr_quats": 1e-3, "lr_sh0": 2e-3}
"""Learning rates at most: the first steps of Adam are as long as the rate, wherever the optimum is."""


def warmed(config: TrainConfig) -> TrainConfig:
    """The settings of a training that begins with splats, which their first steps shall not undo. Done twice it is the same."""
    return replace(config, **WARM, **{name: min(getattr(config, name), rate) for name, rate in GENTLEST.items()})


def read_start(dataset: Dataset) -> Gaussians | None:
    """The splats that a training of the dataset begins with, in its coordinates; None where it begins otherwise.

    UserError for a file that is broken or empty, and for splats in another place than the one that the cameras see.
    """
    if dataset.start_file is None:
        return None
    path = dataset.start_file
    found = read_splats(path, upright=False)
    gaussians = drawable(found.gaussians)
    shift = np.subtract(found.offset, dataset.offset)
    if shift.any():
        gaussians = replace(gaussians, means=(gaussians.means.astype(np.float64) + shift).astype(np.float32))
    if not len(gaussians):
        raise UserError(f"{path.name} holds no usable splats.", "Choose another file.", "splats.no_usable", file=path.name)
    _check_place(gaussians, dataset)
    return gaussians


def start_findings(start: Gaussians | None, config: TrainConfig) -> list[Finding]:
    """That only some of the splats are begun with."""
    count = 0 if start is None else len(start)
    if count <= config.max_gaussians:
        return []
    return [Finding("warning", f"The start has {count:,} splats, and the training may have {config.max_gaussians:,}: "
                    "it begins with the largest and most opaque of them.", "Raise Max Splats to keep all of them.",
                    code="training.start_cut", values=values(count=count, most=config.max_gaussians))]


def fitted_start(start: Gaussians, config: TrainConfig) -> Gaussians:
    """The splats with the view dependence that the settings ask for, no more than they allow: the largest and most opaque."""
    fitted = start.with_sh_degree(config.sh_degree)
    if len(fitted) <= config.max_gaussians:
        return fitted
    rows = np.argsort(-weight(fitted), kind="stable")[: config.max_gaussians]
    return fitted.take(np.sort(rows))


def weight(gaussians: Gaussians) -> np.ndarray:
    """How much each Gaussian [N] covers: its opacity times the area of its larger two axes."""
    axes = np.sort(gaussians.scales.astype(np.float64), axis=1)[:, 1:].sum(axis=1)
    return sigmoid(gaussians.opacities.astype(np.float64)) * np.exp(axes)


def _check_place(gaussians: Gaussians, dataset: Dataset) -> None:
    """UserError when the cameras trained on see none of the splats, or only very far away."""
    cameras = [view.camera for view in dataset.train_views]
    places = gaussians.means[:: max(1, len(gaussians) // LOOKED_AT)].astype(np.float64)
    seen = seen_places(places, cameras)
    positions = np.stack([camera.position for camera in cameras]) if cameras else np.zeros((0, 3))
    away = float(np.median(np.linalg.norm(positions[:, None] - places[seen][None], axis=2).min(axis=0))) if seen.any() else np.inf
    if seen.mean() >= LEAST_SEEN and away <= FARTHEST * scene_scale(dataset):
        return
    assert dataset.start_file is not None
    raise UserError(f"The splats of {dataset.start_file.name} lie elsewhere than what the cameras see.",
                    "Move and scale them to where the dataset is and export them again, or train without a start file.",
                    "training.start_elsewhere", file=dataset.start_file.name)


def seen_places(places: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    """Mask [N] of the places [N, 3] that lie in the image of at least one camera."""
    seen = np.zeros(len(places), bool)
    for camera in cameras:
        pixels, depth = camera.project(places)
        seen |= (depth > camera.near) & (pixels >= 0).all(axis=1) & (pixels < [camera.width, camera.height]).all(axis=1)
    return seen
