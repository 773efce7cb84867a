"""Shapes that the scenes are made of. Needs bpy."""

from __future__ import annotations

import math
from typing import Any

import bpy
import numpy as np

context: Any = bpy.context  # the stubs call all of it optional

Lines = list[np.ndarray]
"""Polylines, [points, 3] each."""


def leaves(name: str, places: np.ndarray, rng: np.random.Generator, size: float) -> bpy.types.Object:
    """Folded diamonds at places [N, 3], turned every way."""
    outline = np.array([[0, -0.5, 0], [0.25, 0, 0.06], [0, 0.6, 0], [-0.25, 0, 0.06]])  # folded along the middle
    along = rng.normal(size=(len(places), 3))
    across = np.cross(along, rng.normal(size=(len(places), 3)))
    along, across = (axis / np.linalg.norm(axis, axis=1, keepdims=True) for axis in (along, across))
    frames = np.stack([across, along, np.cross(across, along)], axis=1)  # [N, 3, 3], rows are axes
    corners = places[:, None] + size * rng.uniform(0.7, 1.3, (len(places), 1, 1)) * np.einsum("kj,nji->nki", outline, frames)
    first = 4 * np.arange(len(places))[:, None]
    faces = np.concatenate([first + np.array(face) for face in ([0, 1, 2], [0, 2, 3])])
    return mesh(name, corners.reshape(-1, 3), faces)


def mesh(name: str, corners: np.ndarray, faces: np.ndarray) -> bpy.types.Object:
    """An object of corners [V, 3] and faces [F, 3] or [F, 4]."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(corners.tolist(), [], faces.tolist())
    return linked(name, mesh)


def lathe(name: str, profile: np.ndarray, place: tuple[float, float, float] = (0, 0, 0), around: int = 64) -> bpy.types.Object:
    """A smooth body from its profile [P, 2]: radius and height from the foot to the top, turned around a vertical axis."""
    angles = np.linspace(0, 2 * np.pi, around, endpoint=False)
    radii, heights = profile[:, :1], np.repeat(profile[:, 1:], around, axis=1)
    rings = np.stack([radii * np.cos(angles), radii * np.sin(angles), heights], axis=2)
    ring, step = np.meshgrid(np.arange(len(profile) - 1), np.arange(around), indexing="ij")
    here, above = ring * around, (ring + 1) * around
    quads = np.stack([here + step, here + (step + 1) % around, above + (step + 1) % around, above + step], axis=2)
    body = mesh(name, rings.reshape(-1, 3), quads.reshape(-1, 4))
    body.location = place
    smooth(body)
    return body


def smooth(body: bpy.types.Object, levels: int = 0) -> None:
    """Shade smoothly but for sharp edges, subdivided so many times."""
    data: Any = body.data
    data.polygons.foreach_set("use_smooth", np.ones(len(data.polygons), bool))
    data.set_sharp_from_angle(angle=math.radians(35))
    if levels:
        subdivision: Any = body.modifiers.new("Smooth", "SUBSURF")
        subdivision.levels = subdivision.render_levels = levels


def wires(name: str, lines: Lines, radius: float) -> bpy.types.Object:
    """Round wires along polylines."""
    curve = bpy.data.curves.new(name, "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution = "3D", radius, 2
    for line in lines:
        spline = curve.splines.new("POLY")
        spline.points.add(len(line) - 1)
        spline.points.foreach_set("co", np.concatenate([line, np.ones((len(line), 1))], axis=1).ravel().astype(np.float32))
    return linked(name, curve)


def linked(name: str, data: bpy.types.ID) -> bpy.types.Object:
    made = bpy.data.objects.new(name, data)
    context.collection.objects.link(made)
    return made
