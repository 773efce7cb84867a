"""How many splats of an object viewports show. Renders and exports have them all.

A modifier that only viewports evaluate leaves out the others, so it holds in every kind of view and for native splats too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy

from ..typed import point_cloud, splat_settings, untyped
from .crop_nodes import set_input

MODIFIER = "Splatwright Detail"
GROUP = "Splatwright: every {}. splat"
"""Named by its step. It gives the splats their material again: Blender loses those of points that it deletes others from."""


def step_of(target: bpy.types.Object) -> int:
    """Every how many-th splat viewports show, after the object's settings."""
    settings = splat_settings(target)
    return max(settings.stride, -(-len(point_cloud(target).points) // settings.most_shown))


def thin(target: bpy.types.Object) -> None:
    """Let viewports show what the object's settings ask for; call it after the number of its splats changed."""
    step, modifier = step_of(target), target.modifiers.get(MODIFIER)
    if step == 1:
        if modifier is not None:
            target.modifiers.remove(modifier)
        return
    modifier = modifier or target.modifiers.new(MODIFIER, "NODES")
    modifier.show_render = False
    untyped(modifier).node_group = _group(step)
    set_input(modifier, "Material", point_cloud(target).materials[0] if point_cloud(target).materials else None)


@contextmanager
def all_splats(depsgraph: bpy.types.Depsgraph) -> Iterator[None]:
    """Evaluate all objects and their instances with every splat that other modifiers leave."""
    found = [target.modifiers.get(MODIFIER) for target in bpy.data.objects] if depsgraph.mode == "VIEWPORT" else []
    thinning = [modifier for modifier in found if modifier is not None and modifier.show_viewport]
    for modifier in thinning:
        modifier.show_viewport = False
    try:
        if thinning:
            depsgraph.update()
        yield
    finally:
        for modifier in thinning:
            modifier.show_viewport = True


def _group(step: int) -> bpy.types.NodeTree:
    """Geometry nodes that delete all splats whose index is no multiple of `step`; made at first use."""
    name = GROUP.format(step)
    found = bpy.data.node_groups.get(name)
    if found is not None:
        return found
    made = untyped(bpy.data.node_groups).new(name, "GeometryNodeTree")
    for in_out in ("INPUT", "OUTPUT"):
        made.interface.new_socket("Geometry", in_out=in_out, socket_type="NodeSocketGeometry")
    made.interface.new_socket("Material", in_out="INPUT", socket_type="NodeSocketMaterial")
    kinds = ("NodeGroupInput", "GeometryNodeInputIndex", "FunctionNodeIntegerMath", "GeometryNodeDeleteGeometry", "GeometryNodeSetMaterial",
             "NodeGroupOutput")
    given, index, rest, delete, colored, result = (made.nodes.new(kind) for kind in kinds)
    rest.operation = "MODULO"
    rest.inputs[1].default_value = step
    for start, end in ((given.outputs[0], delete.inputs["Geometry"]), (index.outputs[0], rest.inputs[0]),
                       (rest.outputs[0], delete.inputs["Selection"]), (delete.outputs[0], colored.inputs["Geometry"]),
                       (given.outputs[1], colored.inputs["Material"]), (colored.outputs[0], result.inputs[0])):
        made.links.new(start, end)
    return made
