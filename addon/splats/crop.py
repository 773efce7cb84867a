"""Cropping splats by a box that can be moved: a Geometry Nodes modifier, so nothing is lost before it is applied.

The box is an empty's cube (2 m wide at scale 1) or the bounding box of any mesh, wherever it stands.
"""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ...engine.core.errors import UserError
from ..scene_collections import writable_collections
from ..typed import current_context, operators, point_cloud, untyped
from . import display
from .crop_nodes import NAME, crops, follow_material, given_input, node_group, set_input
from .instances import world_means

BOX = "splatwright_crop_box"
"""Marks boxes that were made for a crop, and go with it."""

MIDDLE = (0.01, 0.99)
ROOM = 1.1
THINNEST = 0.05
"""Share of its longest side that a box has at least, so that flat scenes keep their splats."""


def add_crop_box(targets: Sequence[bpy.types.Object], box: bpy.types.Object | None = None, invert: bool = False) -> bpy.types.Object:
    """Crop objects by a box; without one an empty is made around nearly all of their splats, and moves with the first of them.

    Returns the box. `invert` keeps what is outside.
    """
    if box is None:
        box = _box_around(targets)
    for target in targets:
        modifier = target.modifiers.new(NAME, "NODES")
        untyped(modifier).node_group = node_group()
        set_input(modifier, "Box", box)
        set_input(modifier, "Invert", invert)
        follow_material(target)
    current_context().view_layer.update()
    return box


def cropped_by(box: bpy.types.Object) -> list[bpy.types.Object]:
    """The objects of the scene that an object crops."""
    return [target for target in current_context().scene.objects if any(given_input(modifier, "Box") == box for modifier in crops(target))]


def apply_crop(target: bpy.types.Object) -> int:
    """Delete what the object's crop boxes hide, and the boxes that nothing uses then; returns the number of splats deleted.

    Points shared with other objects are copied first. UserError when the object is not in the view layer.
    """
    before, materials = len(point_cloud(target).points), list(point_cloud(target).materials)
    boxes = {given_input(modifier, "Box") for modifier in crops(target)}
    for modifier in crops(target):
        _apply(target, modifier.name)
    for material in materials if not point_cloud(target).materials else ():  # Blender loses them
        point_cloud(target).materials.append(material)
    display.show(target)
    for box in filter(None, boxes):
        _remove_unused(box)
    return before - len(point_cloud(target).points)


def _apply(target: bpy.types.Object, modifier: str) -> None:
    try:
        with current_context().temp_override(object=target, active_object=target, selected_objects=[target]):
            operators().object.modifier_apply(modifier=modifier, single_user=True)
    except RuntimeError as error:
        raise UserError(f"The crop of {target.name} cannot be applied here.", "Show the object and leave Edit Mode.",
                        "crop.not_here", target=target.name) from error


def _box_around(targets: Sequence[bpy.types.Object]) -> bpy.types.Object:
    """An empty cube around nearly all splats, along the axes of the first object, its child."""
    first = targets[0]
    frame = Matrix.LocRotScale(first.matrix_world.translation, first.matrix_world.to_quaternion(), None)
    turned = np.array(frame.inverted(), float)
    means = world_means(targets) @ turned[:3, :3].T + turned[:3, 3]
    low, high = np.quantile(means, MIDDLE, axis=0)
    half = ROOM * (high - low) / 2
    half = np.maximum(half, THINNEST * half.max() or 1.0)
    box = bpy.data.objects.new("Crop Box", None)
    box.empty_display_type, box.empty_display_size = "CUBE", 1.0
    box[BOX] = True
    writable_collections(first.users_collection)[0].objects.link(box)
    box.parent = first
    box.matrix_parent_inverse = first.matrix_world.inverted_safe()
    box.matrix_basis = frame @ Matrix.LocRotScale(Vector(((low + high) / 2).tolist()), None, Vector(half.tolist()))
    return box


def _remove_unused(box: bpy.types.Object) -> None:
    used = any(given_input(modifier, "Box") == box for target in bpy.data.objects for modifier in crops(target))
    if BOX in box and not used:
        bpy.data.objects.remove(box)
