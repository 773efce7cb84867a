"""Points that enclose an object: few enough for a rig to fit every camera to them, and closer to its shape than the corners of its box."""

from __future__ import annotations

import bpy
import numpy as np

from ..typed import shown_by
from .rigs import GOLDEN_ANGLE

MESHED = ("CURVE", "SURFACE", "FONT", "META")
"""Kinds of objects of which Blender makes meshes to draw them."""

DIRECTIONS = 200
MOST_POINTS = 200_000
"""Of larger meshes every so many-th point is looked at."""


def outline(instance: bpy.types.DepsgraphObjectInstance) -> np.ndarray:
    """Points [P, 3] in the world: of a mesh those that lie farthest in many directions; else the corners of the box.

    Instances count by their boxes, for there may be very many. Curves, texts and the like have none of their own: the meshes that
    Blender makes of them are listed beside them, and their boxes are those of nothing.
    """
    shown = shown_by(instance)
    data = shown.data
    if shown.type in MESHED:
        return np.empty((0, 3))
    if isinstance(data, bpy.types.Mesh) and len(data.vertices) and not instance.is_instance:
        points = farthest(_vertices(data))
    else:
        points = np.array([corner[:] for corner in shown.bound_box])
    matrix = np.array(instance.matrix_world)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def unevaluated_box(item: bpy.types.Object) -> np.ndarray:
    """Corners [8, 3] in the world of an object's box without its modifiers, for one that is hidden and not evaluated."""
    matrix = np.array(item.matrix_world)
    return np.array([corner[:] for corner in item.bound_box]) @ matrix[:3, :3].T + matrix[:3, 3]


def farthest(points: np.ndarray) -> np.ndarray:
    """Those of `points` [P, 3] that lie farthest in DIRECTIONS directions all around, each once."""
    height = 1 - 2 * (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS
    angle, radius = np.arange(DIRECTIONS) * GOLDEN_ANGLE, np.sqrt(1 - height**2)
    directions = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)  # [D, 3], a Fibonacci sphere
    return points[np.unique((directions.astype(points.dtype) @ points.T).argmax(axis=1))]


def _vertices(mesh: bpy.types.Mesh) -> np.ndarray:
    """Points [V, 3] of a mesh."""
    flat = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3)[:: 1 + len(mesh.vertices) // MOST_POINTS]
