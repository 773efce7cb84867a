"""Where new objects go: a collection that this file may change."""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from ..engine.core.errors import UserError
from .typed import current_context


def writable_collection(wanted: bpy.types.Collection | None = None, scene: bpy.types.Scene | None = None) -> bpy.types.Collection:
    """The wanted collection, or the scene's own where that one belongs to another file or overrides such a one.

    `scene`: None for the one that is shown. UserError where the scene itself belongs to another file.
    """
    scene = scene or current_context().scene
    found = wanted if wanted is not None and _is_writable(wanted) else scene.collection
    if not _is_writable(found):
        raise UserError(f"The scene {scene.name} belongs to another file, which nothing can be added to from here.",
                        "Show a scene of this file, or open that one.", "scene.linked", scene=scene.name)
    return found


def writable_collections(wanted: Iterable[bpy.types.Collection]) -> list[bpy.types.Collection]:
    """Those of some collections that this file may change; the scene's own where none is among them."""
    return [found for found in wanted if _is_writable(found)] or [writable_collection()]


def _is_writable(found: bpy.types.Collection) -> bool:
    return found.library is None and found.override_library is None
