"""Renders of splats before Blender draws them itself."""

from __future__ import annotations

from typing import ClassVar

import bpy

from ..splats.display import prepare_cycles
from ..typed import Context, classes_factory


class SPLATWRIGHT_OT_prepare_cycles(bpy.types.Operator):
    """Render with Cycles, with rays that pass as many splats as overlap in dense objects"""

    bl_idname = "splatwright.prepare_cycles"
    bl_label = "Prepare Cycles"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    def execute(self, context: Context) -> set[str]:
        prepare_cycles(context.scene)
        return {"FINISHED"}


register, unregister = classes_factory((SPLATWRIGHT_OT_prepare_cycles,))
