"""An interior, an object and foliage, on which the recipe of trainings is chosen; no figure of it is reported on them. Needs bpy."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from demo.materials import brick, checker, fine_lines, marble, material, mixed, named, plain_render, sunlight, window_light, wood
from demo.meshes import lathe, leaves, mesh, smooth, wires

SIDE = 360
"""Pixels of the pictures."""

Box = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Place of the middle, and lengths."""


def build_interior() -> list[bpy.types.Object]:
    """A furnished room of 4 by 5 metres with a ceiling, lit from within."""
    rng = np.random.default_rng(31)
    objects = [*_room(), _box("Table", ((0.4, 0.6, 0.72), (1.4, 0.8, 0.06)), wood), *_shelf(rng), _carpet(), _vase(), *_chairs()]
    window_light((0.0, 0.0, 1.0))
    for lamp in [made for made in bpy.data.objects if made.type == "LIGHT"]:
        lamp.location = (*(0.35 * np.array(lamp.location[:2])), 2.35)
        light: Any = lamp.data
        light.energy *= 0.3
    plain_render(samples=24, bounces=4, side=SIDE)
    return objects


def build_object() -> list[bpy.types.Object]:
    """A glazed head with wires and leaves on a carved foot, before nothing."""
    rng = np.random.default_rng(32)
    profile = np.array([(0.0, 0.0), (0.42, 0.0), (0.45, 0.05), (0.3, 0.1), (0.24, 0.3), (0.33, 0.42), (0.4, 0.46), (0.0, 0.46)])
    foot = lathe("Foot", profile)
    material(foot, lambda tree: mixed(tree, marble(tree, (0.2, 0.2, 0.25), (0.8, 0.75, 0.7), 8.0), fine_lines(tree)), roughness=0.3)
    bpy.ops.mesh.primitive_monkey_add(size=0.9, location=(0, 0, 0.8), rotation=(-0.4, 0, 0.3))
    head = named("Head")
    smooth(head, levels=2)
    material(head, lambda tree: mixed(tree, checker(tree, 22.0, (0.1, 0.35, 0.3), (0.9, 0.8, 0.55)), fine_lines(tree)), roughness=0.15)
    angles = np.linspace(0, 6 * np.pi, 160)
    coil = np.stack([0.55 * np.cos(angles), 0.55 * np.sin(angles), 0.3 + angles / 20], axis=1)
    wire = wires("Coil", [coil], 0.012)
    material(wire, lambda tree: marble(tree, (0.5, 0.2, 0.05), (0.9, 0.6, 0.3), 30.0), roughness=0.25, metallic=1.0)
    wreath = leaves("Wreath", coil[::2] + rng.normal(0, 0.02, (80, 3)), rng, 0.1)
    material(wreath, lambda tree: marble(tree, (0.3, 0.02, 0.05), (0.9, 0.5, 0.1), 9.0), roughness=0.5)
    sunlight()
    plain_render(samples=16, bounces=3, side=SIDE)
    return [foot, head, wire, wreath]


def build_foliage() -> list[bpy.types.Object]:
    """Hedges, flowers and a path of bricks."""
    rng = np.random.default_rng(33)
    bpy.ops.mesh.primitive_circle_add(vertices=96, radius=3.0, fill_type="NGON")
    ground = named("Ground")
    material(ground, lambda tree: marble(tree, (0.1, 0.08, 0.03), (0.3, 0.35, 0.12), 25.0))
    path = _box("Path", ((0.0, 0.0, 0.01), (5.0, 0.7, 0.02)), brick)
    hedges = [_bush(rng, number, (x, y), radius) for number, (x, y, radius) in enumerate(
        [(-1.3, 0.9, 0.5), (-0.4, 1.1, 0.4), (0.7, 1.0, 0.6), (-0.8, -0.9, 0.45), (0.5, -1.0, 0.4), (1.5, -0.8, 0.5)])]
    tops = np.stack([rng.uniform(-2, 2, 160), rng.choice([-1, 1], 160) * rng.uniform(0.4, 1.6, 160), rng.uniform(0.15, 0.4, 160)], axis=1)
    stems = wires("Stems", [np.stack([top * [1, 1, 0], top]) for top in tops], 0.005)
    material(stems, lambda tree: marble(tree, (0.05, 0.2, 0.03), (0.2, 0.4, 0.1), 20.0))
    petals = leaves("Petals", np.repeat(tops, 5, axis=0) + rng.normal(0, 0.025, (800, 3)), rng, 0.07)
    material(petals, lambda tree: marble(tree, (0.8, 0.1, 0.3), (0.95, 0.8, 0.2), 6.0), roughness=0.6)
    sunlight()
    plain_render(samples=16, bounces=3, side=SIDE)
    return [*hedges, stems, petals, path]


def _bush(rng: np.random.Generator, number: int, place: tuple[float, float], radius: float) -> bpy.types.Object:
    directions = rng.normal(size=(700, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    places = directions * radius * rng.uniform(0.4, 1.0, (700, 1)) * [1, 1, 0.9] + [*place, 0.85 * radius]
    bush = leaves(f"Bush {number}", places, rng, 0.085)
    light = (0.3 + 0.1 * (number % 3), 0.5, 0.05 + 0.08 * (number % 2))
    material(bush, lambda tree: marble(tree, (0.02, 0.1 + 0.03 * number, 0.02), light, 12.0), roughness=0.45)
    return bush


def _box(name: str, box: Box, color: Any) -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add(size=1, location=box[0])
    made = named(name)
    made.scale = box[1]
    material(made, color)
    return made


def _room() -> list[bpy.types.Object]:
    """Floor, ceiling and four walls, 10 cm thick."""
    surfaces = {
        "Floor": (((0, 0, -0.05), (4, 5, 0.1)), lambda tree: mixed(tree, wood(tree), fine_lines(tree))),
        "Ceiling": (((0, 0, 2.55), (4, 5, 0.1)), lambda tree: marble(tree, (0.7, 0.7, 0.68), (0.9, 0.9, 0.88), 6.0)),
        "West": (((-2.05, 0, 1.25), (0.1, 5, 2.6)), lambda tree: checker(tree, 16.0, (0.5, 0.3, 0.25), (0.75, 0.65, 0.5))),
        "East": (((2.05, 0, 1.25), (0.1, 5, 2.6)), brick),
        "South": (((0, -2.55, 1.25), (4, 0.1, 2.6)), lambda tree: marble(tree, (0.2, 0.35, 0.45), (0.6, 0.7, 0.7), 5.0)),
        "North": (((0, 2.55, 1.25), (4, 0.1, 2.6)), lambda tree: mixed(tree, marble(tree, (0.6, 0.5, 0.3), (0.85, 0.8, 0.7), 3.0),
                                                                       fine_lines(tree)))}
    return [_box(name, box, color) for name, (box, color) in surfaces.items()]


def _shelf(rng: np.random.Generator) -> list[bpy.types.Object]:
    """Three boards of books along the western wall."""
    made = []
    for height in (0.5, 1.0, 1.5):
        made.append(_box("Board", ((-1.85, 0.0, height), (0.3, 2.4, 0.03)), wood))
        places = np.cumsum(rng.uniform(0.04, 0.09, 30))
        for number, y in enumerate(places[places < 2.2]):
            tall, dark = rng.uniform(0.2, 0.34), tuple(rng.uniform(0.02, 0.4, 3))
            light = tuple(rng.uniform(0.3, 0.95, 3))
            made.append(_box(f"Book {height} {number}", ((-1.87, y - 1.1, height + 0.015 + tall / 2), (0.2, 0.035, tall)),
                             lambda tree, dark=dark, light=light: checker(tree, 5.0, dark, light)))
    return made


def _chairs() -> list[bpy.types.Object]:
    """Two chairs of thin legs, and the legs of the table."""
    lines = [np.array([[x, y, 0.0], [x, y, z]]) for x, y, z in
             ((-0.2, 0.3, 0.7), (1.0, 0.3, 0.7), (-0.2, 0.9, 0.7), (1.0, 0.9, 0.7),
              (0.2, -0.5, 0.45), (0.6, -0.5, 0.45), (0.2, -0.1, 0.45), (0.6, -0.1, 0.45), (0.2, -0.5, 0.95), (0.6, -0.5, 0.95))]
    legs = wires("Legs", lines, 0.02)
    material(legs, lambda tree: marble(tree, (0.2, 0.1, 0.05), (0.45, 0.3, 0.2), 20.0))
    seat = _box("Seat", ((0.4, -0.3, 0.46), (0.46, 0.46, 0.04)), lambda tree: checker(tree, 12.0, (0.5, 0.05, 0.05), (0.8, 0.7, 0.5)))
    return [legs, seat]


def _carpet() -> bpy.types.Object:
    corners = np.array([[-1.2, -1.9, 0.01], [1.3, -1.9, 0.01], [1.3, -0.7, 0.01], [-1.2, -0.7, 0.01]])
    carpet = mesh("Carpet", corners, np.array([[0, 1, 2, 3]]))
    material(carpet, lambda tree: mixed(tree, checker(tree, 10.0, (0.4, 0.05, 0.08), (0.75, 0.6, 0.3)), fine_lines(tree)), roughness=0.9)
    return carpet


def _vase() -> bpy.types.Object:
    vase = lathe("Vase", np.array([(0.0, 0.0), (0.07, 0.0), (0.13, 0.12), (0.12, 0.2), (0.05, 0.3), (0.08, 0.36)]), (0.3, 0.6, 0.75))
    material(vase, lambda tree: marble(tree, (0.03, 0.1, 0.42), (0.92, 0.93, 0.92), 7.0), roughness=0.1)
    return vase
