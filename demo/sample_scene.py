"""The sample scene: a few textured things on a patterned floor. Needs bpy; used by the demo and the benchmarks."""

from __future__ import annotations

import math
from collections.abc import Callable

import bpy

SAMPLES = 16


def build_sample_scene() -> list[bpy.types.Object]:
    """Fill the current, empty scene; returns the objects worth capturing."""
    floor = _floor()
    objects = [_monkey(), _bricks(), _ring(), _ball(), _cone(), _columns()]
    _light()
    _render_settings(bpy.context.scene)
    return [floor, *objects]


def _floor() -> bpy.types.Object:
    bpy.ops.mesh.primitive_plane_add(size=6)
    floor = _named("Floor")
    _material(floor, lambda tree: _mixed(tree, _checker(tree, 12.0), _fine_lines(tree)))
    return floor


def _monkey() -> bpy.types.Object:
    bpy.ops.mesh.primitive_monkey_add(size=1.3, location=(0, 0, 0.75), rotation=(-0.6, 0, 0.5))
    monkey = _named("Monkey")
    monkey.modifiers.new("Smooth", "SUBSURF").levels = 1
    bpy.ops.object.shade_smooth()
    _material(monkey, lambda tree: _marble(tree, (0.85, 0.32, 0.12), (0.98, 0.83, 0.45), 4.0))
    return monkey


def _bricks() -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add(size=0.8, location=(1.4, 0.5, 0.4), rotation=(0, 0, 0.4))
    cube = _named("Bricks")
    _material(cube, _brick)
    return cube


def _ring() -> bpy.types.Object:
    bpy.ops.mesh.primitive_torus_add(major_radius=0.5, minor_radius=0.16, location=(-1.3, 0.7, 0.5), rotation=(1.2, 0.2, 0.9))
    ring = _named("Ring")
    bpy.ops.object.shade_smooth()
    _material(ring, lambda tree: _marble(tree, (0.05, 0.25, 0.65), (0.55, 0.85, 0.95), 6.0))
    return ring


def _ball() -> bpy.types.Object:
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.4, location=(-0.9, -1.1, 0.4))
    ball = _named("Ball")
    bpy.ops.object.shade_smooth()
    _material(ball, lambda tree: _marble(tree, (0.1, 0.45, 0.12), (0.9, 0.95, 0.4), 3.0), roughness=0.25)
    return ball


def _cone() -> bpy.types.Object:
    bpy.ops.mesh.primitive_cone_add(radius1=0.45, depth=1.0, location=(0.9, -1.1, 0.5), vertices=48)
    cone = _named("Cone")
    _material(cone, lambda tree: _checker(tree, 9.0, (0.8, 0.1, 0.15), (0.95, 0.9, 0.85)))
    return cone


def _columns() -> bpy.types.Object:
    """Thin things: what splats find hard."""
    bpy.ops.mesh.primitive_cylinder_add(radius=0.04, depth=1.2, location=(0.1, 1.6, 0.6))
    column = _named("Columns")
    array = column.modifiers.new("Row", "ARRAY")
    array.count, array.use_relative_offset, array.use_constant_offset = 6, False, True
    array.constant_offset_displace = (0.25, 0, 0)
    _material(column, lambda tree: _marble(tree, (0.3, 0.1, 0.4), (0.8, 0.6, 0.9), 5.0))
    return column


def _named(name: str) -> bpy.types.Object:
    made = bpy.context.object
    made.name = name
    return made


def _material(target: bpy.types.Object, color: Callable, roughness: float = 0.8) -> None:
    material = bpy.data.materials.new(target.name)
    material.use_nodes = True
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = roughness
    tree.links.new(color(tree), shader.inputs["Base Color"])
    target.data.materials.append(material)


def _coordinates(tree: bpy.types.NodeTree) -> bpy.types.NodeSocket:
    return tree.nodes.new("ShaderNodeTexCoord").outputs["Generated"]


def _checker(
    tree: bpy.types.NodeTree, scale: float, dark: tuple = (0.12, 0.14, 0.2), light: tuple = (0.75, 0.72, 0.65),
) -> bpy.types.NodeSocket:
    node = tree.nodes.new("ShaderNodeTexChecker")
    node.inputs["Scale"].default_value = scale
    node.inputs["Color1"].default_value = (*dark, 1)
    node.inputs["Color2"].default_value = (*light, 1)
    tree.links.new(_coordinates(tree), node.inputs["Vector"])
    return node.outputs["Color"]


def _fine_lines(tree: bpy.types.NodeTree) -> bpy.types.NodeSocket:
    """The fine pattern."""
    node = tree.nodes.new("ShaderNodeTexWave")
    node.inputs["Scale"].default_value = 14.0
    node.inputs["Distortion"].default_value = 3.0
    tree.links.new(_coordinates(tree), node.inputs["Vector"])
    return node.outputs["Color"]


def _mixed(tree: bpy.types.NodeTree, one: bpy.types.NodeSocket, other: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    node = tree.nodes.new("ShaderNodeMixRGB")
    node.blend_type = "OVERLAY"
    node.inputs["Fac"].default_value = 0.45
    tree.links.new(one, node.inputs["Color1"])
    tree.links.new(other, node.inputs["Color2"])
    return node.outputs["Color"]


def _marble(tree: bpy.types.NodeTree, dark: tuple, light: tuple, scale: float) -> bpy.types.NodeSocket:
    noise = tree.nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value = scale
    noise.inputs["Detail"].default_value = 6.0
    tree.links.new(_coordinates(tree), noise.inputs["Vector"])
    ramp = tree.nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.4, 0.6
    ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = (*dark, 1), (*light, 1)
    tree.links.new(noise.outputs[0], ramp.inputs["Fac"])
    return ramp.outputs["Color"]


def _brick(tree: bpy.types.NodeTree) -> bpy.types.NodeSocket:
    node = tree.nodes.new("ShaderNodeTexBrick")
    node.inputs["Scale"].default_value = 8.0
    tree.links.new(tree.nodes.new("ShaderNodeTexCoord").outputs["UV"], node.inputs["Vector"])
    node.inputs["Color1"].default_value = (0.6, 0.2, 0.12, 1)
    node.inputs["Color2"].default_value = (0.45, 0.25, 0.18, 1)
    return node.outputs["Color"]


def _light() -> None:
    sun = bpy.data.lights.new("Sun", "SUN")
    sun.energy, sun.angle = 2.2, math.radians(1.0)
    lamp = bpy.data.objects.new("Sun", sun)
    lamp.rotation_euler = (0.6, 0.2, 0.8)
    bpy.context.collection.objects.link(lamp)
    world = bpy.data.worlds.new("World")
    world.use_nodes = True
    background = next(node for node in world.node_tree.nodes if node.type == "BACKGROUND")
    background.inputs["Color"].default_value = (0.55, 0.7, 0.9, 1)
    background.inputs["Strength"].default_value = 0.6
    bpy.context.scene.world = world


def _render_settings(scene: bpy.types.Scene) -> None:
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = SAMPLES
    scene.cycles.max_bounces = 3
    scene.cycles.use_denoising = False
    scene.render.film_transparent = True
    scene.render.resolution_x = scene.render.resolution_y = 400
    scene.render.resolution_percentage = 100
