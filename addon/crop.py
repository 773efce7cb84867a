"""Cropping splats by a box that can be moved: a Geometry Nodes modifier, so nothing is lost before it is applied.

The box is an empty's cube (2 m wide at scale 1) or the bounding box of any mesh, wherever it stands.
"""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..engine.core.errors import UserError
from . import preview
from .layout import world_splats
from .splat_shader import Nodes

NAME = "Splat Crop"
VERSION = 1
MARK = "splatwright_crop"
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
        modifier.node_group = _node_group()
        _set_input(modifier, "Box", box)
        _set_input(modifier, "Invert", invert)
    bpy.context.view_layer.update()
    return box


def crops(target: bpy.types.Object) -> list[bpy.types.Modifier]:
    """The crop modifiers of an object."""
    return [found for found in target.modifiers if found.type == "NODES" and found.node_group is not None and MARK in found.node_group]


def cropped_by(box: bpy.types.Object) -> list[bpy.types.Object]:
    """The objects of the scene that an object crops."""
    return [target for target in bpy.context.scene.objects if any(_input(modifier, "Box") == box for modifier in crops(target))]


def apply_crop(target: bpy.types.Object) -> int:
    """Delete what the object's crop boxes hide, and the boxes that nothing uses then; returns the number of splats deleted.

    UserError when the object is not in the view layer.
    """
    before, materials = len(target.data.points), list(target.data.materials)
    boxes = {_input(modifier, "Box") for modifier in crops(target)}
    for modifier in crops(target):
        _apply(target, modifier.name)
    for material in materials if not target.data.materials else ():  # Blender loses them
        target.data.materials.append(material)
    preview.show(target)
    for box in filter(None, boxes):
        _remove_unused(box)
    return before - len(target.data.points)


def _apply(target: bpy.types.Object, modifier: str) -> None:
    try:
        with bpy.context.temp_override(object=target, active_object=target, selected_objects=[target]):
            bpy.ops.object.modifier_apply(modifier=modifier, single_user=True)
    except RuntimeError as error:
        raise UserError(f"The crop of {target.name} cannot be applied here.", "Show the object and leave Edit Mode.") from error


def _box_around(targets: Sequence[bpy.types.Object]) -> bpy.types.Object:
    """An empty cube around nearly all splats, along the axes of the first object, its child."""
    first = targets[0]
    frame = Matrix.LocRotScale(first.matrix_world.translation, first.matrix_world.to_quaternion(), None)
    turned = np.array(frame.inverted(), float)
    means = world_splats(targets).means @ turned[:3, :3].T + turned[:3, 3]
    low, high = np.quantile(means, MIDDLE, axis=0)
    half = ROOM * (high - low) / 2
    half = np.maximum(half, max(THINNEST * half.max(), 1e-4))
    box = bpy.data.objects.new("Crop Box", None)
    box.empty_display_type, box.empty_display_size = "CUBE", 1.0
    box[MARK] = True
    (first.users_collection or (bpy.context.scene.collection,))[0].objects.link(box)
    box.parent = first
    box.matrix_parent_inverse = first.matrix_world.inverted_safe()
    box.matrix_basis = frame @ Matrix.LocRotScale(Vector(((low + high) / 2).tolist()), None, Vector(half.tolist()))
    return box


def _remove_unused(box: bpy.types.Object) -> None:
    used = any(_input(modifier, "Box") == box for target in bpy.data.objects for modifier in crops(target))
    if MARK in box and not used:
        bpy.data.objects.remove(box)


def _node_group() -> bpy.types.NodeTree:
    """The nodes that delete points outside a box, made at first use and shared by all files' objects."""
    found = next((group for group in bpy.data.node_groups if group.get(MARK) == VERSION and group.library is None), None)
    if found is not None:
        return found
    group = bpy.data.node_groups.new(NAME, "GeometryNodeTree")
    group[MARK] = VERSION
    group.is_modifier = True
    for name, kind in (("Geometry", "NodeSocketGeometry"), ("Box", "NodeSocketObject"), ("Invert", "NodeSocketBool")):
        group.interface.new_socket(name, in_out="INPUT", socket_type=kind)
    group.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    _build(Nodes(group))
    return group


def _build(nodes: Nodes) -> None:
    given = nodes.add("NodeGroupInput").outputs
    here = nodes.add("GeometryNodeObjectInfo", {"Object": given["Box"]}, transform_space="RELATIVE").outputs
    inverse = nodes.add("FunctionNodeInvertMatrix", {"Matrix": here["Transform"]}).outputs
    outside = nodes.number("ABSOLUTE", nodes.number("SUBTRACT", _is_outside(nodes, given["Box"], inverse["Matrix"]), given["Invert"]))
    # A box that is gone has the scale 0, and a flat one no inverse: nothing is cropped then.
    there = nodes.number("GREATER_THAN", nodes.length(here["Scale"]), 0.0)
    goes = nodes.number("MULTIPLY", outside, nodes.number("MULTIPLY", there, inverse["Invertible"]))
    kept = nodes.add("GeometryNodeDeleteGeometry", {"Geometry": given["Geometry"], "Selection": goes}, domain="POINT").outputs[0]
    nodes.add("NodeGroupOutput", {"Geometry": kept})


def _is_outside(nodes: Nodes, box: bpy.types.NodeSocket, to_box: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """1 for points that lie beyond a side of the box, else 0."""
    own = nodes.add("GeometryNodeObjectInfo", {"Object": box}, transform_space="ORIGINAL").outputs
    bounds = nodes.add("GeometryNodeBoundBox", {"Geometry": own["Geometry"]}).outputs
    size = nodes.length(nodes.vector("SUBTRACT", bounds["Max"], bounds["Min"]))
    empty = nodes.number("LESS_THAN", size, 1e-9)  # an empty has no bounds: its cube goes from -1 to 1
    low, high = nodes.vector("SUBTRACT", bounds["Min"], empty), nodes.vector("ADD", bounds["Max"], empty)
    position = nodes.add("GeometryNodeInputPosition").outputs[0]
    local = nodes.add("FunctionNodeTransformPoint", {"Vector": position, "Transform": to_box}).outputs[0]
    beyond = nodes.vector("MAXIMUM", nodes.vector("SUBTRACT", low, local), nodes.vector("SUBTRACT", local, high))
    return nodes.number("GREATER_THAN", nodes.length(nodes.vector("MAXIMUM", beyond, (0.0, 0.0, 0.0))), 0.0)


def _set_input(modifier: bpy.types.Modifier, name: str, value: object) -> None:
    identifier = _identifier(modifier, name)
    if _has_typed_inputs(modifier):
        getattr(modifier.properties.inputs, identifier).value = value
    else:
        modifier[identifier] = value


def _input(modifier: bpy.types.Modifier, name: str) -> bpy.types.Object | None:
    identifier = _identifier(modifier, name)
    if _has_typed_inputs(modifier):
        return getattr(modifier.properties.inputs, identifier).value
    return modifier.get(identifier)


def _has_typed_inputs(modifier: bpy.types.Modifier) -> bool:
    """Whether a modifier keeps its inputs as properties with types instead of as its own items (since Blender 5.2)."""
    return hasattr(modifier, "properties") and hasattr(modifier.properties, "inputs")


def _identifier(modifier: bpy.types.Modifier, name: str) -> str:
    return next(item.identifier for item in modifier.node_group.interface.items_tree if item.name == name and item.in_out == "INPUT")
