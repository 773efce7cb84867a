"""The Gaussians that a training starts from."""

from __future__ import annotations

import numpy as np

from ...core.datasets.dataset import Dataset, PointCloud
from ...core.datasets.spread import focus_point, scene_scale, steady, unit_of
from ...core.errors import UserError
from ...core.protocol.config import TrainConfig
from ...core.splats.gaussians import Gaussians, concatenate, rgb_to_sh0
from ..strategies.mcmc import logit
from .depth_start import DepthTargets, depth_gaussians
from .knn import neighbour_distance
from .region_start import thinned_gaussians, thinned_points
from .sky import sky_points
from .splat_start import fitted_start, read_start
from .start_points import chosen_points

RANDOM_POINTS = 10_000
"""Start points where the dataset has none."""

DEPTH_SHARE = 0.6
"""Of the Gaussians that a training may have, those that it begins with where it starts from depth maps."""


FARTHEST = 3.0
"""Times that splats of depth maps may be farther from the cameras than start points, or nearer: wrong units are off by a thousand."""


def initial_gaussians(dataset: Dataset, config: TrainConfig, targets: DepthTargets | None = None,
                      start: Gaussians | None = None) -> Gaussians:
    """What a training begins with: splats of a file, or of depth maps, or start points, and the sky. UserError for what is not there.

    `targets`: what of the depth maps is decoded already. `start`: the file's splats, where they have been read.
    """
    start = start or read_start(dataset)
    if start is not None:
        return fitted_start(start, config)
    cameras, sky = steady(dataset.views), min(config.sky, config.max_gaussians // 2)
    unit = unit_of(scene_scale(dataset))
    if starts_from_depth(dataset, config):
        made = depth_gaussians(dataset.train_views, int(DEPTH_SHARE * (config.max_gaussians - sky)), config.seed, targets=targets,
                               unit=unit)
        if made is not None and len(made) and _depth_fits(made, dataset, config):
            made = thinned_gaussians(made, dataset.region, config.max_gaussians, np.random.default_rng([config.seed, 5]))
            return concatenate([made, round_gaussians(sky_points(cameras, made.means, sky), config, unit)])
    rng = np.random.default_rng([config.seed, 2])
    points = dataset.points if dataset.points is not None and len(dataset.points) else random_points(dataset, rng)
    far = sky_points(cameras, points.positions, sky)
    points = thinned_points(points, dataset.region, config.max_gaussians, rng)
    most = max(1, int(config.start_share * (config.max_gaussians - len(far))))
    near = chosen_points(points, most, [view.camera for view in dataset.train_views], rng)
    return concatenate([round_gaussians(near, config, unit), round_gaussians(far, config, unit)])


def starts_from_depth(dataset: Dataset, config: TrainConfig) -> bool:
    """Whether depth maps are begun with: where there is no file of splats and the settings leave it open, every image trained on has
    one, or half where some are lost, and no distorted lens."""
    if dataset.start_file is not None:
        return False
    if config.start == "depth" and not any(view.depth for view in dataset.train_views):
        raise UserError("The images have no depth maps to start from.", "Capture the dataset again with Depth, or set start to points.",
                        "training.no_depth")
    return config.start == "depth" or (config.start == "auto" and dataset.mapped("depth"))


def _depth_fits(made: Gaussians, dataset: Dataset, config: TrainConfig) -> bool:
    """Whether splats of depth maps lie about as far from the cameras as the start points do. UserError where nothing else is wanted."""
    if dataset.points is None or not len(dataset.points):
        return True
    far, known = (_nearest_camera(positions, dataset) for positions in (made.means, dataset.points.positions))
    if known / FARTHEST < far < known * FARTHEST:
        return True
    if config.start == "depth":
        raise UserError(f"By the depth maps the scene is {far:.3g} away from the cameras, by the start points {known:.3g}.",
                        "Depth maps hold millimetres: write them in this unit, or set start to points.", "training.depth_unit", far=far,
                        known=known)
    return False


def _nearest_camera(positions: np.ndarray, dataset: Dataset) -> float:
    """The median distance of positions [N, 3] to their nearest camera."""
    cameras = np.stack([camera.position for camera in steady(dataset.views)])
    sample = positions[:: max(1, len(positions) // 500)]
    return float(np.median(np.linalg.norm(cameras[:, None] - sample[None], axis=2).min(axis=0)))


def round_gaussians(points: PointCloud, config: TrainConfig, unit: float = 1.0) -> Gaussians:
    """Round Gaussians on points, as large as the mean distance to the three nearest neighbours. `unit`: of the scene's length."""
    count, size = len(points), neighbour_distance(points.positions, unit)
    quats = np.zeros((count, 4), np.float32)
    quats[:, 0] = 1.0
    return Gaussians(
        means=points.positions.astype(np.float32),
        quats=quats,
        scales=np.repeat(np.log(size).astype(np.float32)[:, None], 3, axis=1),
        opacities=logit(np.full(count, config.initial_opacity)).astype(np.float32),
        sh0=rgb_to_sh0(points.colors.astype(np.float32) / 255.0)[:, None],
        shN=np.zeros((count, (config.sh_degree + 1) ** 2 - 1, 3), np.float32),
    )


def random_points(dataset: Dataset, rng: np.random.Generator) -> PointCloud:
    """Grey points in the ball that the cameras look at, for datasets without start points."""
    cameras = steady(dataset.views)
    centre = focus_point(cameras)
    radius = float(np.median([np.linalg.norm(camera.position - centre) for camera in cameras])) or 1.0
    directions = rng.standard_normal((RANDOM_POINTS, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    distances = radius * rng.random((RANDOM_POINTS, 1)) ** (1 / 3)
    positions = (centre + directions * distances).astype(np.float32)
    return PointCloud(positions, np.full((RANDOM_POINTS, 3), 128, np.uint8))
