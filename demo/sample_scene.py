"""The sample scene: a few textured things on a patterned floor. Needs bpy; used by the demo and the benchmarks."""

from __future__ import annotations

from typing import Any

import bpy

from demo.materials import brick, checker, fine_lines, marble, material, mixed, named, plain_render, sunlight


def build_sample_scene() -> list[bpy.types.Object]:
    """Fill the current, empty scene; returns the objects worth capturing."""
    floor = _floor()
    objects = [_monkey(), _bricks(), _ring(), _ball(), _cone(), _columns()]
    sunlight()
    plain_render(samples=16, bounces=3, side=400)
    return [floor, *objects]


def _floor() -> bpy.types.Object:
    bpy.ops.mesh.primitive_plane_add(size=6)
    floor = named("Floor")
    material(floor, lambda tree: mixed(tree, checker(tree, 12.0), fine_lines(tree)))
    return floor


def _monkey() -> bpy.types.Object:
    bpy.ops.mesh.primitive_monkey_add(size=1.3, location=(0, 0, 0.75), rotation=(-0.6, 0, 0.5))
    monkey = named("Monkey")
    smooth: Any = monkey.modifiers.new("Smooth", "SUBSURF")
    smooth.levels = 1
    bpy.ops.object.shade_smooth()
    material(monkey, lambda tree: marble(tree, (0.85, 0.32, 0.12), (0.98, 0.83, 0.45), 4.0))
    return monkey


def _bricks() -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add(size=0.8, location=(1.4, 0.5, 0.4), rotation=(0, 0, 0.4))
    cube = named("Bricks")
    material(cube, brick)
    return cube


def _ring() -> bpy.types.Object:
    bpy.ops.mesh.primitive_torus_add(major_radius=0.5, minor_radius=0.16, location=(-1.3, 0.7, 0.5), rotation=(1.2, 0.2, 0.9))
    ring = named("Ring")
    bpy.ops.object.shade_smooth()
    material(ring, lambda tree: marble(tree, (0.05, 0.25, 0.65), (0.55, 0.85, 0.95), 6.0))
    return ring


def _ball() -> bpy.types.Object:
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.4, location=(-0.9, -1.1, 0.4))
    ball = named("Ball")
    bpy.ops.object.shade_smooth()
    material(ball, lambda tree: marble(tree, (0.1, 0.45, 0.12), (0.9, 0.95, 0.4), 3.0), roughness=0.25)
    return ball


def _cone() -> bpy.types.Object:
    bpy.ops.mesh.primitive_cone_add(radius1=0.45, depth=1.0, location=(0.9, -1.1, 0.5), vertices=48)
    cone = named("Cone")
    material(cone, lambda tree: checker(tree, 9.0, (0.8, 0.1, 0.15), (0.95, 0.9, 0.85)))
    return cone


def _columns() -> bpy.types.Object:
    """Thin things: what splats find hard."""
    bpy.ops.mesh.primitive_cylinder_add(radius=0.04, depth=1.2, location=(0.1, 1.6, 0.6))
    column = named("Columns")
    array: Any = column.modifiers.new("Row", "ARRAY")
    array.count, array.use_relative_offset, array.use_constant_offset = 6, False, True
    array.constant_offset_displace = (0.25, 0, 0)
    material(column, lambda tree: marble(tree, (0.3, 0.1, 0.4), (0.8, 0.6, 0.9), 5.0))
    return column
