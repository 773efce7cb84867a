"""The panel on top: which step comes next on the way to splats, and the one button for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
from mathutils import Matrix

from ...engine.environment.folder import InstallState
from ...engine.jobs.local_engine import JobState
from ..batch.run import busy
from ..engines import full_engine
from ..jobs import jobs
from ..operators.batch import SPLATWRIGHT_OT_run_batch
from ..operators.capture import SPLATWRIGHT_OT_capture_dataset
from ..operators.next_step import result
from ..operators.training import problem
from ..photos.posed_photos import posed_root, roots
from ..splats.splat_object import is_splat_object
from ..typed import Context, classes_factory, layout_of, scene_settings
from ..ui.text import draw_sentence
from .base import SidebarPanel

PRIMARY_HEIGHT = 1.8
OVER = "Move and clean the splats in the panel Layout, or write them into a file."


@dataclass(frozen=True)
class NextStep:
    """Where the way has got to: `at` counts its stations. No button while something is under way that ends by itself."""

    at: int
    sentence: str
    operator: str = ""
    icon: Any = "NONE"


class SPLATWRIGHT_PT_next(SidebarPanel, bpy.types.Panel):
    """The next step on the way from a scene or photos to splats"""

    bl_label = "Next Step"

    def draw(self, context: Context) -> None:
        layout, step = layout_of(self), next_step(context)
        row = layout.row(align=True)
        for number, name in enumerate((_beginning(context.scene), "Train", "Place", "Export")):
            station = row.row(align=True)
            station.alignment = "CENTER"
            station.active = number == step.at
            station.label(text=name)
        if step.operator:
            row = layout.row()
            row.scale_y = PRIMARY_HEIGHT
            row.operator(step.operator, icon=step.icon)
        draw_sentence(layout, step.sentence, "INFO")


def next_step(context: Context) -> NextStep:
    """The step that comes next in the scene."""
    scene = context.scene
    job = jobs.current(scene)
    if SPLATWRIGHT_OT_capture_dataset.progress is not None:
        return NextStep(0, "The views are being rendered. The viewport can be navigated meanwhile.")
    if SPLATWRIGHT_OT_run_batch.progress is not None or busy():
        return NextStep(0, "The batch is at work: its panel shows how far it is.")
    if job is not None and job.state.alive:
        return NextStep(1, "The training goes on by itself, also while Blender is closed. Its splats appear in the viewport.")
    captured = scene_settings(scene).untrained
    if job is not None and job.state in (JobState.FAILED, JobState.INTERRUPTED) and not captured:
        return NextStep(1, "Below is what happened to the training.", "splatwright.resume", "FILE_REFRESH")
    if job is not None and result(scene) is not None and not captured:
        return _after_training(context)
    if not problem(scene):
        return NextStep(1, "The images are there: train splats from them.", "splatwright.train", "PLAY")
    if any(is_splat_object(item) for item in scene.objects):
        return NextStep(3, OVER, "splatwright.export_splats", "EXPORT")
    return _first(context)


def _first(context: Context) -> NextStep:
    """Nothing is there to train on yet."""
    settings, photos = scene_settings(context.scene).photos, jobs.current_photos(context.scene)
    if photos is not None and photos.state.alive:
        return NextStep(0, "The photos are being worked on. Their cameras appear in the viewport.")
    if (settings.directory or settings.video) and full_engine.needed_for_photos():
        if full_engine.state() is InstallState.INSTALLING:
            return NextStep(0, "The full engine is being installed: the panel Photos shows how far it is.")
        return NextStep(0, "Finding the cameras of photos needs the full engine.", "splatwright.install_engine", "IMPORT")
    if settings.directory:
        return NextStep(0, "Find where the photos were taken from.", "splatwright.cameras_from_photos", "VIEW_CAMERA")
    if settings.video:
        return NextStep(0, "Take pictures out of the video.", "splatwright.frames_from_video", "FILE_MOVIE")
    return NextStep(0, "Images of this scene are rendered from all around. For photos or a video, open the panel Photos.",
                    "splatwright.capture_dataset", "RENDER_STILL")


def _after_training(context: Context) -> NextStep:
    """Splats of a scene stand where it stands; photos know neither the floor nor the scale."""
    made = result(context.scene)
    if made is not None and posed_root(made) is made and made.matrix_world == Matrix.Identity(4):
        if any(posed_root(item) is made for item in context.selected_objects):
            return NextStep(2, "Bring the floor level; the panel Layout has more.", "splatwright.level_ground", "GRID")
        return NextStep(2, "Select the splats and their photos, to bring the floor level.",
                        "splatwright.select_result", "RESTRICT_SELECT_OFF")
    return NextStep(3, OVER, "splatwright.export_splats", "EXPORT")


def _beginning(scene: bpy.types.Scene) -> str:
    """What the way begins with."""
    settings = scene_settings(scene)
    if settings.photos.directory or settings.photos.video or any(root.name in scene.objects for root in roots()):
        return "Photos"
    return "Capture"


register, unregister = classes_factory((SPLATWRIGHT_PT_next,))
