"""A room with thick walls, a window of glass, a table, a pillar and a vase that stands on the floor."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.untyped import bpy

WIDTH, DEPTH, HEIGHT, THICK = 6.0, 5.0, 2.8, 0.2


def box(name: str, low: tuple[float, float, float], high: tuple[float, float, float], colors: int = 0) -> Any:
    """A solid box between two corners; with `colors` each face glows in a pattern of its own."""
    bpy.ops.mesh.primitive_cube_add(size=1, location=np.add(low, high) / 2, scale=np.subtract(high, low))
    made = bpy.context.object
    made.name = name
    made.data.materials.append(pattern(name, colors))
    return made


def pattern(name: str, seed: int) -> Any:
    """A glowing material with soft blotches of two colours."""
    material = bpy.data.materials.new(name)
    if not material.node_tree:
        material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    first, second = np.random.default_rng(seed).uniform(0.05, 0.9, (2, 3))
    place, noise, mix = nodes.new("ShaderNodeNewGeometry"), nodes.new("ShaderNodeTexNoise"), nodes.new("ShaderNodeValToRGB")
    noise.inputs["Scale"].default_value, noise.inputs["Detail"].default_value = 1.5, 1.0
    mix.color_ramp.elements[0].position, mix.color_ramp.elements[1].position = 0.4, 0.6
    mix.color_ramp.elements[0].color, mix.color_ramp.elements[1].color = (*first, 1), (*second, 1)
    glow, output = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    links.new(place.outputs["Position"], noise.inputs["Vector"])
    links.new(noise.outputs["Fac"], mix.inputs["Fac"])
    links.new(mix.outputs["Color"], glow.inputs["Color"])
    links.new(glow.outputs["Emission"], output.inputs["Surface"])
    return material


def glass() -> Any:
    """A material that one sees through."""
    material = bpy.data.materials.new("Glass")
    if not material.node_tree:
        material.use_nodes = True
    material.node_tree.nodes["Principled BSDF"].inputs["Transmission Weight"].default_value = 1.0
    return material


def furnished_room(ceiling: bool = True) -> Any:
    """Build the room around the origin; returns the vase, selected alone."""
    x, y, z, t = WIDTH / 2, DEPTH / 2, HEIGHT, THICK
    box("Floor", (-x - t, -y - t, -t), (x + t, y + t, 0), 1)
    if ceiling:
        box("Ceiling", (-x - t, -y - t, z), (x + t, y + t, z + t), 2)
    box("West Wall", (-x - t, -y, 0), (-x, y, z), 3)
    box("East Wall", (x, -y, 0), (x + t, y, z), 4)
    box("South Wall", (-x - t, -y - t, 0), (x + t, -y, z), 5)
    box("North Wall", (-x - t, y, 0), (x + t, y + t, z), 6)
    box("Table", (1.4, 1.0, 0.7), (2.6, 2.2, 0.78), 7)
    box("Pillar", (-1.2, -1.2, 0), (-0.8, -0.8, z), 8)
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.35, location=(0.3, 0.2, 0.4), segments=24, ring_count=12)
    vase = bpy.context.object
    vase.name = "Vase"
    vase.data.materials.append(pattern("Vase", 9))
    bpy.ops.object.select_all(action="DESELECT")
    vase.select_set(True)
    bpy.context.view_layer.update()
    return vase


def inside(place: np.ndarray, margin: float = 0.0) -> bool:
    """Whether a place lies in the room's air, and not in the pillar or the table's top."""
    low, high = np.array([-WIDTH / 2, -DEPTH / 2, 0]) + margin, np.array([WIDTH / 2, DEPTH / 2, HEIGHT]) - margin
    pillar = (np.abs(place[:2] + 1.0) < 0.2 + margin).all()
    table = (place > [1.4 - margin, 1.0 - margin, 0.7 - margin]).all() and (place < [2.6 + margin, 2.2 + margin, 0.78 + margin]).all()
    return bool((place > low).all() and (place < high).all() and not pillar and not table)
