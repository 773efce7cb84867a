"""The button that makes splats of what the camera sees."""

from __future__ import annotations

import bpy

from ..operators.instant import SPLATWRIGHT_OT_instant_splats
from ..typed import Context, classes_factory, layout_of
from .base import SidebarPanel


class SPLATWRIGHT_PT_instant(SidebarPanel, bpy.types.Panel):
    """Splats without training"""

    bl_label = "Instant Splats"
    bl_parent_id = "SPLATWRIGHT_PT_capture"
    bl_options = {"HIDE_HEADER"}

    def draw(self, context: Context) -> None:
        if SPLATWRIGHT_OT_instant_splats.progress is None:
            layout_of(self).operator("splatwright.instant_splats", icon="RENDER_STILL")
        else:
            layout_of(self).label(text="Rendering, Esc stops it", icon="RENDER_STILL")


register, unregister = classes_factory((SPLATWRIGHT_PT_instant,))
