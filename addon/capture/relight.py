"""Change the strength of a scene's lights: captures fix exposure and view transform."""

from __future__ import annotations

import math
from typing import Any

import bpy

from ..scene_collections import writable_collection
from ..typed import untyped

SUN = "Splatwright Sun"
SUN_STRENGTH = 3.0
SUN_ANGLE = math.radians(20.0)
"""A wide sun throws soft shadows, which do not look like edges of things."""


def relight(scene: bpy.types.Scene, factor: float) -> int:
    """Make every light of the scene and its world brighter by a factor, or add a sun where none shines. Returns how many were changed."""
    lights: set[Any] = {item.data for item in scene.objects if item.type == "LIGHT" and not item.hide_render}
    shining = [light for light in lights if light.energy > 0.0]
    if not shining and factor > 1.0:
        _add_sun(scene)
        return 1
    for light in shining:
        light.energy *= factor
    return len(shining) + _world(scene, factor)


def _world(scene: bpy.types.Scene, factor: float) -> int:
    """The strength of the world's background, where no node drives it."""
    nodes = scene.world.node_tree.nodes if scene.world and scene.world.node_tree else ()
    strengths = [node.inputs["Strength"] for node in nodes if node.type == "BACKGROUND" and not node.inputs["Strength"].is_linked]
    for strength in strengths:
        untyped(strength).default_value *= factor
    return len(strengths)


def _add_sun(scene: bpy.types.Scene) -> None:
    place = writable_collection(scene=scene)
    light: Any = bpy.data.lights.new(SUN, "SUN")
    light.energy, light.angle = SUN_STRENGTH, SUN_ANGLE
    sun = bpy.data.objects.new(SUN, light)
    sun.rotation_euler = (math.radians(35.0), math.radians(10.0), math.radians(30.0))
    place.objects.link(sun)
