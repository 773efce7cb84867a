"""Removing floaters, merging splat objects into one, and splitting the selected splats off."""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np

from ...engine.core.errors import UserError
from ...engine.core.splats.floaters import FloaterLimits, floaters
from ...engine.core.splats.gaussians import Gaussians, concatenate, drawable, drawable_rows
from ...engine.core.splats.surface_normals import turned_normals
from ...engine.core.splats.transform import rebase_gaussians
from ..scene_collections import writable_collections
from ..typed import current_context, point_cloud, splat_settings
from . import display
from .attributes import new_points
from .extras import join_extras, write_extras
from .instances import SplatInstance, splat_instances
from .splat_object import gaussians_from_object, update_splat_object
from .subsets import copy_points, keep_points, select_points, selected_points
from .unapplied_transform import fix_if_needed

SMALLEST_LOG_SCALE = -30.0


def find_floaters(target: bpy.types.Object, limits: FloaterLimits) -> np.ndarray:
    """Mask [N] of the object's points that are floaters; those that cannot be drawn are among them. Modifiers do not count."""
    if not len(point_cloud(target).points):
        return np.zeros(0, bool)
    arrays = gaussians_from_object(target).arrays()
    found = Gaussians(**{**arrays, "scales": np.maximum(arrays["scales"], SMALLEST_LOG_SCALE)})  # a flat splat may be sound
    good = found.finite_rows()
    goes = ~good
    goes[good] = floaters(found.take(good), limits)
    return goes


def select_floaters(target: bpy.types.Object, limits: FloaterLimits) -> int:
    """Select in Edit Mode what remove_floaters would delete; returns how many."""
    goes = find_floaters(target, limits)
    select_points(point_cloud(target), goes)
    return int(goes.sum())


def remove_floaters(target: bpy.types.Object, limits: FloaterLimits) -> int:
    """Delete the floaters of an object; returns how many. UserError when nothing would be left."""
    goes = find_floaters(target, limits)
    if len(goes) and goes.all():
        raise UserError(f"Every splat of {target.name} would go.", "Choose smaller limits.", "clean.everything", target=target.name)
    if goes.any():
        keep_points(target, ~goes)
    return int(goes.sum())


def merge(targets: Sequence[bpy.types.Object], into: bpy.types.Object) -> bpy.types.Object:
    """Bring the splats of all into one of the objects, which stays where it is; the others are removed. What modifiers hide is lost.

    Properties of PLYs stay, other attributes that are not the splats' own are lost too. UserError for fewer than two objects, or when
    nothing is there.
    """
    if len(targets) < 2:
        raise UserError("There is nothing to merge.", "Select two splat objects or more.", "clean.nothing_to_merge")
    others = [target for target in targets if target != into]
    for target in targets:
        fix_if_needed(target)
    depsgraph = current_context().evaluated_depsgraph_get()
    placed = splat_instances([into, *others], depsgraph)
    parts = [rebase_gaussians(drawable(part.gaussians), part.matrix, placed[0].matrix) for part in placed]
    extra = join_extras([(len(part), _rebased_extra(found, placed[0].matrix)) for part, found in zip(parts, placed, strict=True)])
    _replace_points(into, concatenate(parts))
    if extra is not None:
        write_extras(into, extra)
    into.modifiers.clear()
    for target in others:
        _remove(target)
    return into


def _rebased_extra(part: SplatInstance, after: np.ndarray) -> np.ndarray | None:
    """The properties of the rows that can be drawn, in the frame of an object at a matrix [4, 4]."""
    if part.extra is None:
        return None
    return turned_normals(part.extra[drawable_rows(part.gaussians)], np.linalg.inv(after) @ part.matrix)


def split(target: bpy.types.Object, chosen: np.ndarray) -> bpy.types.Object:
    """Move the points within the mask [N] into an object of their own that stands in the same place.

    UserError when the mask holds none or all of them.
    """
    if not chosen.any() or chosen.all():
        raise UserError("No splats are selected." if not chosen.any() else "All splats are selected.",
                        "Select some of them in Edit Mode.")
    made = copy_part(target, chosen)
    for collection in writable_collections(target.users_collection):
        collection.objects.link(made)
    keep_points(target, ~chosen)
    display.show(made)
    return made


def copy_part(target: bpy.types.Object, chosen: np.ndarray) -> bpy.types.Object:
    """An object of the points within the mask [N], in no collection yet, that stands in the same place."""
    made = target.copy()
    made.data = copy_points(target, chosen, f"{point_cloud(target).name} Part")
    made.name, splat_settings(made).job = f"{target.name} Part", ""
    return made


def split_selection(target: bpy.types.Object) -> bpy.types.Object:
    """Split off what is selected in Edit Mode."""
    return split(target, selected_points(point_cloud(target)))


def _replace_points(target: bpy.types.Object, gaussians: Gaussians) -> None:
    """Points of its own for an object, with its materials and no attributes of others."""
    old, new = point_cloud(target), new_points(point_cloud(target).name, len(gaussians))
    for material in old.materials:
        new.materials.append(material)
    target.data = new
    _remove_unused(old)
    update_splat_object(target, gaussians)


def _remove(target: bpy.types.Object) -> None:
    points = point_cloud(target)
    for child in target.children:
        place = child.matrix_world.copy()
        child.parent = None
        child.matrix_world = place
    bpy.data.objects.remove(target)
    _remove_unused(points)


def _remove_unused(points: bpy.types.PointCloud) -> None:
    if not points.users:
        bpy.data.pointclouds.remove(points)
