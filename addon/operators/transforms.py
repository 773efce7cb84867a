"""Transforms that reach into the splats, and splats of older files."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import BoolProperty

from ...engine.core.errors import UserError
from ..splats.apply_transform import apply_transform, upgrade
from ..splats.display import draws_natively
from ..splats.unapplied_transform import is_stale, mend
from ..typed import Context, classes_factory
from .reporting import reports_user_errors
from .selected import OnSplats, selected_splats


class SPLATWRIGHT_OT_apply_transform(OnSplats, bpy.types.Operator):
    """Move location, rotation and scale of the selected objects into their splats, with sizes, directions and view dependence"""

    bl_idname = "splatwright.apply_transform"
    bl_label = "Apply Transform to Splats"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    location: BoolProperty(name="Location", default=True, description="Put the origin where the parent's or the scene's is")
    rotation: BoolProperty(name="Rotation", default=True, description="Set the rotation to zero")
    scale: BoolProperty(name="Scale", default=True, description="Set the scale to one")

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        for target in selected_splats(context):
            apply_transform(target, self.location, self.rotation, self.scale)
        return {"FINISHED"}


class SPLATWRIGHT_OT_mend_splats(OnSplats, bpy.types.Operator):
    """Turn and scale splats whose points alone were moved by Blender's own Apply Transform"""

    bl_idname = "splatwright.mend_splats"
    bl_label = "Mend Splats"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        stale = [target for target in selected_splats(context) if is_stale(target)]
        if not stale:
            raise UserError("The selected splats fit their points.", "There is nothing to mend.")
        for target in stale:
            mend(target)
        return {"FINISHED"}


class SPLATWRIGHT_OT_upgrade_to_native(OnSplats, bpy.types.Operator):
    """Make splat objects of files from before Blender 5.3 Blender's own splats, which it draws itself"""

    bl_idname = "splatwright.upgrade_to_native"
    bl_label = "Upgrade to Native Splats"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        if not draws_natively():
            cls.poll_message_set("Blender has splats of its own from version 5.3 on")
            return False
        return super().poll(context)

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        for target in selected_splats(context):
            upgrade(target)
        return {"FINISHED"}


register, unregister = classes_factory(
    (SPLATWRIGHT_OT_apply_transform, SPLATWRIGHT_OT_mend_splats, SPLATWRIGHT_OT_upgrade_to_native))
