"""Copies of scenes begin anew: a training, work on photos and a captured dataset belong to the scene that they were made for.

A scene remembers the number under which Blender knows it since the file was opened; a copy, and a scene from another file, has another one.
"""

from __future__ import annotations

import bpy

from ..properties.datasets import claim, is_copy
from ..typed import scene_settings, splat_settings

BELONGINGS = ("job", "imported_job", "photo_job", "imported_photo_job", "captured", "untrained")
"""What a scene has for itself alone."""


def forget_belongings() -> None:
    """Take from copied scenes what belongs to the scenes that they were made from."""
    for scene in bpy.data.scenes:
        if scene.library is None and is_copy(scene):
            for name in BELONGINGS:
                scene_settings(scene).property_unset(name)
            _free_splats(scene)
            claim(scene)


def claim_all() -> None:
    """After a file was opened: its scenes were no copies when it was saved."""
    for scene in bpy.data.scenes:
        if scene.library is None:
            claim(scene)


def _free_splats(scene: bpy.types.Scene) -> None:
    """Splats that were copied with their scene stay as they are, and no training writes into them."""
    for item in scene.objects:
        settings = splat_settings(item)
        if settings.job and item.library is None and list(item.users_scene) == [scene] and any(
                splat_settings(other).job == settings.job for other in bpy.data.objects if other != item):
            settings.job = ""
