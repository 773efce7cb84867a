"""Splat objects to a file, where they stand in the scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from ..engine.core.axes import Axes
from ..engine.core.errors import UserError
from ..engine.core.formats import Format, write_splats
from ..engine.core.gaussians import Gaussians, concatenate, drawable
from ..engine.core.transform import transform_gaussians
from .splat_object import gaussians_from_object, is_splat_object

SMALLEST_VOLUME = 1e-18


@dataclass(frozen=True)
class WorldGaussians:
    """What splat objects show, in the scene's frame."""

    gaussians: Gaussians
    dropped: int  # rows that could not be drawn, because of a NaN or an infinity


def world_gaussians(targets: Sequence[bpy.types.Object]) -> WorldGaussians:
    """All splats of the objects, one object after the other, as their modifiers leave them and with transforms and parents baked in."""
    if not targets:
        raise UserError("No splat object is selected.", "Select the splat objects to export.")
    depsgraph = bpy.context.evaluated_depsgraph_get()
    found = [gaussians_from_object(target, depsgraph) for target in targets]
    kept = [drawable(gaussians) for gaussians in found]
    baked = [transform_gaussians(part, _matrix(target, depsgraph)) for part, target in zip(kept, targets, strict=True)]
    return WorldGaussians(concatenate(baked), sum(map(len, found)) - sum(map(len, kept)))


def export_splats(
    targets: Sequence[bpy.types.Object], path: Path, axes: Axes = "SUPERSPLAT", chosen: Format | None = None,
) -> WorldGaussians:
    """Write the objects into one file, in a chosen format or the one its name asks for; returns what was written.

    UserError when there is nothing to write.
    """
    world = world_gaussians(targets)
    if not len(world.gaussians):
        raise UserError("The selected objects hold no splats.", "Select splat objects that are not empty.")
    write_splats(path, world.gaussians, axes, all(target.splatwright.antialiased for target in targets), chosen)
    return world


def exportable(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The selected splat objects; all that are visible where none is selected."""
    selected = [found for found in context.selected_objects if is_splat_object(found)]
    return selected or [found for found in context.visible_objects if is_splat_object(found)]


def _matrix(target: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> np.ndarray:
    """Where the object stands, [4, 4]; UserError when it is flat."""
    matrix = np.array(target.evaluated_get(depsgraph).matrix_world, float)
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < SMALLEST_VOLUME:
        raise UserError(f"{target.name} is scaled to nothing.", "Give it a scale other than zero.")
    return matrix
