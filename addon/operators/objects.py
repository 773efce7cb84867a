"""What can be done with splats that know the object that they show."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import IntProperty

from ..splats.object_labels import has_labels, names_of, select_label, split_by_object, unnamed
from ..translations import tr
from ..typed import Context, classes_factory, operators
from .reporting import reports_user_errors
from .selected import OnActiveSplats, active_splats, select_alone


class OnLabelledSplats(OnActiveSplats):
    """Mixed into operators on splats that know their object."""

    @classmethod
    def poll(cls, context: Context) -> bool:
        if not super().poll(context):
            return False
        if context.active_object is not None and has_labels(context.active_object):
            return True
        cls.poll_message_set("These splats do not know their object: capture with Objects switched on, and train on that")
        return False


class SPLATWRIGHT_OT_split_by_object(OnLabelledSplats, bpy.types.Operator):
    """Make a splat object for each object of the captured scene, which can be moved alone. Baked shadows stay where they fell"""

    bl_idname = "splatwright.split_by_object"
    bl_label = "Split by Object"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        target = active_splats(context)
        if target.mode != "OBJECT":
            operators().object.mode_set(mode="OBJECT")
        made = split_by_object(target)
        select_alone(context, *made)
        self.report({"INFO"}, tr("Made {count} splat objects. What was hidden behind them was never seen", count=len(made)))
        return {"FINISHED"}


class SPLATWRIGHT_OT_select_by_object(OnLabelledSplats, bpy.types.Operator):
    """Select the splats of one object of the captured scene in Edit Mode, where X deletes them"""

    bl_idname = "splatwright.select_by_object"
    bl_label = "Select by Object"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    label: IntProperty(name="Label", min=1, default=1, description="Number of the object in the dataset's labels.json")

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        target = active_splats(context)
        mode = target.mode
        if mode != "OBJECT":
            operators().object.mode_set(mode="OBJECT")
        try:
            found = select_label(target, self.label)
        finally:
            if mode != "OBJECT":
                operators().object.mode_set(mode=mode)
        if target.mode == "OBJECT":
            operators().object.mode_set(mode="EDIT")
        name = (names_of(target).get(self.label) or unnamed(self.label)).name
        self.report({"INFO"}, tr("{found:,} splats show {name}", found=found, name=name))
        return {"FINISHED"}


register, unregister = classes_factory((SPLATWRIGHT_OT_split_by_object, SPLATWRIGHT_OT_select_by_object))
