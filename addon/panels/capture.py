"""The panel Capture: images and cameras out of the scene."""

from __future__ import annotations

import bpy

from ..automatic import draw_automatic
from ..operators.capture import SPLATWRIGHT_OT_capture_dataset
from ..typed import Context, classes_factory, layout_of, scene_settings
from .base import SidebarPanel


class SPLATWRIGHT_PT_capture(SidebarPanel, bpy.types.Panel):
    """Capture images and cameras from the scene"""

    bl_label = "Capture"
    guide_page = "first_splat"

    def draw(self, context: Context) -> None:
        layout, settings = layout_of(self), scene_settings(context.scene).capture
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(settings, "cameras_from")
        column = layout.column(align=True)
        if settings.cameras_from in ("DOME", "ORBIT"):
            for name in ("count", "elevation", "focal_length", "margin"):
                column.prop(settings, name)
        elif settings.cameras_from == "ANIMATION":
            column.prop(settings, "frame_step")
        column = layout.column(align=True)
        for name in ("resolution", "samples"):
            draw_automatic(column, context.scene, "capture", name)
        column.prop(settings, "points")
        column = layout.column(heading="Output", align=True)
        column.prop(settings, "transparent")
        column.prop(settings, "depth")
        column.prop(settings, "normals")
        layout.prop(settings, "directory", text="Folder")
        _draw_capture_button(layout)


def _draw_capture_button(layout: bpy.types.UILayout) -> None:
    progress = SPLATWRIGHT_OT_capture_dataset.progress
    if progress is not None:
        layout.progress(factor=progress.done / max(1, progress.total), text=progress.sentence.capitalize())
    layout.operator("splatwright.capture_dataset", icon="RENDER_STILL")


register, unregister = classes_factory((SPLATWRIGHT_PT_capture,))
