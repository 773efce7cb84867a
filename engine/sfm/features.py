"""Features of every photo, in COLMAP's database. Runs in the child process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pycolmap

from ..core.datasets.file_types import MASKS
from ..core.protocol.progress import OnProgress, Step
from .exchange import CameraGroup, SearchRequest
from .prepare import COPIES
from .rigs import apply_rigs

LENS = "SIMPLE_RADIAL"
BATCH = max(4, 2 * (os.cpu_count() or 1))


def extract(request: SearchRequest, work: Path, on_progress: OnProgress) -> tuple[float | None, ...]:
    """Extract features of all photos that have none yet. Returns the focal length by EXIF of each group in pixels, None without one.

    Thorough ones are described at several sizes and as if seen straight on (DSP-SIFT, Dong and Soatto 2015; affine shape,
    Mikolajczyk and Schmid 2004), which recognises a place from farther to the side.
    """
    stage = "extracting thorough features" if request.thorough else "extracting features"
    focals = tuple(group.focal or _looked_up(group) for group in request.groups)
    done = _done(request, work)
    missing = [image for image in request.images if image not in done]
    found = len(request.images) - len(missing)
    on_progress(Step(stage, found, len(request.images)))
    for group, focal in zip(request.groups, focals, strict=True):
        for batch in _batches([image for image in group.images if image not in done], work):
            _extract(request, group, focal, batch, work)
            found += len(batch)
            on_progress(Step(stage, found, len(request.images)))
    apply_rigs(request, work)
    return focals


def _batches(names: list[str], work: Path) -> Iterator[list[str]]:
    """A few names at a time, those with masks apart: COLMAP passes photos over that lack a mask where others have one."""
    for masked in (False, True):
        alike = [name for name in names if _mask(name, work).is_file() == masked]
        yield from (alike[first : first + BATCH] for first in range(0, len(alike), BATCH))


def _mask(name: str, work: Path) -> Path:
    return work / MASKS / f"{name}.png"


def _done(request: SearchRequest, work: Path) -> set[str]:
    with pycolmap.Database.open(work / request.database) as database:
        return {image.name for image in database.read_all_images() if database.exists_descriptors(image.image_id)}


def _looked_up(group: CameraGroup) -> float | None:
    """The focal length by COLMAP's table of sensors, for photos that tell their maker and model only."""
    try:
        camera = pycolmap.infer_camera_from_image(group.sample)
    except (ValueError, RuntimeError):
        return None
    if not camera.has_prior_focal_length:
        return None
    return camera.mean_focal_length() * max(group.width, group.height) / max(camera.width, camera.height)


def _extract(request: SearchRequest, group: CameraGroup, focal: float | None, names: list[str], work: Path) -> None:
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = LENS
    known = _camera_of(group, work / request.database)
    if known:
        reader.existing_camera_id = known
    elif focal:
        reader.camera_params = f"{focal},{group.width / 2},{group.height / 2},0"
    if _mask(names[0], work).is_file():
        reader.mask_path = work / MASKS
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.num_threads = request.threads
    options.sift.max_num_features = request.max_features
    options.sift.estimate_affine_shape = options.sift.domain_size_pooling = request.thorough
    pycolmap.extract_features(work / request.database, work / COPIES, image_names=names, camera_mode=pycolmap.CameraMode.SINGLE,
                              reader_options=reader, extraction_options=options, device=pycolmap.Device.cpu)


def _camera_of(group: CameraGroup, path: Path) -> int | None:
    """The camera in the database that took a group's earlier photos."""
    folder = group.images[0].partition("/")[0] + "/"
    with pycolmap.Database.open(path) as database:
        return next((image.camera_id for image in database.read_all_images() if image.name.startswith(folder)), None)
