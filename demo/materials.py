"""Surfaces, light and render settings that the scenes share. Needs bpy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import bpy
from mathutils import Vector

context: Any = bpy.context  # the stubs call all of it optional


def named(name: str) -> bpy.types.Object:
    """The active object, by its new name."""
    made = context.object
    made.name = name
    return made


def material(target: bpy.types.Object, color: Callable, roughness: float = 0.8, metallic: float = 0.0) -> None:
    """Give an object a surface whose colour is the socket that `color` makes in its node tree."""
    made = bpy.data.materials.new(target.name)
    made.use_nodes = True
    tree: Any = made.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = roughness
    shader.inputs["Metallic"].default_value = metallic
    tree.links.new(color(tree), shader.inputs["Base Color"])
    data: Any = target.data
    data.materials.append(made)


def glass(target: bpy.types.Object, tint: tuple[float, float, float]) -> None:
    """Give an object a surface of clear glass. Light falls through it straight: bent light would be noise at so few samples."""
    made = bpy.data.materials.new(target.name)
    made.use_nodes = True
    tree: Any = made.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    for name, value in (("Base Color", (*tint, 1)), ("Roughness", 0.0), ("IOR", 1.45), ("Transmission Weight", 1.0)):
        shader.inputs[name].default_value = value
    clear, mix, path = (tree.nodes.new(kind) for kind in ("ShaderNodeBsdfTransparent", "ShaderNodeMixShader", "ShaderNodeLightPath"))
    output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
    tree.links.new(path.outputs["Is Shadow Ray"], mix.inputs["Fac"])
    tree.links.new(shader.outputs["BSDF"], mix.inputs[1])
    tree.links.new(clear.outputs["BSDF"], mix.inputs[2])
    tree.links.new(mix.outputs["Shader"], output.inputs["Surface"])
    data: Any = target.data
    data.materials.append(made)


def coordinates(tree: bpy.types.NodeTree) -> bpy.types.NodeSocket:
    """Where on the object a point lies, 0 to 1 across its bounds."""
    return tree.nodes.new("ShaderNodeTexCoord").outputs["Generated"]


def checker(
    tree: bpy.types.NodeTree, scale: float, dark: tuple = (0.12, 0.14, 0.2), light: tuple = (0.75, 0.72, 0.65),
) -> bpy.types.NodeSocket:
    """Squares of two colours."""
    node: Any = tree.nodes.new("ShaderNodeTexChecker")
    node.inputs["Scale"].default_value = scale
    node.inputs["Color1"].default_value = (*dark, 1)
    node.inputs["Color2"].default_value = (*light, 1)
    tree.links.new(coordinates(tree), node.inputs["Vector"])
    return node.outputs["Color"]


def fine_lines(tree: bpy.types.NodeTree) -> bpy.types.NodeSocket:
    """Thin wavy lines."""
    node: Any = tree.nodes.new("ShaderNodeTexWave")
    node.inputs["Scale"].default_value = 14.0
    node.inputs["Distortion"].default_value = 3.0
    tree.links.new(coordinates(tree), node.inputs["Vector"])
    return node.outputs["Color"]


def mixed(tree: bpy.types.NodeTree, one: bpy.types.NodeSocket, other: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """One colour overlaid with another."""
    node: Any = tree.nodes.new("ShaderNodeMixRGB")
    node.blend_type = "OVERLAY"
    node.inputs["Fac"].default_value = 0.45
    tree.links.new(one, node.inputs["Color1"])
    tree.links.new(other, node.inputs["Color2"])
    return node.outputs["Color"]


def marble(tree: bpy.types.NodeTree, dark: tuple, light: tuple, scale: float) -> bpy.types.NodeSocket:
    """Veins between two colours."""
    noise: Any = tree.nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value = scale
    noise.inputs["Detail"].default_value = 6.0
    tree.links.new(coordinates(tree), noise.inputs["Vector"])
    ramp: Any = tree.nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.4, 0.6
    ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = (*dark, 1), (*light, 1)
    tree.links.new(noise.outputs[0], ramp.inputs["Fac"])
    return ramp.outputs["Color"]


def brick(tree: bpy.types.NodeTree) -> bpy.types.NodeSocket:
    """Bricks and mortar."""
    node: Any = tree.nodes.new("ShaderNodeTexBrick")
    node.inputs["Scale"].default_value = 8.0
    tree.links.new(tree.nodes.new("ShaderNodeTexCoord").outputs["UV"], node.inputs["Vector"])
    node.inputs["Color1"].default_value = (0.6, 0.2, 0.12, 1)
    node.inputs["Color2"].default_value = (0.45, 0.25, 0.18, 1)
    return node.outputs["Color"]


def wood(tree: bpy.types.NodeTree, dark: tuple = (0.16, 0.07, 0.03), light: tuple = (0.5, 0.28, 0.13)) -> bpy.types.NodeSocket:
    """Grain along one direction, in planks."""
    stretch: Any = tree.nodes.new("ShaderNodeMapping")
    stretch.inputs["Scale"].default_value = (1.5, 16.0, 1.0)
    tree.links.new(coordinates(tree), stretch.inputs["Vector"])
    grain: Any = tree.nodes.new("ShaderNodeTexNoise")
    grain.inputs["Scale"].default_value, grain.inputs["Detail"].default_value = 3.0, 8.0
    tree.links.new(stretch.outputs["Vector"], grain.inputs["Vector"])
    ramp: Any = tree.nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.35, 0.65
    ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = (*dark, 1), (*light, 1)
    tree.links.new(grain.outputs[0], ramp.inputs["Fac"])
    planks: Any = tree.nodes.new("ShaderNodeTexBrick")
    planks.inputs["Scale"].default_value, planks.inputs["Mortar Size"].default_value = 1.0, 0.004
    planks.inputs["Brick Width"].default_value, planks.inputs["Row Height"].default_value = 2.0, 0.2
    planks.inputs["Color1"].default_value, planks.inputs["Color2"].default_value = (0.62, 0.62, 0.62, 1), (0.42, 0.42, 0.42, 1)
    planks.inputs["Mortar"].default_value = (0.1, 0.1, 0.1, 1)
    tree.links.new(coordinates(tree), planks.inputs["Vector"])
    return mixed(tree, ramp.outputs["Color"], planks.outputs["Color"])


def gradient(tree: bpy.types.NodeTree, foot: tuple, top: tuple, spots: float = 0.0) -> bpy.types.NodeSocket:
    """One colour at the foot, another at the top, broken by spots of so much strength."""
    split: Any = tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(coordinates(tree), split.inputs[0])
    noise: Any = tree.nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value, noise.inputs["Detail"].default_value = 9.0, 5.0
    tree.links.new(coordinates(tree), noise.inputs["Vector"])
    moved: Any = tree.nodes.new("ShaderNodeMath")
    moved.operation = "MULTIPLY_ADD"
    moved.inputs[1].default_value = spots
    tree.links.new(noise.outputs[0], moved.inputs[0])
    tree.links.new(split.outputs["Z"], moved.inputs[2])
    ramp: Any = tree.nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.25 + spots / 2, 0.75 + spots / 2
    ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = (*foot, 1), (*top, 1)
    tree.links.new(moved.outputs[0], ramp.inputs["Fac"])
    return ramp.outputs["Color"]


def window_light(toward: tuple[float, float, float]) -> None:
    """A large soft lamp, warm, from one side, a cool weak one from the other, and a dim room around them."""
    _lamp("Window", toward, (-3.2, -2.2, 3.6), 320.0, (1.0, 0.9, 0.76))
    _lamp("Fill", toward, (3.4, 2.6, 2.2), 70.0, (0.75, 0.85, 1.0))
    sky((0.62, 0.72, 0.9), 0.4)


def _lamp(name: str, toward: tuple[float, float, float], place: tuple[float, float, float], energy: float, color: tuple) -> None:
    lamp: Any = bpy.data.lights.new(name, "AREA")
    lamp.energy, lamp.size, lamp.color = energy, 2.6, color
    made = bpy.data.objects.new(name, lamp)
    made.location = place
    made.rotation_euler = (Vector(toward) - made.location).to_track_quat("-Z", "Y").to_euler()
    context.collection.objects.link(made)


def sky(color: tuple[float, float, float], strength: float) -> None:
    """The world in one colour, which lights the shadows."""
    world: Any = bpy.data.worlds.new("World")
    world.use_nodes = True
    background = next(node for node in world.node_tree.nodes if node.type == "BACKGROUND")
    background.inputs["Color"].default_value = (*color, 1)
    background.inputs["Strength"].default_value = strength
    context.scene.world = world


def sunlight() -> None:
    """A sun, and a blue sky that lights the shadows."""
    sun: Any = bpy.data.lights.new("Sun", "SUN")
    sun.energy, sun.angle = 2.2, math.radians(1.0)
    lamp = bpy.data.objects.new("Sun", sun)
    lamp.rotation_euler = (0.6, 0.2, 0.8)
    context.collection.objects.link(lamp)
    sky((0.55, 0.7, 0.9), 0.6)


def denoised_render(samples: int, bounces: int, side: int) -> None:
    """As plain_render(), denoised quickly; where this Blender has no denoiser with three times the samples."""
    import _cycles  # pyright: ignore[reportMissingImports]  # exists once bpy is imported

    plain_render(samples, bounces, side)
    settings = context.scene.cycles
    if _cycles.with_openimagedenoise:
        settings.use_denoising, settings.denoiser = True, "OPENIMAGEDENOISE"
        settings.denoising_prefilter = settings.denoising_quality = "FAST"
    else:
        settings.samples = 3 * samples


def plain_render(samples: int, bounces: int, side: int) -> None:
    """Cycles on the processor, square images with a transparent background; no denoiser, which not every Blender has."""
    scene = context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = samples
    scene.cycles.max_bounces = bounces
    scene.cycles.use_denoising = False
    scene.cycles.caustics_reflective = scene.cycles.caustics_refractive = False
    scene.render.film_transparent = True
    scene.render.resolution_x = scene.render.resolution_y = side
    scene.render.resolution_percentage = 100
