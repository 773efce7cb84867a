"""How many cameras of a dataset see each face of the scene's meshes, as a heat map on them, and where more would help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import bpy
import numpy as np
from mathutils import Vector, kdtree

from ...engine.core.cameras.camera import Camera
from ...engine.core.datasets.view_coverage import inside_view, suggested_poses
from ...engine.core.errors import UserError
from ..cameras import blender_from_camera
from ..scene_collections import writable_collection
from ..typed import Context, mesh_data, untyped

ATTRIBUTE = "splatwright:coverage"
COLLECTION = "Suggested Cameras"
MOST_FACES = 20_000
"""Faces that are tested; of finer meshes a sample, and other faces take the value of the nearest one."""

SAMPLES = 1000
"""Places on all surfaces that better cameras are sought for."""

LEANING = 0.1
"""Cosine below which a camera sees a face only from its edge."""

REACH = 0.005
"""Share of the distance that a ray may end before a face and still count as arriving."""

HEAT = np.array([[0, 0.45, 0.0, 0.12], [1, 0.85, 0.12, 0.08], [3, 0.95, 0.75, 0.1], [8, 0.2, 0.65, 0.2], [20, 0.08, 0.3, 0.8]])
"""Views, then red, green, blue in linear light: dark red is seen by none, yellow by just enough, green and blue by many."""


@dataclass(frozen=True)
class Surface:
    """Places on a mesh object in the world: the middles of its faces, or a sample."""

    target: bpy.types.Object
    points: np.ndarray  # [N, 3]
    normals: np.ndarray  # [N, 3] unit
    areas: np.ndarray  # [N] what each stands for

    def __len__(self) -> int:
        return len(self.points)

    def take(self, rows: np.ndarray) -> Surface:
        """Some of the places."""
        return Surface(self.target, self.points[rows], self.normals[rows], self.areas[rows])


def visible_surfaces(context: Context) -> list[Surface]:
    """The middles of the faces of every mesh that renders; UserError when there are none. Hidden originals are seen within
    originals_visible() alone."""
    found = [_surface(item) for item in context.view_layer.objects
             if item.type == "MESH" and item.visible_get() and not item.hide_render and len(mesh_data(item).polygons)]
    if not found:
        raise UserError("There is no mesh in this scene that cameras could cover.", "Open the scene that the dataset was captured from.",
                        "coverage.no_mesh")
    return found


def _surface(item: bpy.types.Object) -> Surface:
    polygons = mesh_data(item).polygons
    return Surface(item, *_in_world(item, _read(polygons, "center", 3), _read(polygons, "normal", 3), _read(polygons, "area", 1)[:, 0]))


def _in_world(item: bpy.types.Object, points: np.ndarray, normals: np.ndarray, areas: np.ndarray) -> tuple[np.ndarray, ...]:
    """Points, unit normals and (for uneven scales nearly) areas of an object's own frame in the world's."""
    matrix = np.array(item.matrix_world)
    turned = normals @ np.linalg.pinv(matrix[:3, :3])
    lengths = np.linalg.norm(turned, axis=1, keepdims=True)
    grown = abs(np.linalg.det(matrix[:3, :3])) ** (2 / 3)
    return points @ matrix[:3, :3].T + matrix[:3, 3], turned / np.maximum(lengths, 1e-12), areas * grown


def _read(rows: bpy.types.bpy_prop_collection, name: str, width: int, kind: type = np.float32) -> np.ndarray:
    values = np.empty(len(rows) * width, kind)
    rows.foreach_get(name, values)
    return values.reshape(-1, width)


def count_views(context: Context, surfaces: Sequence[Surface], cameras: Sequence[Camera]) -> list[np.ndarray]:
    """By how many cameras each place is seen: int [N] for each surface. Of more than MOST_FACES a sample is looked at."""
    share = min(1.0, MOST_FACES / sum(map(len, surfaces)))
    return [_counts(context, surface, cameras, share) for surface in surfaces]


def _counts(context: Context, surface: Surface, cameras: Sequence[Camera], share: float) -> np.ndarray:
    rows = np.unique(np.linspace(0, len(surface) - 1, max(1, round(len(surface) * share))).astype(int))
    counts = np.zeros(len(rows), int)
    sample = surface.take(rows)
    for camera in cameras:
        counts += _seen(context, sample, camera)
    return counts if len(rows) == len(surface) else counts[_nearest(surface.points, rows)]


def _seen(context: Context, surface: Surface, camera: Camera) -> np.ndarray:
    """Which places of a surface the camera sees [N]: a ray from the camera arrives there."""
    rays = surface.points - camera.position
    lengths = np.linalg.norm(rays, axis=1)
    rays /= np.maximum(lengths, 1e-12)[:, None]
    seen = inside_view(camera, surface.points)[0] & (np.abs((rays * surface.normals).sum(axis=1)) > LEANING)
    reach = REACH * lengths + (np.sqrt(surface.areas) if surface.target.modifiers else 0.0)
    scene, depsgraph, origin = context.scene, context.evaluated_depsgraph_get(), Vector(camera.position.tolist())
    for index in np.flatnonzero(seen):
        hit, place, *_ = scene.ray_cast(depsgraph, origin, Vector(rays[index]))
        seen[index] = not hit or (place - origin).length > lengths[index] - reach[index]
    return seen


def _nearest(points: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """For each point [N, 3] the index into `rows` of the nearest sampled one."""
    tree = kdtree.KDTree(len(rows))
    for index, row in enumerate(rows):
        tree.insert(points[row], index)
    tree.balance()
    return np.array([tree.find(point)[1] for point in points])


def paint(surface: Surface, counts: np.ndarray) -> None:
    """Write the heat map as a colour attribute of the mesh, one colour a face, and make it the active one."""
    mesh = mesh_data(surface.target)
    layer = mesh.color_attributes.get(ATTRIBUTE) or mesh.color_attributes.new(ATTRIBUTE, "FLOAT_COLOR", "CORNER")
    corners = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("loop_total", corners)
    colors = np.stack([np.interp(counts, HEAT[:, 0], channel) for channel in HEAT[:, 1:].T] + [np.ones(len(counts))], axis=1)
    untyped(layer).data.foreach_set("color", np.repeat(colors, corners, axis=0).astype(np.float32).ravel())
    mesh.color_attributes.active_color = mesh.color_attributes[ATTRIBUTE]
    mesh.update_tag()


def clear() -> int:
    """Remove the heat map from every mesh; returns from how many."""
    painted = [mesh for mesh in bpy.data.meshes if ATTRIBUTE in mesh.color_attributes]
    for mesh in painted:
        mesh.color_attributes.remove(mesh.color_attributes[ATTRIBUTE])
    return len(painted)


def better_poses(context: Context, surfaces: Sequence[Surface], cameras: Sequence[Camera], most: int) -> list[np.ndarray]:
    """camera_to_world [4, 4] of at most `most` cameras for what too few see. Large surfaces count more than small ones."""
    total = sum(float(surface.areas.sum()) for surface in surfaces)
    rng = np.random.default_rng(0)
    sampled = [_spread(surface, max(1, round(SAMPLES * float(surface.areas.sum()) / total)), rng) for surface in surfaces]
    counts = np.concatenate(count_views(context, sampled, cameras))
    points, normals = (np.concatenate([getattr(surface, name) for surface in sampled]) for name in ("points", "normals"))

    def sees(camera: Camera, _: np.ndarray) -> np.ndarray:
        return np.concatenate([_seen(context, surface, camera) for surface in sampled])

    return suggested_poses(points, counts, cameras, normals, most, sees)


def _spread(surface: Surface, count: int, rng: np.random.Generator) -> Surface:
    """Places spread evenly at random over a surface."""
    item, mesh = surface.target, mesh_data(surface.target)
    mesh.calc_loop_triangles()
    triangles = mesh.loop_triangles
    areas = _read(triangles, "area", 1)[:, 0].astype(np.float64)
    rows = rng.choice(len(areas), count, p=areas / areas.sum())
    corners = _read(mesh.vertices, "co", 3)[_read(triangles, "vertices", 3, np.int32)[rows]]  # [N, 3, 3]
    weights = rng.dirichlet((1.0, 1.0, 1.0), count)
    points = (corners * weights[..., None]).sum(axis=1)
    each = np.full(count, float(surface.areas.sum()) / count)
    world, normals, _ = _in_world(item, points, _read(triangles, "normal", 3)[rows], each)
    return Surface(item, world, normals, each)


def place_cameras(scene: bpy.types.Scene, lens: Camera, poses: Sequence[np.ndarray], name: str) -> list[bpy.types.Object]:
    """Camera objects with `lens` at the poses, selected, in a collection of their own."""
    place = writable_collection(scene=scene)
    ours = (found for found in bpy.data.collections if found.name == COLLECTION and found.library is None)
    collection = next(ours, None) or bpy.data.collections.new(COLLECTION)
    if collection not in place.children_recursive:
        place.children.link(collection)
    collection = writable_collection(collection, scene)
    made = [blender_from_camera(name, replace(lens, camera_to_world=pose)) for pose in poses]
    for camera in made:
        collection.objects.link(camera)
        camera.select_set(True)
    return made
