"""The panel Capture: images and cameras out of the scene."""

from __future__ import annotations

import bpy

from ...engine.core.text import duration
from ..capture.rig_plan import GENERATED
from ..operators.capture import SPLATWRIGHT_OT_capture_dataset
from ..properties.automatic import draw_automatic
from ..properties.capture import CaptureOutcome, CaptureSettings
from ..translations import tr
from ..typed import Context, classes_factory, layout_of, scene_settings, untyped
from ..ui.text import draw_sentence, short_path
from ..viewport.rig_preview import note_panel, preview
from .base import SidebarPanel


class SPLATWRIGHT_PT_capture(SidebarPanel, bpy.types.Panel):
    """Capture images and cameras from the scene"""

    bl_label = "Capture"
    guide_page = "first_splat"

    def draw_header_preset(self, context: Context) -> None:
        super().draw_header_preset(context)
        note_panel(context.area, unfolded=False)  # draw() follows where it is

    def draw(self, context: Context) -> None:
        note_panel(context.area, unfolded=True)
        layout, settings = layout_of(self), scene_settings(context.scene).capture
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column(align=True)
        column.prop(settings, "cameras_from")
        if settings.cameras_from in GENERATED:
            column.prop(settings, "count")
        if settings.cameras_from == "WALK":
            column.prop(settings, "walk_curve")
            column.prop(settings, "eye_height")
        elif settings.cameras_from == "ANIMATION":
            column.prop(settings, "frame_step")
        draw_automatic(column, context.scene, "capture", "resolution")
        if SPLATWRIGHT_OT_capture_dataset.progress is None:
            _draw_rig(layout, context, settings)
        _draw_capture_button(layout)
        _draw_outcome(layout, scene_settings(context.scene).outcome)


class SPLATWRIGHT_PT_capture_more(SidebarPanel, bpy.types.Panel):
    """Lens and walls of generated cameras, quality, what is written and where"""

    bl_label = "More Settings"
    bl_parent_id = "SPLATWRIGHT_PT_capture"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, settings = layout_of(self), scene_settings(context.scene).capture
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column(align=True)
        if settings.cameras_from in ("DOME", "ORBIT"):
            column.prop(settings, "elevation")
        if settings.cameras_from in GENERATED:
            column.prop(settings, "focal_length")
        if settings.cameras_from in ("DOME", "ORBIT"):
            column.prop(settings, "margin")
        if settings.cameras_from in GENERATED:
            column.prop(settings, "avoid_walls")
        column = layout.column(align=True)
        draw_automatic(column, context.scene, "capture", "samples")
        column.prop(settings, "points")
        column = layout.column(heading="Output", align=True)
        column.prop(settings, "transparent")
        column.prop(settings, "depth")
        column.prop(settings, "normals")
        column.prop(settings, "objects")
        layout.prop(settings, "directory", text="Folder")


def _draw_rig(layout: bpy.types.UILayout, context: Context, settings: CaptureSettings) -> None:
    """The switch for the cameras in the viewport, and what is known of them."""
    layout.prop(settings, "show_rig")
    if not settings.show_rig or not preview.is_of(context):
        return
    if preview.failure or preview.problem:
        draw_sentence(layout, preview.failure or preview.problem, "ERROR", alert=True)
    elif preview.plan is not None:
        draw_sentence(layout, preview.plan.label, "CAMERA_DATA")
        for sentence in preview.plan.warnings:
            draw_sentence(layout, sentence, "ERROR")


def _draw_capture_button(layout: bpy.types.UILayout) -> None:
    progress = SPLATWRIGHT_OT_capture_dataset.progress
    if progress is None:
        layout.operator("splatwright.capture_dataset", icon="RENDER_STILL")
        return
    layout.progress(factor=progress.done / max(1, progress.total), text=progress.sentence.capitalize())
    if SPLATWRIGHT_OT_capture_dataset.stop_requested:
        draw_sentence(layout, "Stops when this image is done; Esc does not wait for it.", "INFO")
    layout.operator("splatwright.stop_capture", icon="CANCEL")


def _draw_outcome(layout: bpy.types.UILayout, outcome: CaptureOutcome) -> None:
    """What came of the last capture."""
    if not outcome.directory or SPLATWRIGHT_OT_capture_dataset.progress is not None:
        return
    row = layout.row()
    time = duration(outcome.seconds)
    said = tr("Stopped: {count} images in {time}", count=outcome.images, time=time) if outcome.stopped \
        else tr("{count} images in {time}", count=outcome.images, time=time)
    draw_sentence(row, said, "ERROR" if outcome.stopped else "CHECKMARK")
    untyped(row).operator("wm.path_open", text="", icon="FILE_FOLDER").filepath = outcome.directory
    layout.label(text=short_path(outcome.directory), icon="BLANK1")
    for warning in outcome.warnings.splitlines():
        draw_sentence(layout, warning, "ERROR")


register, unregister = classes_factory((SPLATWRIGHT_PT_capture, SPLATWRIGHT_PT_capture_more))
