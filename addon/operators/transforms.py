"""Transforms that reach into the splats, and splats of older files."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import BoolProperty

from ...engine.core.errors import UserError
from ..splats.apply_transform import apply_transform, upgrade
from ..splats.display import draws_natively
from ..splats.unapplied_transform import NOTHING, fix_unapplied_transform
from ..translations import tr
from ..typed import Context, classes_factory, point_cloud
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


class SPLATWRIGHT_OT_fix_unapplied_transform(OnSplats, bpy.types.Operator):
    """Turn and scale the splats of objects on which Blender's own Apply or Join moved the points alone"""

    bl_idname = "splatwright.fix_unapplied_transform"
    bl_label = "Fix Unapplied Transform"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        fixed, problems = 0, []
        for target in {point_cloud(found): found for found in selected_splats(context)}.values():  # objects may share their points
            try:
                fix = fix_unapplied_transform(target)
                fixed, problems = fixed + fix.fixed, [*problems, *(UserError(sentence, "") for sentence in fix.sentences)]
            except UserError as error:
                problems.append(error)
        if not fixed:
            raise problems[0] if len(problems) == 1 else UserError(" ".join(error.message for error in problems), problems[0].hint)
        for error in problems:
            if error.hint != NOTHING:
                self.report({"WARNING"}, error.message)
        self.report({"INFO"}, tr("Fixed {fixed:,} splats", fixed=fixed))
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
    (SPLATWRIGHT_OT_apply_transform, SPLATWRIGHT_OT_fix_unapplied_transform, SPLATWRIGHT_OT_upgrade_to_native))
