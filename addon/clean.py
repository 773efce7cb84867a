"""Removing floaters, merging splat objects into one, and splitting the selected splats off."""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np

from ..engine.core.errors import UserError
from ..engine.core.floaters import FloaterLimits, floaters
from ..engine.core.gaussians import Gaussians, concatenate
from ..engine.core.ply import drawable
from ..engine.core.transform import rebase_gaussians
from . import preview
from .placed import placed_splats
from .point_rows import copy_points, keep_points, select_points, selected_points
from .splat_object import create_splat_object, gaussians_from_object

SMALLEST_LOG_SCALE = -30.0


def find_floaters(target: bpy.types.Object, limits: FloaterLimits) -> np.ndarray:
    """Mask [N] of the object's points that are floaters; those that cannot be drawn are among them. Modifiers do not count."""
    arrays = gaussians_from_object(target).arrays()
    found = Gaussians(**{**arrays, "scales": np.maximum(arrays["scales"], SMALLEST_LOG_SCALE)})  # a flat splat may be sound
    good = found.finite_rows()
    goes = ~good
    goes[good] = floaters(found.take(good), limits)
    return goes


def select_floaters(target: bpy.types.Object, limits: FloaterLimits) -> int:
    """Select in Edit Mode what remove_floaters would delete; returns how many."""
    goes = find_floaters(target, limits)
    select_points(target.data, goes)
    return int(goes.sum())


def remove_floaters(target: bpy.types.Object, limits: FloaterLimits) -> int:
    """Delete the floaters of an object; returns how many. UserError when nothing would be left."""
    goes = find_floaters(target, limits)
    if goes.all():
        raise UserError(f"Every splat of {target.name} would go.", "Choose smaller limits.")
    if goes.any():
        keep_points(target, ~goes)
    return int(goes.sum())


def merge(targets: Sequence[bpy.types.Object], into: bpy.types.Object) -> bpy.types.Object:
    """One object with the splats of all, where `into` stands; the others are removed. What modifiers hide is lost.

    Attributes that are not the splats' own are lost too. UserError for fewer than two objects, or when nothing is there.
    """
    if len(targets) < 2:
        raise UserError("There is nothing to merge.", "Select two splat objects or more.")
    others = [target for target in targets if target != into]
    depsgraph = bpy.context.evaluated_depsgraph_get()
    placed = placed_splats([into, *others], depsgraph)
    parts = [rebase_gaussians(drawable(part.gaussians), part.matrix, placed[0].matrix) for part in placed]
    made = create_splat_object(into.name, concatenate(parts), (into.users_collection or (None,))[0])
    _stand_like(made, into)
    name = into.name
    for target in (into, *others):
        _remove(target)
    made.name = name
    return made


def split(target: bpy.types.Object, chosen: np.ndarray) -> bpy.types.Object:
    """Move the points within the mask [N] into an object of their own that stands in the same place.

    UserError when the mask holds none or all of them.
    """
    if not chosen.any() or chosen.all():
        raise UserError("No splats are selected." if not chosen.any() else "All splats are selected.",
                        "Select some of them in Edit Mode.")
    made = target.copy()
    made.data = copy_points(target, chosen, f"{target.data.name} Part")
    made.name, made.splatwright.job = f"{target.name} Part", ""
    for collection in target.users_collection:
        collection.objects.link(made)
    keep_points(target, ~chosen)
    preview.show(made)
    return made


def split_selection(target: bpy.types.Object) -> bpy.types.Object:
    """Split off what is selected in Edit Mode."""
    return split(target, selected_points(target.data))


def _stand_like(made: bpy.types.Object, model: bpy.types.Object) -> None:
    made.parent, made.parent_type, made.parent_bone = model.parent, model.parent_type, model.parent_bone
    made.matrix_parent_inverse, made.matrix_basis = model.matrix_parent_inverse, model.matrix_basis
    made.splatwright.display = model.splatwright.display


def _remove(target: bpy.types.Object) -> None:
    points = target.data
    for child in target.children:
        place = child.matrix_world.copy()
        child.parent = None
        child.matrix_world = place
    bpy.data.objects.remove(target)
    if not points.users:
        bpy.data.pointclouds.remove(points)
