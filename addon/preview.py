"""How splats look where Blender does not draw them itself: a material that Cycles and EEVEE render as soft ellipsoids.

Each point is a sphere of three standard deviations; along a ray through it the Gaussian is densest at one point, and its
density there times the opacity is the alpha. Attributes hold the rows of S⁻¹Rᵀ, which take a ray into the Gaussian's frame.
"""

from __future__ import annotations

from collections.abc import Iterator

import bpy
import numpy as np

from ..engine.core.gaussians import sh0_to_rgb

MATERIAL = "Splatwright Splats"
DEVIATIONS = 3.0
"""A point's radius in standard deviations of its longest axis."""

COLOR, OPACITY = "splat_color", "splat_opacity"  # an attribute named "color" would render black in Cycles
AXES = ("splat_axis_0", "splat_axis_1", "splat_axis_2")
TRANSPARENT_BOUNCES = 256


def display_columns(sh0: np.ndarray, opacity: np.ndarray, scales: np.ndarray, rotations: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """Name, type and values of the attributes that the material reads. sh0 [N, 3], scales [N, 3], rotations [N, 3, 3]."""
    inverse = rotations.transpose(0, 2, 1) / np.maximum(scales, 1e-9)[:, :, None]  # [N, 3, 3], rows of S⁻¹Rᵀ
    yield "radius", "FLOAT", DEVIATIONS * scales.max(axis=1)
    yield COLOR, "FLOAT_VECTOR", srgb_to_linear(sh0_to_rgb(sh0).clip(0, None))
    yield OPACITY, "FLOAT", opacity
    for row, name in enumerate(AXES):
        yield name, "FLOAT_VECTOR", inverse[:, row]


def srgb_to_linear(color: np.ndarray) -> np.ndarray:
    """Display values to the linear ones that Blender renders with (IEC 61966-2-1)."""
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


def prepare_cycles(scene: bpy.types.Scene) -> None:
    """Let rays pass as many splats as it takes; with fewer bounces dense splats turn black."""
    scene.cycles.transparent_max_bounces = max(scene.cycles.transparent_max_bounces, TRANSPARENT_BOUNCES)
    if hasattr(scene.cycles, "min_transparent_bounces"):
        scene.cycles.min_transparent_bounces = TRANSPARENT_BOUNCES


def splat_material() -> bpy.types.Material:
    """The one material of all splat objects, made when first needed."""
    found = bpy.data.materials.get(MATERIAL)
    return found if found is not None else _build(bpy.data.materials.new(MATERIAL))


def _build(material: bpy.types.Material) -> bpy.types.Material:
    material.use_nodes = True
    material.surface_render_method = "BLENDED"
    tree = material.node_tree
    tree.nodes.clear()
    nodes = _Nodes(tree)
    alpha = nodes.multiply(nodes.attribute(OPACITY, "Fac"), _density(nodes))
    front = nodes.math("SUBTRACT", 1.0, nodes.add("ShaderNodeNewGeometry").outputs["Backfacing"])
    emission, clear, mix = (nodes.add(f"ShaderNode{kind}") for kind in ("Emission", "BsdfTransparent", "MixShader"))
    tree.links.new(nodes.attribute(COLOR, "Vector"), emission.inputs["Color"])
    tree.links.new(nodes.multiply(alpha, front), mix.inputs[0])
    tree.links.new(clear.outputs[0], mix.inputs[1])
    tree.links.new(emission.outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], nodes.add("ShaderNodeOutputMaterial").inputs["Surface"])
    return material


def _density(nodes: _Nodes) -> bpy.types.NodeSocket:
    """exp(-d²/2) with d the Mahalanobis distance of the ray's nearest point to the centre."""
    geometry = nodes.add("ShaderNodeNewGeometry").outputs
    center = nodes.add("ShaderNodePointInfo").outputs["Position"]
    offset = nodes.into_object(nodes.vector("SUBTRACT", geometry["Position"], center), "VECTOR")
    ray = nodes.into_object(geometry["Incoming"], "VECTOR")
    start, along = nodes.into_gaussian(offset), nodes.into_gaussian(ray)
    projection = nodes.vector("DOT_PRODUCT", start, along)
    nearest = nodes.math("DIVIDE", nodes.multiply(projection, projection), nodes.vector("DOT_PRODUCT", along, along))
    distance2 = nodes.math("SUBTRACT", nodes.vector("DOT_PRODUCT", start, start), nearest)
    return nodes.math("EXPONENT", nodes.multiply(distance2, -0.5))


class _Nodes:
    """Adds nodes by what they compute."""

    def __init__(self, tree: bpy.types.NodeTree):
        self.tree = tree

    def add(self, kind: str, **settings: str) -> bpy.types.Node:
        node = self.tree.nodes.new(kind)
        for name, value in settings.items():
            setattr(node, name, value)
        return node

    def attribute(self, name: str, output: str) -> bpy.types.NodeSocket:
        return self.add("ShaderNodeAttribute", attribute_type="GEOMETRY", attribute_name=name).outputs[output]

    def math(self, operation: str, *inputs: bpy.types.NodeSocket | float) -> bpy.types.NodeSocket:
        node = self.add("ShaderNodeMath", operation=operation)
        for index, value in enumerate(inputs):
            if isinstance(value, float):
                node.inputs[index].default_value = value
            else:
                self.tree.links.new(value, node.inputs[index])
        return node.outputs[0]

    def multiply(self, one: bpy.types.NodeSocket | float, other: bpy.types.NodeSocket | float) -> bpy.types.NodeSocket:
        return self.math("MULTIPLY", one, other)

    def vector(self, operation: str, one: bpy.types.NodeSocket, other: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
        node = self.add("ShaderNodeVectorMath", operation=operation)
        self.tree.links.new(one, node.inputs[0])
        self.tree.links.new(other, node.inputs[1])
        return node.outputs["Value" if operation == "DOT_PRODUCT" else "Vector"]

    def into_object(self, vector: bpy.types.NodeSocket, kind: str) -> bpy.types.NodeSocket:
        node = self.add("ShaderNodeVectorTransform", vector_type=kind, convert_from="WORLD", convert_to="OBJECT")
        self.tree.links.new(vector, node.inputs[0])
        return node.outputs[0]

    def into_gaussian(self, vector: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
        combined = self.add("ShaderNodeCombineXYZ")
        for index, name in enumerate(AXES):
            self.tree.links.new(self.vector("DOT_PRODUCT", self.attribute(name, "Vector"), vector), combined.inputs[index])
        return combined.outputs[0]
