"""Cropping, cleaning, merging and splitting splat objects."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import BoolProperty, FloatProperty, IntProperty

from ...engine.core.errors import UserError
from ...engine.core.splats.floaters import FloaterLimits
from ..splats.clean import merge, remove_floaters, select_floaters, split_selection
from ..splats.crop import add_crop_box, apply_crop, cropped_by, crops
from ..translations import tr
from ..typed import Context, classes_factory, operators, point_cloud, splat_settings
from .reporting import reports_user_errors
from .selected import OnActiveSplats, OnSplats, active_splats, select_alone, selected_splats


class SPLATWRIGHT_OT_crop(OnSplats, bpy.types.Operator):
    """Hide the splats outside a box that can be moved, turned and scaled; an active mesh serves as the box, else one is made"""

    bl_idname = "splatwright.crop"
    bl_label = "Crop by Box"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    invert: BoolProperty(name="Keep Outside", description="Hide what is inside the box instead")

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        active = context.active_object
        box = active if active is not None and active.select_get() and active.type in ("MESH", "EMPTY") else None
        made = add_crop_box(selected_splats(context), box, self.invert)
        if box is None:
            select_alone(context, made)
        return {"FINISHED"}


class SPLATWRIGHT_OT_apply_crop(bpy.types.Operator):
    """Delete what the crop boxes hide, of the selected splat objects or of those that the selected boxes crop"""

    bl_idname = "splatwright.apply_crop"
    bl_label = "Apply Crop"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        if context.mode == "OBJECT" and cropped(context):
            return True
        cls.poll_message_set("Select a crop box or a cropped splat object, in Object Mode")
        return False

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        self.report({"INFO"}, tr("Deleted {count:,} splats", count=sum(map(apply_crop, cropped(context)))))
        return {"FINISHED"}


class FloaterProperties:
    """The limits of floaters, the same on the operators that select and that remove them."""

    opacity: FloatProperty(name="Opacity Below", subtype="FACTOR", min=0, max=1, default=FloaterLimits.opacity, precision=3,
                           description="Splats fainter than this are floaters; 0 is not looked at")
    size: FloatProperty(name="Larger Than", min=0, soft_max=1, default=FloaterLimits.size, precision=3,
                        description="Splats longer than this share of the scene's extent are floaters; 0 is not looked at")
    neighbors: IntProperty(name="Neighbors", min=0, soft_max=50, default=FloaterLimits.neighbors,
                           description="Splats with fewer others near them are floaters; 0 is not looked at")
    distance: FloatProperty(name="Within", min=0, soft_max=100, default=FloaterLimits.distance,
                            description="How near others must be, in multiples of the scene's usual spacing")

    def limits(self) -> FloaterLimits:
        """The limits as they are set."""
        return FloaterLimits(self.opacity, self.size, self.neighbors, self.distance)


class SPLATWRIGHT_OT_select_floaters(FloaterProperties, OnActiveSplats, bpy.types.Operator):
    """Show which splats are floaters: they are selected in Edit Mode, where X deletes them"""

    bl_idname = "splatwright.select_floaters"
    bl_label = "Show Floaters"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        target = active_splats(context)
        found = select_floaters(target, self.limits())
        if target.mode == "OBJECT":
            operators().object.mode_set(mode="EDIT")
        self.report({"INFO"}, tr("{found:,} of {count:,} splats are floaters", found=found, count=len(point_cloud(target).points)))
        return {"FINISHED"}


class SPLATWRIGHT_OT_remove_floaters(FloaterProperties, OnSplats, bpy.types.Operator):
    """Delete splats that are faint, huge or far from others"""

    bl_idname = "splatwright.remove_floaters"
    bl_label = "Remove Floaters"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        once = {target.data: target for target in selected_splats(context)}.values()  # objects may share their points
        gone = sum(remove_floaters(target, self.limits()) for target in once)
        self.report({"INFO"}, tr("Removed {gone:,} floaters", gone=gone))
        return {"FINISHED"}


class SPLATWRIGHT_OT_merge_splats(OnSplats, bpy.types.Operator):
    """Make one splat object of the selected ones, where the active one stands; what crop boxes hide is left out"""

    bl_idname = "splatwright.merge_splats"
    bl_label = "Merge"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        targets = selected_splats(context)
        if len({splat_settings(target).antialiased for target in targets}) > 1:
            self.report({"WARNING"}, "Some of these splats were trained antialiased and some were not: thin ones change a little")
        select_alone(context, merge(targets, targets[0]))
        return {"FINISHED"}


class SPLATWRIGHT_OT_split_splats(OnActiveSplats, bpy.types.Operator):
    """Move the splats that are selected in Edit Mode into an object of their own"""

    bl_idname = "splatwright.split_splats"
    bl_label = "Split Selection"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        target = active_splats(context)
        mode = target.mode
        operators().object.mode_set(mode="OBJECT")
        try:
            select_alone(context, split_selection(target))
        except UserError:
            operators().object.mode_set(mode=mode)
            raise
        return {"FINISHED"}


def cropped(context: Context) -> list[bpy.types.Object]:
    """The selected objects with crop boxes, and those whose crop box is selected."""
    found = [target for target in selected_splats(context) if crops(target)]
    boxes = [item for item in context.selected_objects if item not in found]
    return found + [target for box in boxes for target in cropped_by(box) if target not in found and target.library is None]


register, unregister = classes_factory(
    (SPLATWRIGHT_OT_crop, SPLATWRIGHT_OT_apply_crop, SPLATWRIGHT_OT_select_floaters, SPLATWRIGHT_OT_remove_floaters,
     SPLATWRIGHT_OT_merge_splats, SPLATWRIGHT_OT_split_splats))
