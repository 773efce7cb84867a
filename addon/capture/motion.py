"""What moves in the scene while a camera's frames are captured: a training takes all images to show the same moment."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence

import bpy
import numpy as np

from ..translations import tr
from ..typed import Context, original_of, owner_of, shown_by, untyped
from .render_settings import restored_frame

LOOKS = 8
"""Frames that are looked at before a capture."""

GOLDEN = 0.618
"""Looks are spread unevenly: what goes to and fro would show the same side at even ones."""

MOST_NAMED = 5
UNSEEN = ("CAMERA", "EMPTY", "SPEAKER", "ARMATURE", "LATTICE")

Places = Mapping[str, tuple[np.ndarray, int]]
"""By the name of an object: the matrices and bounds of all that it shows [N, 4, 4 + 2], and a checksum of their shapes."""


class Motion:
    """Remembers where everything was at the first look, and the names of what was elsewhere, or not there, at a later one."""

    def __init__(self) -> None:
        self._first: Places | None = None
        self.names: set[str] = set()

    def look(self, view_layer: bpy.types.ViewLayer) -> None:
        """Compare the evaluated scene with how it was at first."""
        seen = _places(untyped(view_layer).depsgraph)
        if self._first is None:
            self._first = seen
            return
        first = self._first
        self.names |= {name for name in first.keys() | seen.keys()
                       if name not in first or name not in seen or _differ(first[name], seen[name])}


def moving_objects(context: Context, frames: Sequence[int]) -> set[str]:
    """Names of objects that move, change their shape, appear or go between some of the frames, and of hidden ones with animation.

    A few frames are looked at; the scene comes back to the frame it was at.
    """
    motion = Motion()
    if not frames:
        return set()
    with restored_frame(context.scene):
        for frame in _spread(frames):
            context.scene.frame_set(frame)
            motion.look(context.view_layer)
    return motion.names | _hidden_and_animated(context.scene)


def motion_sentence(names: Iterable[str]) -> str:
    """The warning about objects that move."""
    known = sorted(names)
    more = tr(" and {count} more", count=len(known) - MOST_NAMED) if len(known) > MOST_NAMED else ""
    return tr("The images will not show the same moment, which training takes them to. "
              "Moving or changing between the frames: {known}{more}.", known=", ".join(known[:MOST_NAMED]), more=more)


def _spread(frames: Sequence[int]) -> list[int]:
    """The first two frames, the last one, and some between them."""
    if len(frames) <= LOOKS:
        return list(frames)
    between = {frames[int(len(frames) * (GOLDEN * number % 1.0))] for number in range(1, LOOKS - 2)}
    return sorted({frames[0], frames[1], frames[-1]} | between)


def _places(depsgraph: bpy.types.Depsgraph) -> Places:
    found: dict[str, list[np.ndarray]] = {}
    shapes: dict[int, int] = {}  # objects may share their data
    sums: dict[str, int] = {}
    for instance in depsgraph.object_instances:
        shown, owner = shown_by(instance), owner_of(instance)
        if shown.type in UNSEEN or owner.hide_render or original_of(shown).hide_render:
            continue
        low, high = np.min(shown.bound_box, axis=0), np.max(shown.bound_box, axis=0)
        bounds = np.stack([np.append(low, 1.0), np.append(high, 1.0)], axis=1)
        found.setdefault(owner.name_full, []).append(np.concatenate([np.array(instance.matrix_world), bounds], axis=1))
        key = shown.data.as_pointer() if shown.data else 0
        if key not in shapes:
            shapes[key] = _shape(shown)
        sums[owner.name_full] = zlib.crc32(shapes[key].to_bytes(8, "little"), sums.get(owner.name_full, 0))
    return {name: (np.array(rows), sums[name]) for name, rows in found.items()}


def _shape(shown: bpy.types.Object) -> int:
    """A checksum of the points of a mesh or point cloud, and of what a lamp is set to; the bounds tell of others."""
    data = untyped(shown.data)
    if shown.type == "LIGHT":
        return zlib.crc32(np.array([data.energy, *data.color], np.float32).tobytes())
    points = {"MESH": "vertices", "POINTCLOUD": "points"}.get(shown.type)
    if points is None:
        return 0
    places = np.empty(len(getattr(data, points)) * 3, np.float32)
    getattr(data, points).foreach_get("co", places)
    return zlib.crc32(places.tobytes())


def _differ(one: tuple[np.ndarray, int], other: tuple[np.ndarray, int]) -> bool:
    return one[1] != other[1] or not np.array_equal(one[0], other[0], equal_nan=True)  # what stands still is evaluated bit for bit the same


def _hidden_and_animated(scene: bpy.types.Scene) -> set[str]:
    """Objects that renders show and viewports do not, so that nothing evaluates them here, with animation of their own."""
    hidden = (found for found in scene.objects if found.type not in UNSEEN and not found.hide_render)
    return {found.name_full for found in hidden if (found.hide_viewport or found.hide_get()) and _is_animated(found)}


def _is_animated(found: bpy.types.Object) -> bool:
    known = found.animation_data
    return known is not None and (known.action is not None or bool(known.drivers) or bool(known.nla_tracks))
