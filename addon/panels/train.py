"""The panel Train: settings, progress, outcome and findings of a training."""

from __future__ import annotations

import bpy

from ...engine.core.protocol.events import SLOW_CHECKPOINTS, Finding
from ...engine.core.protocol.job_progress import USUAL_INTERVAL, JobProgress
from ...engine.core.text import duration, rough
from ...engine.jobs.local_engine import JobState
from ..engines.locations import preferences
from ..engines.remote import chosen
from ..jobs import jobs
from ..jobs.job_status import WatchedJob
from ..jobs.training_results import splat_object
from ..operators.install import SPLATWRIGHT_OT_install_engine
from ..operators.training import problem
from ..properties.automatic import draw_automatic
from ..properties.datasets import usual_dataset
from ..splats.display import NATIVE_TYPE
from ..translations import spoken, tr
from ..typed import Context, classes_factory, layout_of, scene_settings
from ..ui.text import draw_sentence, short_path
from ..viewport.stage import is_drawn
from .base import BUTTON_HEIGHT, SidebarPanel, draw_alarm, draw_status
from .earlier import draw_earlier
from .originals import draw_originals

FINDING_ICONS = {"info": "INFO", "warning": "ERROR", "error": "CANCEL"}
MOST_SHOWN = 3


class SPLATWRIGHT_PT_train(SidebarPanel, bpy.types.Panel):
    """Train splats from images"""

    bl_label = "Train"
    guide_page = "first_splat"

    def draw(self, context: Context) -> None:
        layout, job = layout_of(self), jobs.current(context.scene)
        layout.use_property_split = True
        layout.use_property_decorate = False
        draw_earlier(layout, context.scene)
        if job is not None and job.state.alive:
            draw_running(layout, job)
        else:
            _draw_settings(layout, context.scene)
            _draw_train_button(layout, context.scene, job)
            if job is not None:
                draw_outcome(layout, job)
                _draw_further(layout, context.scene, job)
        if job is not None and jobs.tells_of(context.scene, job):
            draw_findings(layout, job)
        if job is not None and job.has_object:
            draw_color_button(layout, context, splat_object(job.name))
            draw_originals(layout, context.scene, splat_object(job.name))
        layout.separator(type="LINE")
        if chosen(preferences()) is None:
            draw_status(layout)


class SPLATWRIGHT_PT_train_more(SidebarPanel, bpy.types.Panel):
    """Settings that most trainings leave alone"""

    bl_label = "More"
    bl_order = 1
    bl_parent_id = "SPLATWRIGHT_PT_train"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, settings = layout_of(self), scene_settings(context.scene).train
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column(align=True)
        row = column.row()
        row.use_property_split = False  # beside a field its label has no room
        row.prop(settings, "sh_degree")
        for name in ("background", "seed"):
            column.prop(settings, name)
        for name in ("threads", "image_memory"):
            draw_automatic(column, context.scene, "train", name)
        column = layout.column(align=True)
        column.prop(settings, "start_object")
        row = column.row()
        row.active = settings.start_object is None
        row.prop(settings, "start_file")
        layout.prop(settings, "region")
        column = layout.column(align=True)
        for name in ("budget_hours", "budget_cost"):
            draw_automatic(column, context.scene, "train", name)
        column = layout.column(align=True)
        column.prop(settings, "guides")
        column.prop(settings, "trial")
        column.prop(settings, "pause_when_sick")
        column.prop(settings, "anyway")
        column = layout.column(align=True)
        column.operator("splatwright.open_job_folder", icon="FILE_FOLDER")


def draw_running(layout: bpy.types.UILayout, job: WatchedJob) -> None:
    """Progress, figures, and the buttons of a training at work."""
    layout.progress(factor=job.fraction, text=progress_text(job))
    if job.max_steps and not job.stage:
        _draw_figures(layout, job)
    if job.remark:
        draw_sentence(layout, job.remark, "URL")
    draw_alarm(layout, job)
    if job.lost:
        text = tr("The engine has not answered for {time}. Stop ends it; Resume then goes on from its last checkpoint.",
                  time=duration(job.silent))
        draw_sentence(layout, text, "ERROR", alert=True)
    if job.state is JobState.PAUSED and job.unhealthy:
        text = tr("The training has paused by itself. {unhealthy} Resume continues anyway, Stop keeps its splats.",
                  unhealthy=job.unhealthy)
        draw_sentence(layout, text, "CANCEL", alert=True)
    row = layout.row(align=True)
    row.scale_y = BUTTON_HEIGHT
    if job.state is JobState.PAUSED:
        row.operator("splatwright.resume", icon="PLAY")
    elif not job.lost:
        row.operator("splatwright.pause", icon="PAUSE")
    row.operator("splatwright.stop", icon="SNAP_FACE")


def draw_outcome(layout: bpy.types.UILayout, job: WatchedJob) -> None:
    """How the last training ended, and the way on."""
    draw_alarm(layout, job)
    match job.state:
        case JobState.FINISHED:
            draw_sentence(layout, finished_text(job), "CHECKMARK")
        case JobState.FAILED if job.failure:
            draw_sentence(layout, spoken(job.failure), "CANCEL", alert=True)
            if SPLATWRIGHT_OT_install_engine.bl_label in job.failure.hint:
                layout.operator("splatwright.install_engine", icon="IMPORT")
        case JobState.INTERRUPTED:
            where = tr(" at step {step:,} of {max_steps:,}", step=job.step, max_steps=job.max_steps) if job.max_steps else ""
            draw_sentence(layout, tr("The training was interrupted{where}. Resume goes on from its last checkpoint.",
                                     where=where), "ERROR", alert=True)
    if job.kept_there:
        layout.operator("splatwright.delete_remote_job", icon="TRASH")


def draw_findings(layout: bpy.types.UILayout, job: WatchedJob) -> None:
    """The newest findings, without those that made the training fail: its outcome shows them."""
    findings = shown_findings(job)
    for finding in findings[-MOST_SHOWN:]:
        draw_sentence(layout, spoken(finding), FINDING_ICONS[finding.severity])
        if "finish" in finding.fixes and job.state.alive:
            layout.operator("splatwright.stop", text="Finish Early", icon="CHECKMARK")
    if len(findings) > MOST_SHOWN:
        draw_sentence(layout, tr("and {count} more in the training's folder", count=len(findings) - MOST_SHOWN), "BLANK1")


def shown_findings(job: WatchedJob) -> list[Finding]:
    """Findings that the panel does not tell otherwise."""
    reason = job.unhealthy if job.state is JobState.PAUSED else ""
    return [found for found in job.findings if found.message != reason and (job.state is not JobState.FAILED or found.severity != "error")]


def progress_text(job: WatchedJob) -> str:
    """What stands in the progress bar."""
    match job.state:
        case _ if job.stopping:
            return "Finishing …"
        case JobState.PAUSED:
            return tr("Paused at step {step:,} of {max_steps:,}", step=job.step, max_steps=job.max_steps)
        case JobState.QUEUED:
            return "Waiting for its turn"
        case JobState.STARTING:
            return f"{job.stage.capitalize()}, {job.fraction:.0%}" if job.stage else "Reading images …"
        case _ if not job.max_steps or job.eta is None:
            return "Reading images …" if not job.step else tr("Step {step:,} of {max_steps:,}", step=job.step, max_steps=job.max_steps)
        case _:
            return tr("Step {step:,} of {max_steps:,}, {time} left", step=job.step, max_steps=job.max_steps, time=rough(job.eta))


def finished_text(job: WatchedJob) -> str:
    """One sentence about a training that has ended."""
    quality = tr(", PSNR {psnr:.1f} dB on held-out views", psnr=job.psnr) if job.psnr is not None else ""
    return tr("Stopped by its budget after {step:,} steps: {gaussians:,} splats{quality}." if job.stopped and job.over_budget else
              "Stopped after {step:,} steps: {gaussians:,} splats{quality}." if job.stopped else
              "Finished after {step:,} steps: {gaussians:,} splats{quality}.", step=job.step, gaussians=job.gaussians, quality=quality)


def _draw_settings(layout: bpy.types.UILayout, scene: bpy.types.Scene) -> None:
    settings = scene_settings(scene).train
    layout.prop(settings, "dataset", placeholder=short_path(usual_dataset(scene)))
    layout.prop(settings, "preset")
    column = layout.column(align=True)
    column.prop(settings, "time")
    if settings.time == "OTHER":
        column.prop(settings, "minutes")
    if not settings.minutes:
        column.prop(settings, "max_steps")
    draw_automatic(column, scene, "train", "max_gaussians")
    if not settings.minutes:
        column.prop(settings, "resolution")


def _draw_train_button(layout: bpy.types.UILayout, scene: bpy.types.Scene, job: WatchedJob | None) -> None:
    if preferences().engines:
        layout.prop(preferences(), "engine")
    row = layout.row(align=True)
    if job is not None and (job.stopped or job.state in (JobState.INTERRUPTED, JobState.FAILED)):
        row.operator("splatwright.resume", icon="FILE_REFRESH")
    row.operator("splatwright.train", icon="PLAY")
    reason = problem(scene)
    if reason:
        draw_sentence(layout, reason, "INFO")


def _draw_further(layout: bpy.types.UILayout, scene: bpy.types.Scene, job: WatchedJob) -> None:
    """More steps for a training that came to its end; one that was stopped is resumed first."""
    if job.state is not JobState.FINISHED or job.stopped:
        return
    column = layout.column(align=True)
    column.prop(scene_settings(scene), "further_steps")
    column.operator("splatwright.train_further", icon="PLAY")


def draw_color_button(layout: bpy.types.UILayout, context: Context, target: bpy.types.Object | None) -> None:
    """Solid view shows no colours of points: offer the view that does."""
    shading = getattr(context.space_data, "shading", None)
    if target is None or is_native(target) or is_drawn(target):
        return
    if shading is not None and shading.type in ("SOLID", "WIREFRAME"):
        layout.operator("view3d.toggle_shading", text="Show Colors", icon="SHADING_TEXTURE").type = "MATERIAL"


def is_native(target: bpy.types.Object) -> bool:
    """Whether Blender draws these splats itself."""
    return getattr(target.data, "type", "") == NATIVE_TYPE


def _draw_figures(layout: bpy.types.UILayout, job: WatchedJob) -> None:
    grid = layout.grid_flow(row_major=True, columns=2, even_columns=True, align=True)
    grid.label(text=tr("Splats: {gaussians:,}", gaussians=job.gaussians))
    grid.label(text=tr("Speed: {rate:.0f} steps/s", rate=job.rate) if job.rate >= 10 else tr("Speed: {rate:.1f} steps/s", rate=job.rate))
    grid.label(text=tr("PSNR: {psnr:.1f} dB", psnr=job.psnr) if job.psnr is not None else "PSNR: not yet")
    grid.label(text=tr("Loss: {loss:.4f}", loss=job.loss) if job.loss is not None else "Loss: not yet")
    if job.checkpoint_interval > USUAL_INTERVAL and not any(found.code == SLOW_CHECKPOINTS for found in job.findings):
        draw_sentence(layout, checkpoints_text(job), "FILE_TICK")


def checkpoints_text(job: JobProgress) -> str:
    """What a cut costs."""
    return tr("Checkpoints of so many splats take long: up to {time} of training are repeated if it is cut off.",
              time=duration(job.checkpoint_interval))


register, unregister = classes_factory(
    (SPLATWRIGHT_PT_train, SPLATWRIGHT_PT_train_more))
