"""The part of the sidebar that goes from videos and photos to cameras in the scene."""

from __future__ import annotations

from typing import Any

import bpy

from ...engine.core.text import duration, rough
from ...engine.jobs.local_engine import JobState
from ..engines import full_engine
from ..jobs import jobs
from ..jobs.job_status import WatchedJob
from ..operators.install import SPLATWRIGHT_OT_install_engine
from ..operators.photo_jobs import SPLATWRIGHT_OT_resume_photos, report_folder
from ..operators.selected import selected_placeable
from ..photos.look_through import is_photo
from ..photos.posed_photos import posed_root
from ..translations import spoken, tr
from ..typed import Context, classes_factory, layout_of, scene_settings, splat_settings
from ..ui.text import draw_sentence
from .base import BUTTON_HEIGHT, SidebarPanel, draw_alarm
from .engine import draw_installing
from .train import draw_findings

PLACING: tuple[tuple[str, Any], ...] = (
    ("splatwright.level_ground", "GRID"), ("splatwright.align_to_points", "ORIENTATION_NORMAL"),
    ("splatwright.scale_to_distance", "DRIVER_DISTANCE"), ("splatwright.place_on_ground", "IMPORT"))


NEEDS_FULL_ENGINE = "Finding the cameras of photos, and the frames of a video, needs the full engine."


class SPLATWRIGHT_PT_photos(SidebarPanel, bpy.types.Panel):
    """Cameras from photos and videos"""

    bl_label = "Photos"
    guide_page = "photos"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, job = layout_of(self), jobs.current_photos(context.scene)
        layout.use_property_split = True
        layout.use_property_decorate = False
        if job is not None and job.state.alive:
            _draw_work(layout, job)
        else:
            _draw_sources(layout, scene_settings(context.scene).photos)
            if job is not None:
                _draw_outcome(layout, context, job)
        if job is not None:
            draw_findings(layout, job)
        if report_folder(context.scene) is not None:
            layout.operator("splatwright.show_photo_report", icon="IMAGE_DATA")
        layout.operator("splatwright.import_photos", icon="OUTLINER_OB_CAMERA")
        if any(is_photo(found) for found in context.scene.objects):
            _draw_looking(layout, context.scene)
        if any(posed_root(found) is found for found in selected_placeable(context)):
            _draw_placing(layout)


class SPLATWRIGHT_PT_photos_more(SidebarPanel, bpy.types.Panel):
    """Settings that most photos leave alone"""

    bl_label = "More"
    bl_parent_id = "SPLATWRIGHT_PT_photos"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, settings = layout_of(self), scene_settings(context.scene).photos
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column(align=True)
        for name in ("image_size", "features", "pairing", "mapping"):
            column.prop(settings, name)


def progress_text(job: WatchedJob) -> str:
    """What stands in the progress bar."""
    if job.stopping:
        return "Finishing …"
    if not job.stage:
        return "Starting …"
    count = tr(" {step:,} of {max_steps:,}", step=job.step, max_steps=job.max_steps) if job.max_steps else ""
    left = tr(", {time} left", time=rough(job.eta)) if job.eta is not None and job.max_steps else ""
    return f"{job.stage.capitalize()}{count}{left}"


def outcome_text(job: WatchedJob) -> str:
    """One sentence about work that has ended."""
    if job.stopped:
        return "Stopped. Resume goes on with what was computed."
    if job.posed is None:
        return tr("{step:,} frames were extracted; they are the photos above.", step=job.step)
    found = job.posed
    return (tr("{placed:,} of {photos:,} photos are registered. {points:,} points, reprojection error {error:.2f} pixels.",
               placed=found.placed, photos=found.photos, points=found.points, error=found.error))


def _draw_work(layout: bpy.types.UILayout, job: WatchedJob) -> None:
    layout.progress(factor=job.fraction, text=progress_text(job))
    if job.remark:
        draw_sentence(layout, job.remark, "URL")
    draw_alarm(layout, job)
    if job.lost:
        draw_sentence(layout, tr("The engine has not answered for {time}. Stop ends it.",
                                 time=duration(job.silent)), "ERROR", alert=True)
    row = layout.row()
    row.scale_y = BUTTON_HEIGHT
    row.operator("splatwright.stop_photos", icon="SNAP_FACE")


def _draw_sources(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    ready = not full_engine.needed_for_photos()
    column = layout.column(align=True)
    column.prop(settings, "video")
    column.prop(settings, "count")
    if ready:
        column.operator("splatwright.frames_from_video", icon="FILE_MOVIE")
    column = layout.column(align=True)
    column.prop(settings, "directory")
    if ready:
        column.operator("splatwright.cameras_from_photos", icon="VIEW_CAMERA")
    else:
        draw_sentence(layout, NEEDS_FULL_ENGINE, "INFO")
        draw_installing(layout)


def _draw_outcome(layout: bpy.types.UILayout, context: Context, job: WatchedJob) -> None:
    draw_alarm(layout, job)
    match job.state:
        case JobState.FINISHED:
            draw_sentence(layout, outcome_text(job), "CHECKMARK")
        case JobState.FAILED if job.failure:
            draw_sentence(layout, spoken(job.failure), "CANCEL", alert=True)
            if SPLATWRIGHT_OT_install_engine.bl_label in job.failure.hint and not full_engine.needed_for_photos():
                draw_installing(layout)
        case JobState.INTERRUPTED:
            draw_sentence(layout, "The work was interrupted. Resume goes on with what was computed.", "ERROR", alert=True)
    if SPLATWRIGHT_OT_resume_photos.poll(context):
        layout.operator("splatwright.resume_photos", icon="FILE_REFRESH")


def _draw_looking(layout: bpy.types.UILayout, scene: bpy.types.Scene) -> None:
    column = layout.column(align=True)
    column.label(text=splat_settings(scene.camera).photo if scene.camera and is_photo(scene.camera) else "Photos in the scene")
    row = column.row(align=True)
    row.operator("splatwright.look_through_photo", text="", icon="TRIA_LEFT").step = -1
    row.operator("splatwright.look_through_photo", text="Look Through", icon="HIDE_OFF").step = 0
    row.operator("splatwright.look_through_photo", text="", icon="TRIA_RIGHT").step = 1
    row.operator("splatwright.choose_photo", text="", icon="VIEWZOOM")


def _draw_placing(layout: bpy.types.UILayout) -> None:
    column = layout.column(align=True)
    column.label(text="Place")
    for name, icon in PLACING:
        column.operator(name, icon=icon)


register, unregister = classes_factory((SPLATWRIGHT_PT_photos, SPLATWRIGHT_PT_photos_more))
