"""Splats and photos of a survey: what was taken from their coordinates, and where that puts them in the scene.

The first object's offset becomes the scene's origin; later ones of the same survey lie relative to it. Blender's own numbers are float32,
so offsets are custom properties, which are doubles.
"""

from __future__ import annotations

from collections.abc import Iterable

import bpy
import numpy as np

from ...engine.core.splats.offset import NO_OFFSET, Offset
from ..typed import untyped

KEY = "splatwright_offset"
"""Of an object: what was taken from its coordinates. Of a scene: where its origin is in the survey."""

FAR = 1000.0
"""Times an object's own size that its offset must be for the scene's origin to move there: Blender shows nearer things where they are."""


def offset_of_item(item: bpy.types.Object | bpy.types.Scene) -> Offset | None:
    """The offset of an object or the origin of a scene; None where nothing is noted."""
    found = untyped(item).get(KEY)
    try:
        x, y, z = (float(value) for value in found)
    except (TypeError, ValueError):
        return None
    return (x, y, z) if np.isfinite((x, y, z)).all() else None


def scene_origin(scene: bpy.types.Scene) -> Offset:
    """Where the scene's origin is in the survey."""
    return offset_of_item(scene) or NO_OFFSET


def place_in_survey(made: bpy.types.Object, offset: Offset, size: float, scene: bpy.types.Scene) -> None:
    """Put a new object, whose coordinates lack an offset, where it belongs beside others of its survey; nothing without an offset.

    `size` is a length of the object, such as the radius that holds most of it.
    """
    if offset == NO_OFFSET:
        return
    if offset_of_item(scene) is None:
        far = float(np.abs(offset).max()) > FAR * size
        untyped(scene)[KEY] = list(offset if far else NO_OFFSET)
    untyped(made)[KEY] = list(offset)
    made.location = np.subtract(offset, scene_origin(scene)).tolist()


def follow_offset(target: bpy.types.Object, offset: Offset) -> None:
    """Let an object whose content was read again with another offset stay where it is in the survey."""
    before = offset_of_item(target) or NO_OFFSET
    if offset != before:
        untyped(target)[KEY] = list(offset)
        turned = np.array(target.matrix_basis.to_3x3()) @ np.subtract(offset, before)
        target.location = (np.array(target.location, np.float64) + turned).tolist()


def offset_of_export(targets: Iterable[bpy.types.Object], scene: bpy.types.Scene) -> Offset:
    """What lacks in the scene's coordinates of objects: its origin, where one of them, or a parent, is of a survey."""
    return scene_origin(scene) if any(_surveyed(target) for target in targets) else NO_OFFSET


def _surveyed(target: bpy.types.Object) -> bool:
    item: bpy.types.Object | None = target
    while item is not None:
        if offset_of_item(item) is not None:
            return True
        item = item.parent
    return False
