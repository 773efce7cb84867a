"""What stands in the way of light: rays through the scene that stop at opaque surfaces alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Vector

from ...engine.core.cameras.camera import Camera
from ..typed import Context, untyped

SOLID_TYPES = ("MESH", "CURVE", "SURFACE", "META", "FONT")
SEE_THROUGH_SHADERS = ("BSDF_GLASS", "BSDF_REFRACTION", "BSDF_TRANSPARENT", "HOLDOUT")
HALF = 0.5
"""Alpha of a Principled shader below which, and transmission above which, one sees through it."""

MOST_SURFACES = 200
"""See-through surfaces that one ray passes."""

STEP = 1e-4
"""Share of its way by which a ray goes on behind a surface that it passes."""

ARRIVING = 1e-3
"""Share of its way that a ray may end before a point and still reach it."""

_CUBE = np.array([place for place in np.ndindex(3, 3, 3) if place != (1, 1, 1)]) - 1.0
AROUND = _CUBE / np.linalg.norm(_CUBE, axis=1, keepdims=True)
"""Unit directions [26, 3] all around."""

ENCLOSED, FILLED = 0.75, 0.9
"""Share of the rays around a place, and through an image, that meet the inside of what encloses it: not all, for a pillar's ends touch
floor and ceiling."""

LOOKS = 5
"""Rays through a camera's image, across and down."""

Objects = AbstractSet[bpy.types.Object]


@dataclass(frozen=True)
class Hit:
    """Where a ray met an opaque surface."""

    place: np.ndarray  # [3]
    normal: np.ndarray  # [3] unit, out of the surface's front
    distance: float
    owner: bpy.types.Object
    from_behind: bool


class Walls:
    """The opaque surfaces of a scene as the viewport has evaluated it; valid until the scene changes.

    Light passes glass and other see-through materials, volumes, objects that are hidden in renders or from cameras or drawn as wire, and,
    in EEVEE, the backs of materials that are culled.
    """

    def __init__(self, context: Context):
        self._scene, self._depsgraph = context.scene, context.evaluated_depsgraph_get()
        self._culls = context.scene.render.engine.startswith("BLENDER_EEVEE")
        self._passable: dict[bpy.types.Object, bool] = {}
        self._see_through: dict[bpy.types.Material | None, bool] = {}

    def hit(self, origin: np.ndarray, direction: np.ndarray, reach: float, ignoring: Objects = frozenset()) -> Hit | None:
        """The first opaque surface from `origin` along the unit `direction` within `reach`, but for those of some objects."""
        start, passed, towards = Vector(origin.tolist()), 0.0, Vector(direction.tolist())
        for _ in range(MOST_SURFACES):
            if passed >= reach:
                return None
            found, place, normal, face, owner, _ = self._scene.ray_cast(self._depsgraph, start, towards, distance=reach - passed)
            if not found:
                return None
            from_behind = normal.dot(towards) > 0
            if owner not in ignoring and not self._passes(untyped(owner), face, from_behind):
                distance = passed + (place - start).length
                return Hit(np.array(place), np.array(normal), distance, untyped(owner), from_behind)
            step = (place - start).length + STEP * max(min(reach, 1.0), passed)
            start, passed = start + towards * step, passed + step
        return None

    def share_seen(self, camera: np.ndarray, points: np.ndarray, subject: Objects) -> float:
        """Share of `points` [N, 3] that a camera at a place [3] sees: no surface is in between that is not the subject's own."""
        return float(np.mean([self._sees(camera, point, subject) for point in points]))

    def enclosing(self, place: np.ndarray) -> bpy.types.Object | None:
        """The object whose inside is all around a place [3], as inside a pillar, or in a room that is one hollow mesh."""
        return self._met_from_behind(place, AROUND, ENCLOSED)

    def shown_inside(self, camera: Camera) -> bpy.types.Object | None:
        """The object whose inside is all that a camera shows and all that is around it."""
        enclosing = self.enclosing(camera.position)
        return enclosing if enclosing is not None and self._met_from_behind(camera.position, _looks(camera), FILLED) == enclosing else None

    def blocker(self, camera: np.ndarray, target: np.ndarray, subject: Objects) -> Hit | None:
        """What a camera at a place [3] sees in front of a target [3]."""
        way = target - camera
        distance = float(np.linalg.norm(way))
        return self.hit(camera, way / max(distance, 1e-12), distance * (1 - ARRIVING), subject)

    def _sees(self, camera: np.ndarray, point: np.ndarray, subject: Objects) -> bool:
        way = point - camera
        distance = float(np.linalg.norm(way))
        found = self.hit(camera, way / max(distance, 1e-12), distance * (1 - ARRIVING))
        return found is None or found.owner in subject

    def _met_from_behind(self, place: np.ndarray, directions: np.ndarray, share: float) -> bpy.types.Object | None:
        """The object that a share of the rays in `directions` [N, 3] meets first, and from behind."""
        met: Counter[bpy.types.Object] = Counter()
        for number, direction in enumerate(directions):
            found = self.hit(place, direction, np.inf)
            met.update([found.owner] if found is not None and found.from_behind else [])
            if number + 1 - max(met.values(), default=0) > (1 - share) * len(directions):
                return None
        return met.most_common(1)[0][0]

    def _passes(self, owner: bpy.types.Object, face: int, from_behind: bool) -> bool:
        if owner not in self._passable:
            self._passable[owner] = (owner.type not in SOLID_TYPES or owner.hide_render or not owner.visible_camera
                                     or owner.display_type in ("WIRE", "BOUNDS"))
        material = self._material(owner, face)
        if material not in self._see_through:
            self._see_through[material] = material is not None and is_see_through(material)
        culled = self._culls and from_behind and material is not None and material.use_backface_culling
        return self._passable[owner] or self._see_through[material] or culled

    def _material(self, owner: bpy.types.Object, face: int) -> bpy.types.Material | None:
        slots = owner.material_slots
        if len(slots) < 2:
            return slots[0].material if slots else None
        mesh = owner.evaluated_get(self._depsgraph).data
        number = mesh.polygons[face].material_index if isinstance(mesh, bpy.types.Mesh) and face < len(mesh.polygons) else 0
        return slots[min(number, len(slots) - 1)].material


def is_see_through(material: bpy.types.Material) -> bool:
    """Whether one sees through a material: glass, transparent in part, or a volume without a surface."""
    nodes = material.node_tree.nodes if material.node_tree else ()
    output = next((node for node in nodes if node.type == "OUTPUT_MATERIAL" and untyped(node).is_active_output), None)
    if output is None:
        return False
    surface, volume = output.inputs["Surface"], output.inputs["Volume"]
    if not surface.is_linked:
        return volume.is_linked
    return any(_lets_light_through(node) for node in _above(surface))


def _above(socket: bpy.types.NodeSocket) -> Iterator[bpy.types.Node]:
    """The nodes whose shaders reach a socket, also through mixed shaders and reroutes."""
    waiting, seen = [socket], set()
    while waiting:
        for link in waiting.pop().links or ():
            node = untyped(link).from_node
            if node.name not in seen:
                seen.add(node.name)
                yield node
                waiting += [found for found in node.inputs if found.type == "SHADER" or node.type == "REROUTE"]


def _lets_light_through(node: bpy.types.Node) -> bool:
    if node.type != "BSDF_PRINCIPLED":
        return node.type in SEE_THROUGH_SHADERS
    return _value(node, ("Transmission Weight", "Transmission"), 0.0) > HALF or _value(node, ("Alpha",), 1.0) < HALF


def _value(node: bpy.types.Node, names: Sequence[str], otherwise: float) -> float:
    """What an input is set to by its number; `otherwise` where it is linked or missing."""
    found = next((node.inputs[name] for name in names if name in node.inputs), None)
    return otherwise if found is None or found.is_linked else float(untyped(found).default_value)


def _looks(camera: Camera) -> np.ndarray:
    """Unit directions [N, 3] through a camera's image."""
    across, down = np.meshgrid((np.arange(LOOKS) + 0.5) / LOOKS * camera.width, (np.arange(LOOKS) + 0.5) / LOOKS * camera.height)
    pixels = np.stack([across.ravel(), down.ravel()], axis=1)
    rays = camera.unproject(pixels, np.ones(len(pixels))) - camera.position
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)
