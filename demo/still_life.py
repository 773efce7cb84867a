"""The demonstration's scene: fruit, a glazed vase with a bouquet, a glass of juice and brass on a wooden table. Needs bpy."""

from __future__ import annotations

import math
from typing import Any

import bpy
import numpy as np

from demo.materials import checker, denoised_render, fine_lines, glass, gradient, marble, material, mixed, named, window_light, wood
from demo.meshes import lathe, leaves, mesh, smooth, wires

context: Any = bpy.context  # the stubs call all of it optional

Place = tuple[float, float, float]
Profile = tuple[tuple[float, float], ...]
"""Radii and heights from the foot to the top."""

APPLE: Profile = ((0.0, 0.02), (0.045, 0.0), (0.09, 0.03), (0.118, 0.09), (0.12, 0.14), (0.1, 0.19), (0.06, 0.212), (0.02, 0.198),
                  (0.0, 0.18))
PEAR: Profile = ((0.0, 0.0), (0.05, 0.0), (0.1, 0.04), (0.115, 0.1), (0.095, 0.17), (0.06, 0.22), (0.05, 0.27), (0.03, 0.3), (0.0, 0.305))
LEMON: Profile = ((0.0, 0.0), (0.02, 0.012), (0.05, 0.04), (0.078, 0.09), (0.082, 0.13), (0.06, 0.18), (0.025, 0.215), (0.014, 0.235),
                  (0.0, 0.24))


def build_still_life() -> list[bpy.types.Object]:
    """Fill the current, empty scene; returns the objects worth capturing, which is all of it."""
    rng = np.random.default_rng(11)
    objects = [_table(), _cloth(), *_vase(rng), *_glass(), _bowl(), *_fruit(), *_grapes(rng), _books()]
    window_light((0.0, 0.0, 0.3))
    denoised_render(samples=8, bounces=4, side=400)
    return objects


def _table() -> bpy.types.Object:
    edge = [(0.0, -0.09), (0.9, -0.09), (0.94, -0.07), (0.96, -0.045), (0.94, -0.02), (0.9, 0.0), (0.0, 0.0)]
    table = lathe("Table", np.array(edge), around=96)
    material(table, wood, roughness=0.55)
    return table


def _cloth() -> bpy.types.Object:
    """A napkin that lies in folds."""
    side = np.linspace(-0.32, 0.32, 61)
    x, y = np.meshgrid(side, side, indexing="ij")
    folds = 0.026 + 0.014 * np.sin(12 * x + 4 * y) + 0.01 * np.sin(17 * y - 7 * x + 1)
    corners = np.stack([x, y, folds * (0.4 + 0.6 * np.clip((x + y + 0.6) / 1.2, 0, 1))], axis=2).reshape(-1, 3)
    row, column = np.meshgrid(np.arange(60), np.arange(60), indexing="ij")
    first = (row * 61 + column).ravel()
    cloth = mesh("Napkin", corners, np.stack([first, first + 61, first + 62, first + 1], axis=1))
    smooth(cloth)
    cloth.location, cloth.rotation_euler = (0.34, -0.4, 0.002), (0, 0, 0.35)
    material(cloth, lambda tree: mixed(tree, checker(tree, 18.0, (0.62, 0.12, 0.12), (0.9, 0.86, 0.78)), fine_lines(tree)), roughness=0.9)
    return cloth


def _vase(rng: np.random.Generator) -> list[bpy.types.Object]:
    """Blue and white, with stems, leaves and blossoms."""
    outside = [(0.0, 0.0), (0.13, 0.0), (0.14, 0.02), (0.2, 0.12), (0.225, 0.22), (0.2, 0.33), (0.12, 0.42), (0.09, 0.47), (0.115, 0.53)]
    inside = [(0.1, 0.53), (0.075, 0.47), (0.1, 0.42), (0.17, 0.33), (0.19, 0.22), (0.0, 0.05)]
    place = (-0.28, 0.34, 0.0)
    vase = lathe("Vase", np.array(outside + inside), place)
    smooth(vase, levels=1)
    material(vase, lambda tree: marble(tree, (0.03, 0.1, 0.42), (0.92, 0.93, 0.92), 7.0), roughness=0.08)
    tips = _bouquet(rng, np.add(place, (0, 0, 0.45)))
    stems = wires("Stems", tips, 0.007)
    material(stems, lambda tree: marble(tree, (0.05, 0.16, 0.03), (0.2, 0.35, 0.08), 20.0))
    along = np.concatenate([line[3:] for line in tips])
    foliage = leaves("Leaves", np.repeat(along, 3, axis=0) + rng.normal(0, 0.03, (3 * len(along), 3)), rng, 0.11)
    material(foliage, lambda tree: marble(tree, (0.03, 0.12, 0.03), (0.3, 0.42, 0.1), 8.0), roughness=0.4)
    return [vase, stems, foliage, *_blossoms(rng, np.array([line[-1] for line in tips]))]


def _bouquet(rng: np.random.Generator, mouth: np.ndarray) -> list[np.ndarray]:
    """Stems that lean outwards from the vase's mouth, 7 points each."""
    share = np.linspace(0, 1, 7)[:, None]
    lines = []
    for angle in np.linspace(0, 2 * np.pi, 13, endpoint=False):
        lean = rng.uniform(0.08, 0.34)
        out = np.array([math.cos(angle), math.sin(angle), 0.0]) * lean
        up = np.array([0, 0, rng.uniform(0.3, 0.5) - 0.3 * lean])
        lines.append(mouth + share * up + share**2 * out)
    return lines


def _blossoms(rng: np.random.Generator, tips: np.ndarray) -> list[bpy.types.Object]:
    """Round heads of small petals in two colours."""
    made = []
    for name, chosen, dark, light in (("Pink blossoms", tips[::2], (0.65, 0.08, 0.2), (0.98, 0.6, 0.62)),
                                      ("Yellow blossoms", tips[1::2], (0.85, 0.45, 0.03), (1.0, 0.85, 0.3))):
        directions = rng.normal(size=(len(chosen), 70, 3))
        directions /= np.linalg.norm(directions, axis=2, keepdims=True)
        places = chosen[:, None] + directions * rng.uniform(0.035, 0.07, (len(chosen), 70, 1)) * (1, 1, 0.8)
        petals = leaves(name, places.reshape(-1, 3), rng, 0.05)
        material(petals, lambda tree, dark=dark, light=light: marble(tree, dark, light, 12.0), roughness=0.6)
        made.append(petals)
    return made


def _glass() -> list[bpy.types.Object]:
    """A tumbler of orange juice."""
    place = (0.3, 0.1, 0.001)
    outside = [(0.0, 0.0), (0.085, 0.0), (0.095, 0.01), (0.105, 0.16), (0.115, 0.32)]
    inside = [(0.108, 0.32), (0.098, 0.16), (0.088, 0.03), (0.0, 0.028)]
    tumbler = lathe("Glass", np.array(outside + inside), place)
    glass(tumbler, (0.97, 1.0, 0.99))
    juice = lathe("Juice", np.array([(0.0, 0.026), (0.09, 0.028), (0.1, 0.16), (0.1035, 0.21), (0.0, 0.21)]), place)
    material(juice, lambda tree: gradient(tree, (0.9, 0.3, 0.01), (1.0, 0.55, 0.05), 0.2), roughness=0.15)
    straw = wires("Straw", [np.array([(0.25, 0.07, 0.04), (0.36, 0.14, 0.42), (0.41, 0.16, 0.44)])], 0.011)
    material(straw, lambda tree: checker(tree, 26.0, (0.8, 0.05, 0.08), (0.95, 0.95, 0.95)), roughness=0.4)
    return [tumbler, juice, straw]


def _bowl() -> bpy.types.Object:
    """Brass, with fruit in it."""
    outside = [(0.0, 0.0), (0.12, 0.0), (0.13, 0.015), (0.22, 0.06), (0.29, 0.14), (0.31, 0.18)]
    inside = [(0.298, 0.18), (0.275, 0.14), (0.2, 0.07), (0.0, 0.03)]
    bowl = lathe("Bowl", np.array(outside + inside), (-0.44, -0.34, 0.0))
    smooth(bowl, levels=1)
    material(bowl, lambda tree: marble(tree, (0.6, 0.36, 0.1), (0.85, 0.62, 0.26), 5.0), roughness=0.22, metallic=1.0)
    return bowl


def _fruit() -> list[bpy.types.Object]:
    """Apples, a pear and lemons, in the bowl and on the table."""
    red, green = ((0.9, 0.62, 0.16), (0.6, 0.03, 0.03)), ((0.28, 0.42, 0.06), (0.6, 0.62, 0.12))
    yellow = ((0.9, 0.6, 0.03), (0.95, 0.75, 0.1))
    made = [
        _body("Apple", APPLE, (-0.52, -0.28, 0.06), (0.25, 0.1, 0.0), red),
        _body("Apple", APPLE, (-0.34, -0.42, 0.055), (-0.2, 0.3, 0.0), red),
        _body("Pear", PEAR, (-0.5, -0.48, 0.08), (0.5, -0.35, 0.4), green),
        _body("Pear", PEAR, (0.02, -0.18, 0.0), (0.0, 0.0, 0.0), green),
        _body("Lemon", LEMON, (0.24, -0.42, 0.115), (1.45, 0.2, 0.6), yellow),
        _body("Lemon", LEMON, (0.48, -0.3, 0.115), (1.5, 0.0, 2.4), yellow),
    ]
    stalks = [np.array([(x, y, z), (x + 0.012, y + 0.006, z + 0.05)]) for x, y, z in ((-0.5, -0.33, 0.25), (0.02, -0.18, 0.3))]
    stems = wires("Stalks", stalks, 0.006)
    material(stems, lambda tree: marble(tree, (0.08, 0.05, 0.02), (0.25, 0.16, 0.08), 20.0))
    return [*made, stems]


def _body(name: str, profile: Profile, place: Place, turn: Place, colours: tuple) -> bpy.types.Object:
    """A fruit."""
    body = lathe(name, np.array(profile), place, around=32)
    smooth(body, levels=1)
    body.rotation_euler = turn
    material(body, lambda tree: gradient(tree, colours[0], colours[1], 0.5), roughness=0.3)
    return body


def _grapes(rng: np.random.Generator) -> list[bpy.types.Object]:
    """A bunch that lies on the table."""
    count = 34
    share = rng.uniform(0, 1, count)
    spread = 0.11 * (1 - 0.75 * share)
    angle = rng.uniform(0, 2 * np.pi, count)
    places = np.stack([0.66 - 0.2 * share, 0.1 + 0.3 * share, np.full(count, 0.04)], axis=1)
    places += np.stack([spread * np.cos(angle), spread * np.sin(angle), rng.uniform(0, 0.07, count) * (1 - share)], axis=1)
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.04, segments=20, ring_count=12)
    first = named("Grape")
    smooth(first)
    material(first, lambda tree: marble(tree, (0.1, 0.01, 0.09), (0.34, 0.07, 0.25), 3.0), roughness=0.18)
    made = [first]
    for place in places:
        grape: Any = first.copy()
        context.collection.objects.link(grape)
        grape.location, grape.rotation_euler = tuple(place), tuple(rng.uniform(0, 3, 3))
        made.append(grape)
    first.location = (0.64, 0.1, 0.1)
    return made


def _books() -> bpy.types.Object:
    """Two books on each other, one mesh."""
    corners, faces = [], []
    for low, turn, size in ((0.0, 0.3, (0.26, 0.19, 0.06)), (0.06, 0.05, (0.22, 0.16, 0.05))):
        box = np.array([(x, y, z) for z in (0, 1) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))], float) * size + (0, 0, low)
        c, s = math.cos(turn), math.sin(turn)
        faces += [[len(corners) + index for index in face]
                  for face in ((3, 2, 1, 0), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7))]
        corners += [(c * x - s * y, s * x + c * y, z) for x, y, z in box]
    books = mesh("Books", np.array(corners), np.array(faces))
    books.location = (0.26, 0.56, 0.0)
    material(books, lambda tree: gradient(tree, (0.08, 0.2, 0.18), (0.5, 0.13, 0.08), 0.1), roughness=0.6)
    return books
