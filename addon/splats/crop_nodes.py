"""The Geometry Nodes modifier that hides the splats outside a box."""

from __future__ import annotations

import bpy

from ..typed import point_cloud, untyped
from .material import Nodes

NAME = "Splat Crop"
MARK = "splatwright_crop"
VERSION = 1


def crops(target: bpy.types.Object) -> list[bpy.types.Modifier]:
    """The crop modifiers of an object."""
    return [found for found in untyped(target).modifiers
            if found.type == "NODES" and found.node_group is not None and MARK in found.node_group]


def follow_material(target: bpy.types.Object) -> None:
    """Tell the crop modifiers which material the splats have: Blender loses those of points that it deletes others from."""
    material = point_cloud(target).materials[0] if point_cloud(target).materials else None
    for modifier in crops(target):
        set_input(modifier, "Material", material)


def node_group() -> bpy.types.NodeTree:
    """The nodes that delete points outside a box, made at first use and shared by all files' objects."""
    found = next((group for group in bpy.data.node_groups if group.get(MARK) == VERSION and group.library is None), None)
    if found is not None:
        return found
    group = untyped(bpy.data.node_groups).new(NAME, "GeometryNodeTree")
    group[MARK] = VERSION
    group.is_modifier = True
    for name, kind in (("Geometry", "NodeSocketGeometry"), ("Box", "NodeSocketObject"), ("Invert", "NodeSocketBool"),
                       ("Material", "NodeSocketMaterial")):
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
    shown = nodes.add("GeometryNodeSetMaterial", {"Geometry": kept, "Material": given["Material"]}).outputs[0]
    nodes.add("NodeGroupOutput", {"Geometry": shown})


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


def set_input(modifier: bpy.types.Modifier, name: str, value: object) -> None:
    """Set one of the modifier's inputs: Box, Invert or Material."""
    identifier = _identifier(modifier, name)
    if _has_typed_inputs(modifier):
        getattr(untyped(modifier).properties.inputs, identifier).value = value
    else:
        modifier[identifier] = value


def given_input(modifier: bpy.types.Modifier, name: str) -> bpy.types.Object | None:
    """The box of a crop modifier."""
    identifier = _identifier(modifier, name)
    if _has_typed_inputs(modifier):
        return getattr(untyped(modifier).properties.inputs, identifier).value
    return modifier.get(identifier)


def _has_typed_inputs(modifier: bpy.types.Modifier) -> bool:
    """Whether a modifier keeps its inputs as properties with types instead of as its own items (since Blender 5.2)."""
    return hasattr(modifier, "properties") and hasattr(untyped(modifier).properties, "inputs")


def _identifier(modifier: bpy.types.Modifier, name: str) -> str:
    items = untyped(modifier).node_group.interface.items_tree
    return next(item.identifier for item in items if item.name == name and item.in_out == "INPUT")
