"""Cameras and points from matches. Runs in the child process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import pycolmap

from ..core.files import discard_folder, make_folder
from ..core.protocol.progress import OnProgress, Step
from .consistency import MatchedPair, inconsistent_cameras
from .exchange import ImageOutcome, Link, Outcome, SearchRequest
from .matching import match_pairs, unmatched
from .pairing import Pair
from .prepare import COPIES

MODEL = "sparse/0"
SMALLEST_MODEL = 3
MOST_SECOND_PAIRS = 5000
"""Unregistered photos are matched with all others when that takes no more pairs than this."""


@dataclass(frozen=True)
class Found:
    """A model, if there is one, and the outcome of every photo."""

    model: pycolmap.Reconstruction | None
    outcome: Outcome


def map_photos(request: SearchRequest, work: Path, focals: tuple[float | None, ...], on_progress: OnProgress) -> Found:
    """Find the cameras. Unregistered photos are matched with all others and tried once more.

    Cameras that contradict the matches are taken out.
    """
    model = _largest(request, work, on_progress)
    second = unmatched(request, work, _second_pairs(request, model))
    if second:
        match_pairs(request, work, second, on_progress)
        model = max((model, _largest(request, work, on_progress)), key=_size)
    removed = _remove_inconsistent(model, request, work) if model else set()
    error = model.compute_mean_reprojection_error() if model else 0.0
    return Found(model, Outcome(tuple(_images(request, model, removed, work)), tuple(_links(request, work)), error, focals))


def save(model: pycolmap.Reconstruction | None, work: Path) -> None:
    """Write the model to sparse/0; without one that folder is empty."""
    folder = work / MODEL
    discard_folder(folder)
    make_folder(folder)
    if model:
        model.write_binary(folder)


def _size(model: pycolmap.Reconstruction | None) -> int:
    return model.num_reg_images() if model else 0


def _largest(request: SearchRequest, work: Path, on_progress: OnProgress) -> pycolmap.Reconstruction | None:
    """The model with most cameras, first by COLMAP's own bounds, then for narrow baselines and few matches."""
    map_ = _global if request.mapping == "global" else _incremental
    for narrow in (False, True):
        models = map_(request, work, _counter(request, on_progress), narrow)
        if models:
            return max(models.values(), key=_size)
    return None


def _counter(request: SearchRequest, on_progress: OnProgress) -> Callable[[], None]:
    total, numbers = len(request.images), count(3)
    on_progress(Step("registering cameras", 0, total))
    return lambda: on_progress(Step("registering cameras", min(next(numbers), total), total))


def _incremental(request: SearchRequest, work: Path, tick: Callable[[], None], narrow: bool) -> dict[int, pycolmap.Reconstruction]:
    options = pycolmap.IncrementalPipelineOptions()
    options.image_names = list(request.images)
    options.num_threads = request.threads
    options.random_seed = 0
    options.min_model_size = SMALLEST_MODEL
    options.ba_refine_sensor_from_rig = False  # cuts of a panorama look where they were cut
    if all(group.face for group in request.groups):
        options.ba_refine_focal_length = options.ba_refine_extra_params = False
    if narrow:
        options.mapper.init_min_tri_angle = 2.0
        options.mapper.init_min_num_inliers = 40
    return pycolmap.incremental_mapping(work / request.database, work / COPIES, _scratch(work), options, next_image_callback=tick)


def _global(request: SearchRequest, work: Path, _: Callable[[], None], narrow: bool) -> dict[int, pycolmap.Reconstruction]:
    if narrow:
        return {}
    options = pycolmap.GlobalPipelineOptions()
    options.image_names = list(request.images)
    options.num_threads = request.threads
    options.random_seed = 0
    options.mapper.global_positioning.use_gpu = False
    options.mapper.bundle_adjustment.ceres.use_gpu = False
    return pycolmap.global_mapping(work / request.database, work / COPIES, _scratch(work), options)


def _scratch(work: Path) -> Path:
    """An empty folder for all models that COLMAP finds."""
    folder = work / "models"
    discard_folder(folder)
    return make_folder(folder)


def _second_pairs(request: SearchRequest, model: pycolmap.Reconstruction | None) -> list[Pair]:
    """Pairs of every unregistered photo with all others."""
    placed = _placed(model)
    left = {index for index, image in enumerate(request.images) if image not in placed}
    pairs = {(min(a, b), max(a, b)) for a in left for b in range(len(request.images)) if a != b}
    return sorted(pairs) if request.pairing == "auto" and len(pairs) <= MOST_SECOND_PAIRS else []


def _placed(model: pycolmap.Reconstruction | None) -> dict[str, pycolmap.Image]:
    return {image.name: image for image in model.images.values() if image.has_pose} if model else {}


def _remove_inconsistent(model: pycolmap.Reconstruction, request: SearchRequest, work: Path) -> set[str]:
    """Remove the cameras that contradict the matches from the model and adjust the others; returns the names that were removed."""
    placed = _placed(model)
    frames: dict[int, list[str]] = defaultdict(list)
    for name, image in placed.items():
        frames[image.frame_id].append(name)
    together = [(names[0], name) for names in frames.values() for name in names[1:]]
    found = inconsistent_cameras(placed, _matched_pairs(placed, work / request.database), together)
    for frame in {placed[name].frame_id for name in found}:
        model.deregister_frame(frame)
    if found:
        pycolmap.bundle_adjustment(model)
    return found


def _matched_pairs(placed: dict[str, pycolmap.Image], path: Path) -> Iterator[MatchedPair]:
    """The verified matches of every two placed photos."""
    numbers = {image.image_id: image for image in placed.values()}
    with pycolmap.Database.open(path) as database:
        rays = {number: _rays(database, image) for number, image in numbers.items()}
        for pair, geometry in zip(*database.read_two_view_geometries(), strict=True):
            ids = pycolmap.pair_id_to_image_pair(pair)
            if len(geometry.inlier_matches) and all(number in numbers for number in ids):
                one, two = (numbers[number] for number in ids)
                first, second = geometry.inlier_matches.T
                relative = (two.cam_from_world() * one.cam_from_world().inverse()).matrix()
                yield MatchedPair(one.name, two.name, relative, (rays[one.image_id][first], rays[two.image_id][second]))


def _rays(database: pycolmap.Database, image: pycolmap.Image) -> np.ndarray:
    """Where the features of a photo lie on the plane at depth one: [N, 2], without the lens's distortion."""
    pixels = database.read_keypoints(image.image_id)[:, :2].astype(np.float64)
    assert image.camera is not None
    return np.asarray(image.camera.cam_from_img(pixels))


def _images(request: SearchRequest, model: pycolmap.Reconstruction | None, removed: set[str], work: Path) -> Iterator[ImageOutcome]:
    placed = _placed(model)
    with pycolmap.Database.open(work / request.database) as database:
        features = {image.name: database.num_keypoints_for_image(image.image_id) for image in database.read_all_images()}
    for name in request.images:
        points = placed[name].num_points3D if name in placed else 0
        yield ImageOutcome(name, features.get(name, 0), name in placed, points, name in removed)


def _links(request: SearchRequest, work: Path) -> Iterator[Link]:
    wanted = set(request.images)
    with pycolmap.Database.open(work / request.database) as database:
        names = {image.image_id: image.name for image in database.read_all_images()}
        for pair, matches in zip(*database.read_two_view_geometry_num_inliers(), strict=True):
            first, second = (names[number] for number in pycolmap.pair_id_to_image_pair(pair))
            if matches and first in wanted and second in wanted:
                yield Link(first, second, matches)
