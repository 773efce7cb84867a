"""A small .blend file: two scenes, the second with two collections of cameras. `python -m tests.blender_file FILE` writes it."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

from tests.untyped import bpy  # isort: skip  # before what it brings

from mathutils import Vector

KITCHEN, HALL = "Küche 1", "ホール"
RINGS = {"Ring A": 4, "Ring/B": 6}
KITCHEN_CAMERAS = 5
SIDE = 32
COLORS = [(0.8, 0.1, 0.1), (0.1, 0.7, 0.2), (0.1, 0.2, 0.9), (0.9, 0.8, 0.1), (0.7, 0.1, 0.8)]


def write_file(path: Path) -> None:
    """Make the scenes anew and save them."""
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.context.scene.name = KITCHEN
    furnish(bpy.context.scene)
    add_cameras(bpy.context.scene, bpy.context.scene.collection, KITCHEN_CAMERAS)
    hall = bpy.data.scenes.new(HALL)
    furnish(hall)
    for name, count in RINGS.items():
        ring = bpy.data.collections.new(name)
        hall.collection.children.link(ring)
        add_cameras(hall, ring, count)
    bpy.ops.wm.save_as_mainfile(filepath=str(path))


def furnish(scene: bpy.types.Scene) -> None:
    """A pyramid of glowing colours, rendered small and fast."""
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 1, False
    scene.render.resolution_x = scene.render.resolution_y = SIDE
    corners = [(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0), (0, 0, 1)]
    mesh = bpy.data.meshes.new("Pyramid")
    mesh.from_pydata(corners, [], [(0, 1, 2, 3), (0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4)])
    for color in COLORS:
        mesh.materials.append(glowing(color))
    mesh.polygons.foreach_set("material_index", list(range(len(COLORS))))
    scene.collection.objects.link(bpy.data.objects.new("Pyramid", mesh))


def add_cameras(scene: bpy.types.Scene, collection: bpy.types.Collection, count: int) -> None:
    """Cameras around the pyramid."""
    for number in range(count):
        camera = bpy.data.objects.new(f"Kamera {number}", bpy.data.cameras.new("Kamera"))
        camera.location = (4 * math.cos(number * math.tau / count), 4 * math.sin(number * math.tau / count), 2)
        camera.rotation_euler = (-Vector(camera.location)).to_track_quat("-Z", "Y").to_euler()
        collection.objects.link(camera)
        scene.camera = camera


def glowing(color: tuple[float, float, float]) -> bpy.types.Material:
    """A material that renders as exactly this linear colour."""
    material = bpy.data.materials.new("Glow")
    if not material.node_tree:  # always there from 5.0 on
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    emission, output = tree.nodes.new("ShaderNodeEmission"), tree.nodes.new("ShaderNodeOutputMaterial")
    emission.inputs["Color"].default_value = (*color, 1.0)
    tree.links.new(emission.outputs[0], output.inputs[0])
    return material


if __name__ == "__main__":
    write_file(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # the bpy module may hang at exit
