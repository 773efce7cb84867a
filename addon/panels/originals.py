"""The switch for the objects that splats were captured from, which several panels show."""

from __future__ import annotations

import bpy

from ..typed import scene_settings, splat_settings
from ..ui.text import draw_sentence


def draw_originals(layout: bpy.types.UILayout, scene: bpy.types.Scene, splats: bpy.types.Object | None) -> None:
    """Show Originals, below splats of the scene's own objects; and which of these could not be hidden."""
    if splats is None or not splat_settings(splats).of_originals:
        return
    settings = scene_settings(scene)
    layout.prop(settings, "show_originals")
    if settings.not_hidden and not settings.show_originals:
        draw_sentence(layout, settings.not_hidden, "INFO")
