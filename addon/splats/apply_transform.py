"""Apply Transform for splats: what Blender's own does for meshes, with rotations, scales and harmonics of the splats as well."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Matrix

from ...engine.core.errors import UserError
from ...engine.core.splats.surface_normals import turned_normals
from ...engine.core.splats.transform import rebase_gaussians
from ..typed import current_context, point_cloud
from .display import draws_natively, show
from .extras import read_extras, write_extras
from .instances import SMALLEST_VOLUME
from .material import is_ours
from .packing import RADIUS, TURN
from .splat_object import gaussians_from_object, update_splat_object
from .unapplied_transform import fix_if_needed


def apply_transform(target: bpy.types.Object, location: bool = True, rotation: bool = True, scale: bool = True) -> None:
    """Move the object's own transform into its splats; what is seen stays, parents and modifiers too. Pushes no undo step.

    Points that other objects share are copied first. UserError for an object that is flat.
    """
    fix_if_needed(target)
    before, stood = target.matrix_basis.copy(), target.matrix_world.copy()
    if abs(stood.to_3x3().determinant()) < SMALLEST_VOLUME:
        raise UserError(f"{target.name} is scaled to nothing.", "Give it a scale other than zero.", "transform.no_size",
                        target=target.name)
    if point_cloud(target).users > 1:
        target.data = point_cloud(target).copy()
    _clear(target, location, rotation, scale)
    moved = target.matrix_basis.inverted_safe() @ before
    stands = np.array(stood, float) @ np.linalg.inv(np.array(moved, float))
    update_splat_object(target, rebase_gaussians(gaussians_from_object(target), np.array(stood, float), stands))
    if (extra := turned_normals(read_extras(target), np.linalg.inv(stands) @ np.array(stood, float))) is not None:
        write_extras(target, extra)
    for child in target.children:
        if child.parent_type == "OBJECT":
            child.matrix_parent_inverse = moved @ child.matrix_parent_inverse
    current_context().view_layer.update()


def stand_at(target: bpy.types.Object, stands: np.ndarray) -> None:
    """Move an object's origin to a matrix [4, 4] in the world; what is seen stays. Pushes no undo step.

    Points must be the object's own. UserError for an object that is flat.
    """
    fix_if_needed(target)
    current_context().view_layer.update()
    stood = np.array(target.matrix_world, float)
    if abs(np.linalg.det(stood[:3, :3])) < SMALLEST_VOLUME:
        raise UserError(f"{target.name} is scaled to nothing.", "Give it a scale other than zero.", "transform.no_size",
                        target=target.name)
    update_splat_object(target, rebase_gaussians(gaussians_from_object(target), stood, stands))
    if (extra := turned_normals(read_extras(target), np.linalg.inv(stands) @ stood)) is not None:
        write_extras(target, extra)
    target.matrix_world = Matrix(stands.tolist())
    current_context().view_layer.update()


def upgrade(target: bpy.types.Object) -> None:
    """Make a splat object of a file from before Blender 5.3 a native one. Pushes no undo step.

    UserError where Blender has no splats of its own.
    """
    if not draws_natively():
        raise UserError("This Blender has no splats of its own.", "Open the file in Blender 5.3 or later.", "transform.no_native")
    to_current_attributes(target)


def to_current_attributes(target: bpy.types.Object) -> None:
    """Write the splats again with the attribute types of this Blender, without the material and radius of earlier ones."""
    fix_if_needed(target)
    update_splat_object(target, gaussians_from_object(target))
    if draws_natively():
        _forget_material(target)
    show(target)


def _forget_material(target: bpy.types.Object) -> None:
    materials = point_cloud(target).materials
    for index in reversed(range(len(materials))):
        if (found := materials[index]) is not None and is_ours(found):
            materials.pop(index=index)
    for name in (RADIUS, TURN):
        attribute = point_cloud(target).attributes.get(name)
        if attribute is not None:
            point_cloud(target).attributes.remove(attribute)


def _clear(target: bpy.types.Object, location: bool, rotation: bool, scale: bool) -> None:
    place, turn, size = target.matrix_basis.decompose()
    target.matrix_basis = Matrix.LocRotScale(None if location else place, None if rotation else turn, None if scale else size)
