"""The material that draws Gaussians on the spheres of a point cloud, built from the attributes of the splat schema.

A ray hits a sphere around the Gaussian. In the Gaussian's own frame (turned back, divided by its scale) alpha is
opacity * exp(-d²/2), where d is the distance of the ray's line from the centre: what 3D Gaussian Splatting draws, but mixed
in linear light, and sorted by where rays enter the spheres instead of by centres. Colour: spherical harmonics in the ray's
direction, + 0.5, sRGB to linear, as emission. All vectors are taken in the object's space, so the object may be moved,
turned and scaled.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import bpy

from ...engine.core.splats.gaussians import SH_C0
from ..typed import untyped
from ..ui.steps import Steps, run_to_end
from .packing import TURN

VERSION = 2
"""Raised when the nodes change, so that files with older ones get new ones."""

LOW_PASS = 0.3  # px²
EEVEE_DEGREE = 2
"""EEVEE reads 15 attributes at most, and degree 3 needs 18."""

NAMES = {"SPLATS": "Splatwright Splats", "POINTS": "Splatwright Points"}

Socket = bpy.types.NodeSocket
Value = Socket | float | tuple[float, ...]

# Factors of the real spherical harmonics, as in engine/core/splats/sh.py
C1 = 0.4886025119029199
C2 = (1.0925484305920792, 0.31539156525252005, 0.5462742152960396)
C3 = (0.5900435899266435, 2.890611442640554, 0.4570457994644658, 0.3731763325901154, 1.445305721320277)


def material(display: str, sh_degree: int, antialiased: bool = False) -> bpy.types.Material:
    """The shared material for a way of display, a degree of harmonics and a low-pass filter, made at first use."""
    return run_to_end(material_steps(display, sh_degree, antialiased))


def material_steps(display: str, sh_degree: int, antialiased: bool = False) -> Steps[bpy.types.Material]:
    """As material, in steps; closed early they leave nothing behind."""
    degree, antialiased = (sh_degree, antialiased) if display == "SPLATS" else (0, False)
    name = NAMES[display] + f" SH{degree}" * (degree > 0) + " Antialiased" * antialiased
    found = bpy.data.materials.get(name)
    if found is not None and found.get("splatwright") == VERSION:
        return found
    made = found or bpy.data.materials.new(name)
    try:
        yield from _building_steps(made, display, degree, antialiased)
    except BaseException:
        with suppress(ReferenceError):  # another file was opened
            bpy.data.materials.remove(made) if not made.users else None
        raise
    made["splatwright"] = VERSION
    return made


def is_ours(found: bpy.types.Material) -> bool:
    """Whether this module made the material."""
    return "splatwright" in found


def _building_steps(made: bpy.types.Material, display: str, degree: int, antialiased: bool) -> Steps[None]:
    if made.node_tree is None:
        made.use_nodes = True  # Blender 5 makes materials with nodes and warns of this
    tree = untyped(made).node_tree
    tree.nodes.clear()
    nodes = Nodes(tree)
    alpha = _alpha(nodes, antialiased) if display == "SPLATS" else None
    yield 0.0
    _surface(nodes, alpha, degree, "CYCLES")
    yield 0.0
    _surface(nodes, alpha, min(degree, EEVEE_DEGREE), "EEVEE")
    made.surface_render_method = "DITHERED"  # EEVEE does not sort the points of one object


def _surface(nodes: Nodes, alpha: Socket | None, degree: int, engine: str) -> None:
    """What `engine` renders: light, and what lies behind where alpha is less than 1."""
    surface = nodes.add("ShaderNodeEmission", {"Color": _linear(nodes, _color(nodes, degree))}).outputs[0]
    if alpha is not None:
        clear = nodes.add("ShaderNodeBsdfTransparent").outputs[0]
        surface = nodes.add("ShaderNodeMixShader", {0: alpha, 1: clear, 2: surface}).outputs[0]
    nodes.add("ShaderNodeOutputMaterial", {"Surface": surface}, target=engine)


class Nodes:
    """A node tree written as arithmetic."""

    def __init__(self, tree: bpy.types.NodeTree):
        self._tree = tree

    def add(self, kind: str, inputs: dict[int | str, Any] | None = None, **settings: Any) -> bpy.types.Node:
        """A node with its settings and inputs; a socket is linked, a value is set."""
        node = self._tree.nodes.new(kind)
        for name, value in settings.items():
            setattr(node, name, value)
        for key, value in (inputs or {}).items():
            if isinstance(value, bpy.types.NodeSocket):
                self._tree.links.new(value, node.inputs[key])
            else:
                untyped(node.inputs[key]).default_value = value
        return node

    def number(self, operation: str, *values: Value) -> Socket:
        """A Math node."""
        return self.add("ShaderNodeMath", dict(enumerate(values)), operation=operation).outputs[0]

    def vector(self, operation: str, *values: Value) -> Socket:
        """A Vector Math node; its number for DOT_PRODUCT, else its vector."""
        node = self.add("ShaderNodeVectorMath", dict(enumerate(values)), operation=operation)
        return node.outputs["Value" if operation == "DOT_PRODUCT" else "Vector"]

    def scaled(self, vector: Socket, factor: Value) -> Socket:
        """A vector times a number."""
        return self.add("ShaderNodeVectorMath", {0: vector, "Scale": factor}, operation="SCALE").outputs["Vector"]

    def attribute(self, name: str, output: str = "Vector") -> Socket:
        """An attribute of the point that was hit."""
        return self.add("ShaderNodeAttribute", attribute_type="GEOMETRY", attribute_name=name).outputs[output]

    def scene_value(self, path: str) -> Socket:
        """A number of the scene, by its path in Blender's data; 0 where there is none."""
        return self.add("ShaderNodeAttribute", attribute_type="VIEW_LAYER", attribute_name=path).outputs["Fac"]

    def length(self, vector: Socket) -> Socket:
        """The length of a vector."""
        return self.add("ShaderNodeVectorMath", {0: vector}, operation="LENGTH").outputs["Value"]

    def in_object_space(self, world: Socket) -> Socket:
        """A vector of the world in the object's axes and unit."""
        return self.add("ShaderNodeVectorTransform", {0: world}, vector_type="VECTOR", convert_from="WORLD", convert_to="OBJECT").outputs[0]


def _alpha(nodes: Nodes, antialiased: bool) -> Socket:
    """How much of the light this Gaussian stops on the ray."""
    geometry = nodes.add("ShaderNodeNewGeometry")
    center = nodes.add("ShaderNodePointInfo").outputs["Position"]
    toward = nodes.in_object_space(geometry.outputs["Incoming"])
    scale, own = _widened_scale(nodes, nodes.length(toward)), _turned_back(nodes, toward)
    away = _turned_back(nodes, nodes.in_object_space(nodes.vector("SUBTRACT", geometry.outputs["Position"], center)))
    offset, ray = nodes.vector("DIVIDE", away, scale), nodes.vector("NORMALIZE", nodes.vector("DIVIDE", own, scale))
    # The area of the parallelogram over its base: flat Gaussians would lose all digits in the difference of two squares.
    height = nodes.vector("CROSS_PRODUCT", offset, ray)
    falloff = nodes.number("EXPONENT", nodes.number("MULTIPLY", nodes.vector("DOT_PRODUCT", height, height), -0.5))
    alpha = nodes.number("MULTIPLY", nodes.attribute("radiance:base", "Alpha"), falloff)
    if antialiased:  # what the low-pass widens pales, so that its integral stays (Yu et al. 2024, Mip-Splatting)
        pale = nodes.number("DIVIDE", _shadow(nodes, own, nodes.attribute("scale")), _shadow(nodes, own, scale))
        alpha = nodes.number("MULTIPLY", alpha, pale)
    # Cycles hits the near side of a sphere alone; EEVEE draws the far side as well.
    return nodes.number("MULTIPLY", alpha, nodes.number("SUBTRACT", 1.0, geometry.outputs["Backfacing"]))


def _widened_scale(nodes: Nodes, object_units: Socket) -> Socket:
    """The scale with the low-pass filter of 3D Gaussian Splatting: 0.3 px² more variance at the Gaussian's depth.

    The size of a pixel comes from the scene's camera and resolution, as they are when rendering. `object_units` is the
    length of a world unit in the object's.
    """
    side = nodes.number("MAXIMUM", nodes.scene_value("render.resolution_x"), nodes.scene_value("render.resolution_y"))
    pixels = nodes.number("MULTIPLY", side, nodes.number("MULTIPLY", nodes.scene_value("render.resolution_percentage"), 0.01))
    half_view = nodes.number("TANGENT", nodes.number("MULTIPLY", nodes.scene_value("camera.data.angle"), 0.5))
    pixel = nodes.number("DIVIDE", nodes.number("MULTIPLY", half_view, 2.0), pixels)
    depth = nodes.number("MULTIPLY", nodes.add("ShaderNodeCameraData").outputs["View Z Depth"], object_units)
    width = nodes.number("MULTIPLY", pixel, depth)
    added = nodes.number("MULTIPLY", nodes.number("MULTIPLY", width, width), LOW_PASS)
    scale = nodes.attribute("scale")
    return nodes.vector("POWER", nodes.vector("ADD", nodes.vector("MULTIPLY", scale, scale), added), (0.5,) * 3)


def _shadow(nodes: Nodes, direction: Socket, scale: Socket) -> Socket:
    """The area of an ellipsoid's shadow along a direction in its own frame, up to a factor: |(d_x s_y s_z, d_y s_z s_x, d_z s_x s_y)|."""
    x, y, z = nodes.add("ShaderNodeSeparateXYZ", {0: scale}).outputs
    sides = nodes.add("ShaderNodeCombineXYZ", {0: _product(nodes, y, z), 1: _product(nodes, z, x), 2: _product(nodes, x, y)}).outputs[0]
    return nodes.length(nodes.vector("MULTIPLY", direction, sides))


def _turned_back(nodes: Nodes, vector: Socket) -> Socket:
    """A vector in the Gaussian's frame: v' = v + 2 u x (u x v - w v) for the quaternion (w, u) of its rotation."""
    turn = nodes.attribute(TURN)  # [p]: w = (1 - p²) / (1 + p²), u = 2 p / (1 + p²)
    square = nodes.vector("DOT_PRODUCT", turn, turn)
    above = nodes.number("ADD", square, 1.0)
    axis = nodes.scaled(turn, nodes.number("DIVIDE", 2.0, above))
    w = nodes.number("DIVIDE", nodes.number("SUBTRACT", 1.0, square), above)
    inner = nodes.vector("SUBTRACT", nodes.vector("CROSS_PRODUCT", axis, vector), nodes.scaled(vector, w))
    return nodes.vector("ADD", vector, nodes.scaled(nodes.vector("CROSS_PRODUCT", axis, inner), 2.0))


def _color(nodes: Nodes, degree: int) -> Socket:
    """Display colour: 0.5 + the harmonics in the direction from the viewer to the splat, not below 0."""
    color = nodes.vector("MULTIPLY_ADD", nodes.attribute("radiance:base"), (SH_C0,) * 3, (0.5,) * 3)
    if degree:
        away = nodes.scaled(nodes.add("ShaderNodeNewGeometry").outputs["Incoming"], -1.0)
        for index, value in enumerate(_harmonics(nodes, nodes.vector("NORMALIZE", nodes.in_object_space(away)), degree)):
            color = nodes.vector("ADD", color, nodes.scaled(nodes.attribute(f"radiance:sh_{index}"), value))
    return nodes.vector("MAXIMUM", color, (0.0, 0.0, 0.0))


def _harmonics(nodes: Nodes, direction: Socket, degree: int) -> list[Socket]:
    """The basis functions of degree 1 to `degree`, in the order of the coefficients."""
    x, y, z = nodes.add("ShaderNodeSeparateXYZ", {0: direction}).outputs
    times = lambda *values: _product(nodes, *values)  # noqa: E731
    minus = lambda left, right: nodes.number("SUBTRACT", left, right)  # noqa: E731
    found = [times(-C1, y), times(C1, z), times(-C1, x)]
    if degree == 1:
        return found
    xx, yy, zz = times(x, x), times(y, y), times(z, z)
    xy, across = times(x, y), minus(xx, yy)
    found += [times(C2[0], xy), times(-C2[0], y, z), times(C2[1], minus(times(3.0, zz), 1.0)), times(-C2[0], x, z), times(C2[2], across)]
    if degree == 2:
        return found
    five = minus(times(5.0, zz), 1.0)
    return [*found, times(-C3[0], y, minus(times(3.0, xx), yy)), times(C3[1], xy, z), times(-C3[2], y, five),
            times(C3[3], z, minus(times(5.0, zz), 3.0)), times(-C3[2], x, five), times(C3[4], z, across),
            times(-C3[0], x, minus(xx, times(3.0, yy)))]


def _product(nodes: Nodes, first: Value, *others: Value) -> Any:
    for other in others:
        first = nodes.number("MULTIPLY", first, other)
    return first


def _linear(nodes: Nodes, color: Socket) -> Socket:
    """sRGB to linear (IEC 61966-2-1) for each channel: c / 12.92 up to 0.04045, ((c + 0.055) / 1.055)^2.4 above."""
    low = nodes.scaled(color, 1 / 12.92)
    shifted = nodes.vector("MULTIPLY_ADD", color, (1 / 1.055,) * 3, (0.055 / 1.055,) * 3)
    high = nodes.vector("POWER", shifted, (2.4,) * 3)
    is_high = nodes.vector("SIGN", nodes.vector("MAXIMUM", nodes.vector("SUBTRACT", color, (0.04045,) * 3), (0.0,) * 3))
    return nodes.vector("MULTIPLY_ADD", nodes.vector("SUBTRACT", high, low), is_high, low)
