"""The button that makes splats of what the camera sees."""

from __future__ import annotations

import bpy

from ..operators.instant import SPLATWRIGHT_OT_instant_splats
from .base import SidebarPanel


class SPLATWRIGHT_PT_instant(SidebarPanel, bpy.types.Panel):
    """Splats without training"""

    bl_label = "Instant Splats"
    bl_parent_id = "SPLATWRIGHT_PT_capture"
    bl_options = {"HIDE_HEADER"}

    def draw(self, context: bpy.types.Context) -> None:
        if SPLATWRIGHT_OT_instant_splats.progress is None:
            self.layout.operator("splatwright.instant_splats", icon="RENDER_STILL")
        else:
            self.layout.label(text="Rendering, Esc stops it", icon="RENDER_STILL")


register, unregister = bpy.utils.register_classes_factory((SPLATWRIGHT_PT_instant,))
