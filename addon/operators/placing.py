"""Placing splat objects and posed photos: on the ground, level, by three points, at a measured scale."""

from __future__ import annotations

from typing import Any, ClassVar

import bpy
import numpy as np
from bpy.props import BoolProperty, FloatProperty, FloatVectorProperty

from ..placement import align_to_points, level_ground, place_on_ground, scale_to_distance, turn_over
from ..translations import tr
from ..typed import Context, classes_factory
from .picking import PicksPlaces
from .reporting import reports_user_errors
from .selected import OnPlaceable, OnSplats, selected_placeable, selected_splats

MOVE_PARENT = {"name": "Move Parent", "default": True,
               "description": "Move the topmost parent with everything below it, so that cameras stay with their splats"}


def place(name: str, description: str) -> dict[str, Any]:
    """A place in the scene as a property."""
    return {"name": name, "size": 3, "subtype": "TRANSLATION", "unit": "LENGTH", "options": {"SKIP_SAVE"}, "description": description}


class SPLATWRIGHT_OT_place_on_ground(OnPlaceable, bpy.types.Operator):
    """Move the selected splats or posed photos up or down until they stand on the ground"""

    bl_idname = "splatwright.place_on_ground"
    bl_label = "Place on Ground"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    ignored: FloatProperty(name="Ignore Lowest", subtype="FACTOR", default=0.01, min=0, max=0.5, precision=3,
                           description="Share of the splats that may lie below the ground, for floaters")
    surfaces: BoolProperty(name="On Surfaces", description="Stand on the meshes below instead of the height zero")
    with_parent: BoolProperty(**MOVE_PARENT)

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        place_on_ground(selected_placeable(context), self.ignored, self.surfaces, self.with_parent)
        return {"FINISHED"}


class SPLATWRIGHT_OT_turn_over(OnSplats, bpy.types.Operator):
    """Turn the selected splats the other way up, where a file did not name its axes and stands on its head"""

    bl_idname = "splatwright.turn_over"
    bl_label = "Turn Over"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        turn_over(selected_splats(context))
        return {"FINISHED"}


class SPLATWRIGHT_OT_level_ground(OnPlaceable, bpy.types.Operator):
    """Find the floor, table or meadow that most points lie on, and bring it level to the height zero"""

    bl_idname = "splatwright.level_ground"
    bl_label = "Level Ground"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    flip: BoolProperty(name="Upside Down", description="The plane that was found is a ceiling")
    with_parent: BoolProperty(**MOVE_PARENT)

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        share = level_ground(selected_placeable(context), self.flip, self.with_parent)
        self.report({"INFO"}, tr("{share:.0%} of the points lie on the ground", share=share))
        return {"FINISHED"}


class SPLATWRIGHT_OT_align_to_points(PicksPlaces, OnPlaceable, bpy.types.Operator):
    """Click on three splats of the floor: the first becomes the origin, the second lies on the X axis, and the floor is level"""

    bl_idname = "splatwright.align_to_points"
    bl_label = "Align by Three Points"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    places: ClassVar[dict[str, str]] = {"first": "Origin", "second": "Along X", "third": "On the Floor"}
    first: FloatVectorProperty(**place("Origin", "A place on the floor that becomes the origin"))
    second: FloatVectorProperty(**place("Along X", "A place on the floor that comes to lie on the X axis"))
    third: FloatVectorProperty(**place("On the Floor", "Any third place on the floor"))
    flip: BoolProperty(name="Upside Down", description="Most of the splats lie below the three points, as under a ceiling")
    with_parent: BoolProperty(**MOVE_PARENT)

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        align_to_points(selected_placeable(context), np.array([self.first, self.second, self.third]), self.flip, self.with_parent)
        return {"FINISHED"}


class SPLATWRIGHT_OT_scale_to_distance(PicksPlaces, OnPlaceable, bpy.types.Operator):
    """Click on two splats and type how far apart they are in reality"""

    bl_idname = "splatwright.scale_to_distance"
    bl_label = "Set Scale"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    places: ClassVar[dict[str, str]] = {"first": "From", "second": "To"}
    first: FloatVectorProperty(**place("From", "A place that stays where it is"))
    second: FloatVectorProperty(**place("To", "The other end of what was measured"))
    distance: FloatProperty(name="Real Distance", subtype="DISTANCE", min=0, precision=4, options={"SKIP_SAVE"},
                            description="How far the two places are apart in reality; 0 leaves the scale as it is")
    with_parent: BoolProperty(**MOVE_PARENT)

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        if not self.distance:
            self.distance = float(np.linalg.norm(np.subtract(self.first, self.second)))
        ends = np.array(self.first), np.array(self.second)
        factor = scale_to_distance(selected_placeable(context), *ends, self.distance, self.with_parent)
        self.report({"INFO"}, tr("Scaled by {factor:.4g}",
                                 factor=factor) if factor != 1 else "Type the real distance into the operator's panel (F9)")
        return {"FINISHED"}


register, unregister = classes_factory(
    (SPLATWRIGHT_OT_place_on_ground, SPLATWRIGHT_OT_turn_over, SPLATWRIGHT_OT_level_ground, SPLATWRIGHT_OT_align_to_points,
     SPLATWRIGHT_OT_scale_to_distance))
