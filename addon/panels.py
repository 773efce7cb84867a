"""The sidebar tab "Splats". Panels draw what is known and never work."""

from __future__ import annotations

import bpy

from ..engine.client import JobState
from . import jobs, preferences
from .jobs import WatchedJob
from .operators.capture import SPLATWRIGHT_OT_capture_dataset
from .splat_object import is_splat_object

ICONS = {"info": "INFO", "warning": "ERROR", "error": "CANCEL"}
SHOWN_FINDINGS = 4
LINE = 46
"""Characters that fit a line of the sidebar."""


class SidebarPanel:
    """What all panels of the tab share."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Splats"


class SPLATWRIGHT_PT_capture(SidebarPanel, bpy.types.Panel):
    """Images and cameras out of the scene"""

    bl_label = "Capture"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.splatwright.capture
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(settings, "source")
        generated = settings.source in ("DOME", "ORBIT")
        column = layout.column(align=True)
        if generated:
            for name in ("count", "elevation", "focal_length", "margin"):
                column.prop(settings, name)
        elif settings.source == "ANIMATION":
            column.prop(settings, "frame_step")
        column = layout.column(align=True)
        for name in ("resolution", "samples", "points"):
            column.prop(settings, name)
        column = layout.column(heading="Output", align=True)
        column.prop(settings, "transparent")
        column.prop(settings, "depth")
        layout.prop(settings, "directory", text="Folder")
        progress = SPLATWRIGHT_OT_capture_dataset.progress
        if progress is not None:
            layout.progress(factor=progress.done / max(1, progress.total), text=progress.sentence)
        row = layout.row()
        row.scale_y = 1.4
        row.operator("splatwright.capture_dataset", icon="RENDER_STILL")


class SPLATWRIGHT_PT_train(SidebarPanel, bpy.types.Panel):
    """From images to splats"""

    bl_label = "Train"

    def draw(self, context: bpy.types.Context) -> None:
        job = jobs.current(context.scene)
        self.layout.use_property_split = True
        self.layout.use_property_decorate = False
        if job is None or not job.state.alive:
            self._draw_start(context, job)
        else:
            self._draw_running(job)
        if job is not None:
            _draw_findings(self.layout, job)
        preferences.draw_status(self.layout)

    def _draw_start(self, context: bpy.types.Context, job: WatchedJob | None) -> None:
        layout, settings = self.layout, context.scene.splatwright.train
        layout.prop(settings, "dataset")
        column = layout.column(align=True)
        for name in ("max_steps", "max_gaussians", "resolution"):
            column.prop(settings, name)
        if job is not None:
            _draw_end(layout, job)
        row = layout.row(align=True)
        row.scale_y = 1.4
        row.operator("splatwright.train", icon="PLAY")
        if job is not None and job.state in (JobState.INTERRUPTED, JobState.FAILED):
            row.operator("splatwright.resume", icon="FILE_REFRESH")

    def _draw_running(self, job: WatchedJob) -> None:
        layout = self.layout
        layout.progress(factor=job.fraction, text=_progress_text(job))
        _draw_figures(layout, job)
        row = layout.row(align=True)
        row.scale_y = 1.4
        if job.state is JobState.PAUSED:
            row.operator("splatwright.resume", icon="PLAY")
        else:
            row.operator("splatwright.pause", icon="PAUSE")
        row.operator("splatwright.stop", icon="SNAP_FACE")


class SPLATWRIGHT_PT_train_details(SidebarPanel, bpy.types.Panel):
    """Settings that most trainings leave alone"""

    bl_label = "More"
    bl_parent_id = "SPLATWRIGHT_PT_train"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.splatwright.train
        layout.use_property_split = True
        layout.use_property_decorate = False
        for name in ("sh_degree", "background", "seed", "threads"):
            layout.prop(settings, name)
        layout.operator("splatwright.convert_images", icon="IMAGE_DATA")
        layout.operator("splatwright.open_job_folder", icon="FILE_FOLDER")


class SPLATWRIGHT_PT_splats(SidebarPanel, bpy.types.Panel):
    """The active splat object, and files"""

    bl_label = "Splats"

    def draw(self, context: bpy.types.Context) -> None:
        layout, active = self.layout, context.active_object
        if is_splat_object(active):
            layout.label(text=active.name, icon="OUTLINER_OB_POINTCLOUD")
            layout.label(text=f"{len(active.data.points):,} splats, {_harmonics(active)}")
        else:
            layout.label(text="Select a splat object", icon="INFO")
        row = layout.row(align=True)
        row.operator("splatwright.import_splats", text="Import", icon="IMPORT")
        row.operator("splatwright.export_splats", text="Export", icon="EXPORT")


def _harmonics(target: bpy.types.Object) -> str:
    attributes = target.data.attributes
    degree = next((degree for degree, last in ((3, 14), (2, 7), (1, 2)) if f"radiance:sh_{last}" in attributes), 0)
    return f"view dependence {degree}" if degree else "no view dependence"


def _progress_text(job: WatchedJob) -> str:
    match job.state:
        case JobState.STARTING:
            return "Reading images"
        case JobState.PAUSED:
            return f"Paused at step {job.step:,}"
        case _:
            left = f", {duration(job.eta)} left" if job.eta is not None else ""
            return f"Step {job.step:,} of {job.max_steps:,}{left}" if job.max_steps else "Reading images"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _draw_figures(layout: bpy.types.UILayout, job: WatchedJob) -> None:
    grid = layout.grid_flow(columns=2, even_columns=True, align=True)
    grid.label(text=f"{job.gaussians:,} splats")
    grid.label(text=f"{job.rate:.0f} steps/s" if job.rate else "")
    grid.label(text=f"PSNR {job.psnr:.1f} dB" if job.psnr is not None else "PSNR –")
    grid.label(text=f"Loss {job.loss:.4f}" if job.loss is not None else "Loss –")


def _draw_end(layout: bpy.types.UILayout, job: WatchedJob) -> None:
    """How the last training ended."""
    match job.state:
        case JobState.FINISHED:
            quality = f", PSNR {job.psnr:.1f} dB" if job.psnr is not None else ""
            _lines(layout, f"Finished: {job.gaussians:,} splats{quality}", "CHECKMARK")
        case JobState.FAILED if job.failure:
            _lines(layout, job.failure.message, "CANCEL", alert=True)
            _lines(layout, job.failure.hint, "BLANK1")
        case JobState.INTERRUPTED:
            _lines(layout, "The training was interrupted. Resume goes on from its last checkpoint.", "ERROR", alert=True)


def _draw_findings(layout: bpy.types.UILayout, job: WatchedJob) -> None:
    for finding in job.findings[-SHOWN_FINDINGS:]:
        _lines(layout, f"{finding.message} {finding.hint}", ICONS[finding.severity])


def _lines(layout: bpy.types.UILayout, text: str, icon: str, alert: bool = False) -> None:
    """A sentence over as many lines as it needs."""
    column = layout.column(align=True)
    column.alert = alert
    column.scale_y = 0.8
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > LINE:
            column.label(text=line, icon=icon)
            icon, line = "BLANK1", word
        else:
            line = f"{line} {word}".strip()
    if line:
        column.label(text=line, icon=icon)


register, unregister = bpy.utils.register_classes_factory(
    (SPLATWRIGHT_PT_capture, SPLATWRIGHT_PT_train, SPLATWRIGHT_PT_train_details, SPLATWRIGHT_PT_splats))
