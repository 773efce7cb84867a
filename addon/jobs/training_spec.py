"""The training that a scene asks for: its dataset and settings, the splats that it begins with and the region that it is about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import bpy
import numpy as np
from mathutils import Matrix

from ...engine.core.errors import UserError
from ...engine.core.formats.registry import write_splats
from ...engine.core.protocol.spec import JobSpec
from ...engine.core.splats.region import Region, region_of
from ...engine.core.splats.transform import transform_gaussians
from ...engine.jobs.start_file import start_of
from ..photos.posed_photos import root_of
from ..properties.datasets import dataset_folder, training_name
from ..splats.exporting import world_gaussians
from ..typed import scene_settings, splat_settings

START = "start.ply"


@contextmanager
def training_spec(scene: bpy.types.Scene) -> Iterator[JobSpec]:
    """The training that Train begins; a file that is made for it, of splats in the scene, goes after the block. UserError."""
    spec, start = spec_of(scene), scene_settings(scene).train.start_object
    if start is None:
        yield spec
        return
    with TemporaryDirectory(prefix="splatwright-", dir=bpy.app.tempdir) as folder:
        yield replace(spec, start_file=write_start(start, Path(folder, START), spec.dataset))


def spec_of(scene: bpy.types.Scene) -> JobSpec:
    """The training without splats of the scene. UserError for a start file that is not there and a region of no size."""
    settings, folder = scene_settings(scene).train, dataset_folder(scene)
    path = settings.start_file.strip() if settings.start_object is None else ""
    region = None if settings.region is None else region_of_object(settings.region, folder).matrix
    return JobSpec(folder, settings.to_config(), training_name(scene), start_file=start_of(Path(bpy.path.abspath(path))) if path else None,
                   region=region)


def write_start(start: bpy.types.Object, path: Path, dataset: Path) -> Path:
    """Write the splats of an object, where they stand, in the dataset's axes."""
    world = world_gaussians([start])
    gaussians = transform_gaussians(world.gaussians, np.array(into_dataset(dataset)))
    write_splats(path, gaussians, antialiased=splat_settings(start).antialiased, offset=world.offset)
    return path


def into_dataset(dataset: Path) -> Matrix:
    """From the scene's axes to those of a dataset: its photos may stand below an empty that was placed."""
    root = root_of(dataset)
    return Matrix() if root is None else root.matrix_world.inverted_safe()


def box_of(item: bpy.types.Object) -> Matrix:
    """What brings the cube from -1 to 1 onto an object's box in the scene. UserError for an object without a size."""
    corners = np.array([tuple(corner) for corner in item.bound_box])
    low, high = corners.min(axis=0), corners.max(axis=0)
    if item.type == "EMPTY":
        low, high = np.full(3, -item.empty_display_size), np.full(3, item.empty_display_size)
    half = (high - low) / 2
    if not (half > 0).all():
        raise UserError(f"{item.name} has no width, depth or height to be a region.", "Choose an object that encloses something, "
                        "for example a cube.", "region.flat_object", name=item.name)
    return item.matrix_world @ Matrix.Translation(tuple((low + high) / 2)) @ Matrix.Diagonal((*half, 1.0))


def region_of_object(item: bpy.types.Object, dataset: Path) -> Region:
    """The region that an object's box is, in a dataset's axes."""
    return region_of(np.array(into_dataset(dataset) @ box_of(item)))
