"""Renders of splats before Blender draws them itself."""

from __future__ import annotations

from typing import ClassVar

import bpy

from ..splats.display import prepare_cycles
from ..splats.renders import restore, was_prepared
from ..typed import Context, classes_factory


class SPLATWRIGHT_OT_prepare_cycles(bpy.types.Operator):
    """Render with Cycles, with rays that pass as many splats as overlap in dense objects"""

    bl_idname = "splatwright.prepare_cycles"
    bl_label = "Prepare Cycles"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    def execute(self, context: Context) -> set[str]:
        prepare_cycles(context.scene)
        return {"FINISHED"}


class SPLATWRIGHT_OT_restore_bounces(bpy.types.Operator):
    """Bring back the transparent bounces that the scene had before splats came into it"""

    bl_idname = "splatwright.restore_bounces"
    bl_label = "Restore Bounces"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return was_prepared(context.scene)

    def execute(self, context: Context) -> set[str]:
        restore(context.scene)
        return {"FINISHED"}


register, unregister = classes_factory((SPLATWRIGHT_OT_prepare_cycles, SPLATWRIGHT_OT_restore_bounces))
