"""A scene that splats find hard: foliage, grass, wire and spokes, and things that mirror. Needs bpy; used by the benchmarks."""

from __future__ import annotations

import math
from typing import Any

import bpy
import numpy as np

from demo.materials import checker, fine_lines, marble, material, mixed, named, plain_render, sunlight
from demo.meshes import Lines, leaves, mesh, wires

GREENS = ((0.03, 0.12, 0.02), (0.35, 0.5, 0.08))


def build_thicket() -> list[bpy.types.Object]:
    """Fill the current, empty scene; returns the objects that cameras look at; ground and grass reach beyond."""
    rng = np.random.default_rng(5)
    _ground()
    objects = [*_tree(rng), *_bushes(rng), *_fence(), *_wheel(), _mirror_ball(), _pot(), _puddle()]
    _grass(rng)
    sunlight()
    plain_render(samples=24, bounces=4, side=480)
    return objects


def _ground() -> None:
    bpy.ops.mesh.primitive_circle_add(vertices=96, radius=2.4, fill_type="NGON")
    ground = named("Ground")
    material(ground, lambda tree: mixed(tree, marble(tree, (0.12, 0.07, 0.03), (0.35, 0.25, 0.14), 9.0), fine_lines(tree)))


def _tree(rng: np.random.Generator) -> list[bpy.types.Object]:
    """Branches that fork four times, and leaves at their ends."""
    lines: Lines = []
    _grow(lines, rng, np.array([-0.5, 0.5, 0.0]), np.array([0.05, 0.0, 1.0]), 0.7, 4)
    forks = {tuple(line[0]) for line in lines}
    tips = np.array([line[-1] for line in lines if tuple(line[-1]) not in forks])
    wood = wires("Branches", lines, 0.014)
    material(wood, lambda tree: marble(tree, (0.1, 0.05, 0.02), (0.4, 0.25, 0.12), 12.0))
    places = np.repeat(tips, 9, axis=0) + rng.normal(0, 0.07, (9 * len(tips), 3))
    foliage = leaves("Tree leaves", places, rng, 0.09)
    material(foliage, lambda tree: marble(tree, (0.05, 0.16, 0.02), (0.55, 0.45, 0.06), 14.0), roughness=0.45)
    return [wood, foliage]


def _grow(lines: Lines, rng: np.random.Generator, start: np.ndarray, direction: np.ndarray, length: float, forks: int) -> None:
    """A bent branch and those that fork from its end."""
    steps = np.linspace(0, 1, 5)[:, None]
    branch = start + steps * direction * length + rng.normal(0, 0.03 * length, (5, 3)) * steps
    lines.append(branch)
    for _ in range(3 if forks else 0):
        turned = direction + rng.normal(0, 0.5, 3) + [0, 0, 0.1]
        _grow(lines, rng, branch[-1], turned / np.linalg.norm(turned), 0.66 * length, forks - 1)


def _bushes(rng: np.random.Generator) -> list[bpy.types.Object]:
    """Round clouds of leaves, dense outside and open inside."""
    made = []
    for x, y, radius, dark, light in ((1.2, 0.9, 0.5, *GREENS), (1.35, -0.2, 0.36, (0.25, 0.03, 0.05), (0.75, 0.3, 0.2))):
        directions = rng.normal(size=(900, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        places = directions * radius * rng.uniform(0.55, 1.0, (900, 1)) * [1, 1, 0.85] + [x, y, 0.9 * radius]
        bush = leaves(f"Bush {len(made)}", places, rng, 0.075)
        material(bush, lambda tree, dark=dark, light=light: marble(tree, dark, light, 10.0), roughness=0.4)
        made.append(bush)
    return made


def _grass(rng: np.random.Generator) -> None:
    """Blades that taper and bend."""
    count = 2600
    angle, radius = rng.uniform(0, 2 * np.pi, count), 2.2 * np.sqrt(rng.uniform(0.02, 1, count))
    foot = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.zeros(count)], axis=1)
    side = 0.006 * np.stack([-np.sin(angle), np.cos(angle), np.zeros(count)], axis=1)
    lean = rng.normal(0, 0.05, (count, 3)) * [1, 1, 0]
    up = rng.uniform(0.08, 0.22, (count, 1)) * [0, 0, 1]
    middle = foot + 0.5 * up + 0.3 * lean
    corners = np.stack([foot - side, foot + side, middle + 0.7 * side, middle - 0.7 * side, foot + up + lean], axis=1)
    first = 5 * np.arange(count)[:, None]
    faces = np.concatenate([first + np.array(face) for face in ([0, 1, 2], [0, 2, 3], [3, 2, 4])])
    grass = mesh("Grass", corners.reshape(-1, 3), faces)
    material(grass, lambda tree: marble(tree, *GREENS, 30.0), roughness=0.5)


def _fence() -> list[bpy.types.Object]:
    """Wire in diamonds between two posts."""
    left, right, height, cell = -1.5, 0.3, 0.8, 0.15
    lines: Lines = []
    for start in np.arange(left - height, right, cell):
        for mirrored in (False, True):
            x = np.clip([start, start + height], left, right)
            z = np.clip((x - start), 0, height)
            if x[1] > x[0]:
                lines.append(np.stack([left + right - x if mirrored else x, np.full(2, -1.3), z + 0.1], axis=1))
    wire = wires("Fence", lines, 0.005)
    material(wire, lambda tree: marble(tree, (0.5, 0.5, 0.52), (0.75, 0.75, 0.78), 40.0), roughness=0.3, metallic=1.0)
    posts = wires("Posts", [np.array([[x, -1.3, 0], [x, -1.3, 1.05]]) for x in (left, right)], 0.03)
    material(posts, lambda tree: marble(tree, (0.3, 0.18, 0.1), (0.6, 0.42, 0.25), 15.0))
    return [wire, posts]


def _wheel() -> list[bpy.types.Object]:
    """A wheel that leans against the air: rim, tyre and 28 spokes."""
    centre, radius = np.array([0.75, -1.2, 0.46]), 0.42
    bpy.ops.mesh.primitive_torus_add(major_radius=radius, minor_radius=0.03, major_segments=96, minor_segments=12,
                                     location=tuple(centre), rotation=(math.radians(78), 0, 0.5))
    tyre = named("Tyre")
    bpy.ops.object.shade_smooth()
    material(tyre, lambda tree: checker(tree, 60.0, (0.02, 0.02, 0.02), (0.09, 0.09, 0.09)), roughness=0.6)
    turn = np.array(tyre.rotation_euler.to_matrix())
    angles = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    rim = radius * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    hub = 0.04 * np.stack([np.cos(angles + 1.2), np.sin(angles + 1.2), np.where(np.arange(28) % 2, 1.2, -1.2)], axis=1)
    spokes = wires("Spokes", [centre + np.stack([a, b]) @ turn.T for a, b in zip(hub, rim, strict=True)], 0.004)
    material(spokes, lambda tree: marble(tree, (0.6, 0.6, 0.6), (0.85, 0.85, 0.85), 30.0), roughness=0.2, metallic=1.0)
    return [tyre, spokes]


def _mirror_ball() -> bpy.types.Object:
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.28, location=(-1.25, -0.45, 0.28), segments=64, ring_count=32)
    ball = named("Mirror ball")
    bpy.ops.object.shade_smooth()
    material(ball, lambda tree: marble(tree, (0.8, 0.55, 0.3), (0.9, 0.75, 0.55), 2.0), roughness=0.08, metallic=1.0)
    return ball


def _pot() -> bpy.types.Object:
    """Glazed, so that highlights wander over a pattern."""
    bpy.ops.mesh.primitive_monkey_add(size=0.55, location=(0.25, 0.05, 0.3), rotation=(-0.5, 0, 0.7))
    pot = named("Glazed monkey")
    smooth: Any = pot.modifiers.new("Smooth", "SUBSURF")
    smooth.levels = 2
    bpy.ops.object.shade_smooth()
    material(pot, lambda tree: checker(tree, 14.0, (0.02, 0.1, 0.35), (0.85, 0.88, 0.9)), roughness=0.06)
    return pot


def _puddle() -> bpy.types.Object:
    bpy.ops.mesh.primitive_circle_add(vertices=64, radius=0.45, location=(-0.35, -0.55, 0.004), fill_type="NGON")
    puddle = named("Puddle")
    material(puddle, lambda tree: marble(tree, (0.01, 0.015, 0.02), (0.03, 0.03, 0.03), 3.0), roughness=0.02)
    return puddle
