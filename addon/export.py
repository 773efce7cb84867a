"""Splat objects to a file and back, where they stand in the scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import bpy
import numpy as np

from ..engine.core.errors import UserError
from ..engine.core.gaussians import Gaussians, concatenate
from ..engine.core.ply import Axes, SplatFile, read_ply, write_ply
from ..engine.core.transform import transform_gaussians
from .splat_object import create_splat_object, gaussians_from_object, is_splat_object

SMALLEST_VOLUME = 1e-18


def world_gaussians(targets: Sequence[bpy.types.Object]) -> Gaussians:
    """All splats of the objects with their transforms and parents baked in; UserError when there is nothing to bake."""
    if not targets:
        raise UserError("No splat object is selected.", "Select the splat objects to export.")
    depsgraph = bpy.context.evaluated_depsgraph_get()
    parts = []
    for target in targets:
        matrix = np.array(target.evaluated_get(depsgraph).matrix_world, float)
        if abs(np.linalg.det(matrix[:3, :3])) < SMALLEST_VOLUME:
            raise UserError(f"{target.name} is scaled to nothing.", "Give it a scale other than zero.")
        parts.append(transform_gaussians(gaussians_from_object(target, depsgraph), matrix))
    return concatenate(parts)


def export_splats(targets: Sequence[bpy.types.Object], path: Path, axes: Axes) -> int:
    """Write the objects into one PLY; returns the number of Gaussians."""
    gaussians = world_gaussians(targets)
    if not len(gaussians):
        raise UserError("The selected objects hold no splats.", "Select splat objects that are not empty.")
    write_ply(path, gaussians, axes)
    return len(gaussians)


def import_splats(path: Path, axes: Axes | str = "AUTO") -> tuple[bpy.types.Object, SplatFile]:
    """A new splat object of a PLY, at identity; the inverse of export_splats."""
    found = read_ply(path, axes)  # type: ignore[arg-type]
    if not len(found.gaussians):
        raise UserError(f"{path.name} holds no usable splats.", "Choose another file.")
    made = create_splat_object(path.stem, found.gaussians, bpy.context.collection)
    made.splatwright.source = str(path)
    return made, found


def exportable(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The selected splat objects; the active one where the selection holds none."""
    selected = [found for found in context.selected_objects if is_splat_object(found)]
    return selected or [found for found in (context.active_object,) if found is not None and is_splat_object(found)]
