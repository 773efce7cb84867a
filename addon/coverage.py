"""How many cameras of a dataset see each face of the scene's meshes, as a heat map on them, and where more would help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import bpy
import numpy as np
from mathutils import Vector, kdtree

from ..engine.core.camera import Camera
from ..engine.core.coverage import inside_view, suggested_poses
from ..engine.core.errors import UserError
from .cameras import blender_from_camera

ATTRIBUTE = "splatwright:coverage"
COLLECTION = "Suggested Cameras"
MOST_FACES = 20_000
"""Faces that are looked at; of finer meshes a sample, and the rest is like the nearest of it."""

SAMPLES = 4000
LEANING = 0.1
"""Cosine below which a camera sees a face only from its edge."""

REACH = 0.005
"""Share of the distance that a ray may end before a face and still count as arriving."""

HEAT = np.array([[0, 0.45, 0.0, 0.12], [1, 0.85, 0.12, 0.08], [3, 0.95, 0.75, 0.1], [8, 0.2, 0.65, 0.2], [20, 0.08, 0.3, 0.8]])
"""Views, then red, green, blue in linear light: dark red is seen by none, yellow by just enough, green and blue by many."""


@dataclass(frozen=True)
class Surface:
    """The faces of one mesh object in the world."""

    target: bpy.types.Object
    centers: np.ndarray  # [F, 3]
    normals: np.ndarray  # [F, 3] unit
    areas: np.ndarray  # [F]


def visible_surfaces(context: bpy.types.Context) -> list[Surface]:
    """The faces of every mesh that renders; UserError when there are none."""
    found = [_surface(item) for item in context.view_layer.objects
             if item.type == "MESH" and item.visible_get() and not item.hide_render and len(item.data.polygons)]
    if not found:
        raise UserError("There is no mesh in this scene that cameras could cover.", "Open the scene that the dataset was captured from.")
    return found


def _surface(item: bpy.types.Object) -> Surface:
    polygons, matrix = item.data.polygons, np.array(item.matrix_world)
    centers, normals = (np.empty(3 * len(polygons), np.float32) for _ in range(2))
    areas = np.empty(len(polygons), np.float32)
    for name, array in (("center", centers), ("normal", normals), ("area", areas)):
        polygons.foreach_get(name, array)
    world = centers.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
    turned = normals.reshape(-1, 3) @ np.linalg.pinv(matrix[:3, :3])
    lengths = np.linalg.norm(turned, axis=1, keepdims=True)
    return Surface(item, world, turned / np.maximum(lengths, 1e-12), areas * abs(np.linalg.det(matrix[:3, :3])) ** (2 / 3))


def count_views(context: bpy.types.Context, surfaces: Sequence[Surface], cameras: Sequence[Camera]) -> list[np.ndarray]:
    """By how many cameras each face is seen: int [F] for each surface. A ray to the middle of a face decides."""
    share = min(1.0, MOST_FACES / sum(len(surface.centers) for surface in surfaces))
    return [_counts(context, surface, cameras, share) for surface in surfaces]


def _counts(context: bpy.types.Context, surface: Surface, cameras: Sequence[Camera], share: float) -> np.ndarray:
    total = len(surface.centers)
    rows = np.unique(np.linspace(0, total - 1, max(1, round(total * share))).astype(int))
    counts = np.zeros(len(rows), int)
    for camera in cameras:
        counts += _seen(context, surface, rows, camera)
    return counts if len(rows) == total else counts[_nearest(surface.centers, rows)]


def _seen(context: bpy.types.Context, surface: Surface, rows: np.ndarray, camera: Camera) -> np.ndarray:
    """Which faces of `rows` [N] the camera sees [N]."""
    centers = surface.centers[rows]
    rays = centers - camera.position
    lengths = np.linalg.norm(rays, axis=1)
    rays /= np.maximum(lengths, 1e-12)[:, None]
    seen = inside_view(camera, centers)[0] & (np.abs((rays * surface.normals[rows]).sum(axis=1)) > LEANING)
    reach = REACH * lengths + (np.sqrt(surface.areas[rows]) if surface.target.modifiers else 0.0)
    scene, depsgraph, origin = context.scene, context.evaluated_depsgraph_get(), Vector(camera.position)
    for index in np.flatnonzero(seen):
        hit, place, *_ = scene.ray_cast(depsgraph, origin, Vector(rays[index]))
        seen[index] = not hit or (place - origin).length > lengths[index] - reach[index]
    return seen


def _nearest(centers: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """For each center [F, 3] the index into `rows` of the nearest sampled one."""
    tree = kdtree.KDTree(len(rows))
    for index, row in enumerate(rows):
        tree.insert(centers[row], index)
    tree.balance()
    return np.array([tree.find(center)[1] for center in centers])


def paint(surface: Surface, counts: np.ndarray) -> None:
    """Write the heat map as a colour attribute of the mesh, one colour a face, and make it the active one."""
    mesh = surface.target.data
    layer = mesh.color_attributes.get(ATTRIBUTE) or mesh.color_attributes.new(ATTRIBUTE, "FLOAT_COLOR", "CORNER")
    corners = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("loop_total", corners)
    colors = np.stack([np.interp(counts, HEAT[:, 0], channel) for channel in HEAT[:, 1:].T] + [np.ones(len(counts))], axis=1)
    layer.data.foreach_set("color", np.repeat(colors, corners, axis=0).astype(np.float32).ravel())
    mesh.color_attributes.active_color = mesh.color_attributes[ATTRIBUTE]
    mesh.update_tag()


def clear() -> int:
    """Remove the heat map from every mesh; returns from how many."""
    painted = [mesh for mesh in bpy.data.meshes if ATTRIBUTE in mesh.color_attributes]
    for mesh in painted:
        mesh.color_attributes.remove(mesh.color_attributes[ATTRIBUTE])
    return len(painted)


def better_poses(surfaces: Sequence[Surface], counts: Sequence[np.ndarray], cameras: Sequence[Camera], most: int) -> list[np.ndarray]:
    """camera_to_world [4, 4] of at most `most` cameras for the faces that too few see; large faces count more."""
    areas = np.concatenate([surface.areas for surface in surfaces]).astype(np.float64)
    rows = np.random.default_rng(0).choice(len(areas), SAMPLES, p=areas / areas.sum())
    centers, normals = (np.concatenate([getattr(surface, name) for surface in surfaces])[rows] for name in ("centers", "normals"))
    return suggested_poses(centers, np.concatenate(counts)[rows], cameras, normals, most)


def place_cameras(scene: bpy.types.Scene, lens: Camera, poses: Sequence[np.ndarray], name: str) -> list[bpy.types.Object]:
    """Camera objects with `lens` at the poses, selected, in a collection of their own."""
    collection = bpy.data.collections.get(COLLECTION) or bpy.data.collections.new(COLLECTION)
    if collection.name not in scene.collection.children:
        scene.collection.children.link(collection)
    made = [blender_from_camera(name, replace(lens, camera_to_world=pose)) for pose in poses]
    for camera in made:
        collection.objects.link(camera)
        camera.select_set(True)
    return made
