"""What of a scene is drawn as splats, and where it stands."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import bpy
import numpy as np

from ...engine.core.splats.transform import polar
from ..splats.splat_object import is_splat_object
from ..typed import original_of, owner_of, point_cloud, shown_by, splat_settings, untyped
from .cloud import Source


@dataclass(frozen=True)
class Placement:
    """An object's splats at one place: the object itself, or an instance of it."""

    key: Hashable
    source: int  # index into the stage's sources
    owner: bpy.types.Object  # original; who is selected and hidden: the object, or what made the instance
    matrix: np.ndarray  # [4, 4] to the world
    turn: np.ndarray  # [3, 3] the orthogonal part of the matrix, which turns the harmonics
    antialiased: bool

    @property
    def is_selectable(self) -> bool:
        """Whether clicks may select who it belongs to."""
        collections = self.owner.users_collection
        return not self.owner.hide_select and (not collections or not all(found.hide_select for found in collections))

    def is_visible(self, space: bpy.types.SpaceView3D) -> bool:
        """Whether a viewport shows it: not hidden, in its local view and collections."""
        return self.owner.visible_in_viewport_get(space)


@dataclass(frozen=True)
class DrawnScene:
    """The splats of a view layer."""

    sources: tuple[Source, ...]
    placements: tuple[Placement, ...]


class Changes:
    """Counts the geometry updates of each object.  Touches no data, so that a render's thread may call it."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._all = 0

    def note(self, depsgraph: bpy.types.Depsgraph) -> None:
        """Take notice of an update."""
        for update in depsgraph.updates:
            if update.is_updated_geometry:
                uid = untyped(update.id).original.session_uid  # evaluated copies have none
                self._counts[uid] = self._counts.get(uid, 0) + 1

    def forget(self) -> None:
        """Invalidate everything that was read before."""
        self._all += 1

    def of(self, target: bpy.types.Object) -> Hashable:
        """Changes with the geometry of an object."""
        uids = (target.session_uid, point_cloud(target).session_uid)
        return (self._all, *uids, *(self._counts.get(uid, 0) for uid in uids))


def is_drawn(target: bpy.types.Object) -> bool:
    """Whether an object asks to be drawn as splats in viewports; `display.show` makes Blender draw nothing of it."""
    settings = splat_settings(target)
    return settings.display == "SPLATS" and settings.viewport and target.display_type == "BOUNDS" and is_splat_object(target)


def collect_scene(depsgraph: bpy.types.Depsgraph, changes: Changes) -> DrawnScene:
    """Everything in the evaluated scene that is drawn as splats."""
    sources: dict[Hashable, int] = {}
    found: list[Source] = []
    placements: list[Placement] = []
    for instance in depsgraph.object_instances:
        target = shown_by(instance)
        if target.type != "POINTCLOUD" or not is_drawn(original_of(target)):
            continue
        original = original_of(target)
        key = changes.of(original)
        if key not in sources:
            sources[key] = len(found)
            found.append(Source(key, original.evaluated_get(depsgraph)))
        placed = _placement(instance, sources[key])
        if placed is not None:
            placements.append(placed)
    return DrawnScene(tuple(found), tuple(placements))


def _placement(instance: bpy.types.DepsgraphObjectInstance, source: int) -> Placement | None:
    """None for a matrix that draws nothing."""
    matrix = np.array(instance.matrix_world, float)
    if not np.isfinite(matrix).all():
        return None
    owner = owner_of(instance)
    key = (owner.session_uid, tuple(instance.persistent_id) if instance.is_instance else ())
    return Placement(key, source, owner, matrix, polar(matrix[:3, :3])[0], splat_settings(original_of(shown_by(instance))).antialiased)
