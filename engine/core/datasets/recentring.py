"""Datasets in survey coordinates, moved to where single precision suffices; the offset is remembered and can be given back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from ..confinement import admitted
from ..errors import UserError
from ..files import disk_error, write_text
from ..parsing import finite, parse_object
from ..protocol.folder import JobFolder
from ..splats.offset import NO_OFFSET, Offset, offset_from_words, offset_of
from .dataset import Dataset, PointCloud

FILE = "offset.json"
"""Of a job: the offset that its training began with, in Blender's axes. Views that are left out later do not change it."""


def recentred(dataset: Dataset, offset: Offset | None = None) -> Dataset:
    """The dataset with its offset, or a known one, taken from cameras and points, which are float32 from then on.

    One that has an offset keeps it where no other is known and its coordinates are small. The same object where there is nothing to do.
    """
    if offset is None:
        x, y, z = np.add(dataset.offset, offset_of(np.array([view.camera.position for view in dataset.views], np.float64).reshape(-1, 3)))
        offset = float(x), float(y), float(z)
    points = dataset.points
    if offset == dataset.offset and (points is None or points.positions.dtype == np.float32):
        return dataset
    return replace(_moved(dataset, np.subtract(dataset.offset, offset)), offset=offset)


def restored(dataset: Dataset) -> Dataset:
    """The dataset where its source has it: points are float64 where they have an offset."""
    if dataset.offset == NO_OFFSET:
        return dataset
    points = dataset.points
    whole = None if points is None else PointCloud(points.positions.astype(np.float64) + np.array(dataset.offset), points.colors)
    return replace(_moved(replace(dataset, points=None), np.array(dataset.offset)), points=whole, offset=NO_OFFSET)


def _moved(dataset: Dataset, by: np.ndarray) -> Dataset:
    views = tuple(replace(view, camera=replace(view.camera, camera_to_world=moved_pose(view.camera.camera_to_world, by)))
                  for view in dataset.views) if by.any() else dataset.views
    return replace(dataset, views=views, points=_single(dataset.points, by))


def moved_pose(pose: np.ndarray, by: np.ndarray) -> np.ndarray:
    """A pose [4, 4] somewhere else."""
    moved = np.array(pose, np.float64)
    moved[:3, 3] += by
    return moved


def _single(points: PointCloud | None, by: np.ndarray) -> PointCloud | None:
    """Points in float32, without those that it cannot hold."""
    if points is None:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        positions = (points.positions + by if by.any() else points.positions).astype(np.float32)
    good = np.isfinite(positions).all(axis=1) | ~np.isfinite(points.positions).all(axis=1)
    return PointCloud(positions, points.colors) if good.all() else PointCloud(positions[good], points.colors[good])


def remember_offset(job: JobFolder, offset: Offset) -> None:
    """Note in a job's folder what was taken from its dataset's coordinates; nothing where nothing was. UserError."""
    if offset != NO_OFFSET:
        write_text(job.path / FILE, json.dumps({"offset": list(offset), "axes": "BLENDER"}, indent=1))


def offset_of_job(job: JobFolder) -> Offset | None:
    """The offset that a job's training began with: none where it has a checkpoint and no note; None before it has begun.

    UserError when the note is damaged.
    """
    path = job.path / FILE
    try:
        noted = parse_object(admitted(path).read_text(encoding="utf-8"))["offset"]
        found = offset_from_words(" ".join(str(finite(value)) for value in noted))
    except FileNotFoundError:
        return NO_OFFSET if any(job.checkpoint.glob("*")) else None
    except OSError as error:
        raise disk_error(path, error) from error
    except (ValueError, KeyError, TypeError):
        found = None
    if found is None:
        raise UserError(f"{path} is damaged and cannot be read.", "Start a new training from the dataset.", "job.damaged", path=path)
    return found
