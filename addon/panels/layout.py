"""The part of the sidebar that places and cleans splat objects."""

from __future__ import annotations

from typing import Any

import bpy

from ..operators.cleaning import cropped
from ..operators.selected import selected_splats
from ..splats.display import NATIVE_TYPE, draws_natively
from ..splats.unapplied_transform import warning
from ..typed import Context, classes_factory, layout_of, point_cloud, untyped
from ..ui.text import draw_sentence
from .base import SidebarPanel

PLACING = (("splatwright.place_on_ground", "IMPORT"), ("splatwright.level_ground", "GRID"),
           ("splatwright.align_to_points", "ORIENTATION_NORMAL"), ("splatwright.scale_to_distance", "DRIVER_DISTANCE"),
           ("splatwright.apply_transform", "CHECKMARK"))
CLEANING = (("splatwright.select_floaters", "HIDE_OFF"), ("splatwright.remove_floaters", "TRASH"), ("splatwright.crop", "CUBE"))
OBJECTS = (("splatwright.merge_splats", "AUTOMERGE_ON"), ("splatwright.split_splats", "MOD_EXPLODE"))
EDITING = (("splatwright.select_floaters", "HIDE_OFF"), ("pointcloud.delete", "TRASH"), ("splatwright.split_splats", "MOD_EXPLODE"))

class SPLATWRIGHT_PT_layout(SidebarPanel, bpy.types.Panel):
    """Placing and cleaning the selected splat objects"""

    bl_label = "Layout"
    guide_page = "layout_and_export"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, targets = layout_of(self), selected_splats(context)
        if targets and context.mode == "OBJECT":
            _draw_warnings(layout, targets)
            _draw_buttons(layout, "Place", PLACING)
            _draw_buttons(layout, "Clean", CLEANING)
            _draw_buttons(layout, "Objects", OBJECTS)
        elif targets:
            _draw_buttons(layout, "Selected Splats", EDITING)
        if cropped(context):
            if not targets:
                draw_sentence(layout, "Move, turn and scale the box. What lies outside is hidden until you apply the crop.", "INFO")
            layout.operator("splatwright.apply_crop", icon="CHECKMARK")
        elif not targets:
            draw_sentence(layout, "Select splat objects to place and clean them.", "INFO")


def _draw_buttons(layout: bpy.types.UILayout, heading: str, operators: tuple[tuple[str, Any], ...]) -> None:
    column = layout.column(align=True)
    column.label(text=heading)
    for name, icon in operators:
        column.operator(name, icon=icon)


def _draw_warnings(layout: bpy.types.UILayout, targets: list[bpy.types.Object]) -> None:
    unapplied = [sentence for sentence in map(warning, targets) if sentence]
    for sentence in unapplied:
        draw_sentence(layout, sentence, "ERROR", alert=True)
    if unapplied:
        layout.operator("splatwright.fix_unapplied_transform", icon="TOOL_SETTINGS")
    if draws_natively() and any(untyped(point_cloud(target)).type != NATIVE_TYPE for target in targets):
        draw_sentence(layout, "These splats are from before Blender 5.3.", "INFO")
        layout.operator("splatwright.upgrade_to_native", icon="FILE_REFRESH")


register, unregister = classes_factory((SPLATWRIGHT_PT_layout,))
