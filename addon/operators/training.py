"""Train, pause, resume, stop, and come back to an earlier training."""

from __future__ import annotations

from typing import Any, ClassVar

import bpy
from bpy.props import EnumProperty, IntProperty

from ...engine.core.datasets.read import read_dataset
from ...engine.core.errors import UserError
from ...engine.jobs.local_engine import JobState
from ..engines import choice
from ..jobs import jobs
from ..jobs.jobs import WatchedJob
from ..jobs.photo_results import works_on_photos
from ..jobs.training_spec import training_spec
from ..properties.datasets import captured_by_another, dataset_folder
from ..translations import tr
from ..typed import Context, classes_factory, scene_settings
from .reporting import reports_user_errors
from .starting import Obstructed, StartsJob


def start_training(scene: bpy.types.Scene) -> WatchedJob:
    """Look at the scene's dataset and start a training on it; UserError before anything is written when it cannot work."""
    folder = dataset_folder(scene)
    read_dataset(folder)
    with training_spec(scene) as spec:
        job = jobs.submit(scene, spec)
    scene_settings(scene).untrained = False
    return job


def running(context: Context) -> WatchedJob | None:
    """The scene's job while it is alive."""
    job = jobs.current(context.scene)
    return job if job is not None and job.state.alive else None


def problem(scene: bpy.types.Scene) -> str:
    """Why Train cannot be pressed; empty when it can."""
    job = jobs.current(scene)
    if job is not None and job.state.alive:
        return "A training is running: stop it first."
    try:
        folder = dataset_folder(scene)
    except UserError as error:
        return f"{error.message} {error.hint}"
    there = folder.exists() and not captured_by_another(scene, folder)
    return "" if there else "There is no dataset yet: capture one, or choose its folder."


class SPLATWRIGHT_OT_train(StartsJob, bpy.types.Operator):
    """Train splats from the dataset. The training runs in the background and continues when Blender is closed"""

    bl_idname = "splatwright.train"
    bl_label = "Train"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    begun = "Training started"

    @classmethod
    def obstacle(cls, context: Context) -> str:
        return problem(context.scene)

    def begin(self, context: Context) -> WatchedJob:
        return start_training(context.scene)


class SPLATWRIGHT_OT_pause(bpy.types.Operator):
    """Pause the training. Nothing is lost and the processor is free; a remote engine runs the next training meanwhile"""

    bl_idname = "splatwright.pause"
    bl_label = "Pause"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        job = running(context)
        return job is not None and job.state is not JobState.PAUSED and not job.stopping

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        job = jobs.required(context.scene)
        job.engine.control(job.name, "pause")
        return {"FINISHED"}


class SPLATWRIGHT_OT_resume(bpy.types.Operator):
    """Continue the training from where it stopped"""

    bl_idname = "splatwright.resume"
    bl_label = "Resume"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        job = jobs.current(context.scene)
        return job is not None and job.state not in (JobState.RUNNING, JobState.STARTING)

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        settings = scene_settings(context.scene).train
        budget = (settings.budget_hours, settings.budget_cost)
        jobs.resume(jobs.required(context.scene), budget if any(budget) else None)
        return {"FINISHED"}


class SPLATWRIGHT_OT_train_further(Obstructed, bpy.types.Operator):
    """Train the finished splats for more steps, from where they are. Learning rates stay at their end and no splats are added"""

    bl_idname = "splatwright.train_further"
    bl_label = "Train Further"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    steps: IntProperty(name="Steps", default=0, min=0, max=1_000_000, options={"SKIP_SAVE"}, description="0: as many as the panel says")

    @classmethod
    def obstacle(cls, context: Context) -> str:
        job = jobs.current(context.scene)
        return "There is no training that has ended" if job is None or job.state.alive else ""

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        end = jobs.train_further(jobs.required(context.scene), self.steps or scene_settings(context.scene).further_steps)
        self.report({"INFO"}, tr("Training on to step {end:,}", end=end))
        return {"FINISHED"}


class SPLATWRIGHT_OT_stop(bpy.types.Operator):
    """Stop the training and keep its splats"""

    bl_idname = "splatwright.stop"
    bl_label = "Stop"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        job = running(context)
        return job is not None and (job.lost or not job.stopping)

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        jobs.stop(jobs.required(context.scene))
        return {"FINISHED"}


class SPLATWRIGHT_OT_delete_remote_job(bpy.types.Operator):
    """Delete this training at the remote engine."""

    bl_idname = "splatwright.delete_remote_job"
    bl_label = "Delete at Remote Engine"
    bl_description = ("Delete this training at the remote engine, with its images and its checkpoint, which frees their room there. "
                      "The splats here stay. Going on with the training would then send everything again and begin anew")
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        job = jobs.current(context.scene)
        return job is not None and job.kept_there and not job.state.alive

    @reports_user_errors
    def invoke(self, context: Context, event: bpy.types.Event) -> set[Any]:
        return context.window_manager.invoke_confirm(self, event)

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        jobs.delete_remote_job(jobs.required(context.scene))
        return {"FINISHED"}


_items: list[tuple[str, str, str]] = []
"""Blender keeps no copy of the strings of a menu that is made on the fly."""


def _earlier(operator: bpy.types.Operator, context: bpy.types.Context | None) -> list[tuple[str, str, str]]:
    names = [name for place in choice.engines() for name in reversed(place.jobs()) if not works_on_photos(place, name)]
    _items[:] = [(name, name, tr("Show the training {name} here", name=name)) for name in names]
    return _items


class SPLATWRIGHT_OT_open_earlier_training(bpy.types.Operator):
    """Show an earlier training in this scene, with its splats; also one that was started from another file"""

    bl_idname = "splatwright.open_earlier_training"
    bl_label = "Earlier Trainings"
    bl_options: ClassVar[set[str]] = {"REGISTER"}
    bl_property = "job"

    job: EnumProperty(name="Training", items=_earlier)

    @reports_user_errors
    def invoke(self, context: Context, event: bpy.types.Event) -> set[str]:
        if not _earlier(self, context):
            raise UserError("There are no trainings yet.", "Press Train to begin one.", "job.no_trainings")
        context.window_manager.invoke_search_popup(self)
        return {"FINISHED"}

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        jobs.show(context.scene, self.job)
        return {"FINISHED"}


register, unregister = classes_factory(
    (SPLATWRIGHT_OT_train, SPLATWRIGHT_OT_train_further, SPLATWRIGHT_OT_pause, SPLATWRIGHT_OT_resume, SPLATWRIGHT_OT_stop,
     SPLATWRIGHT_OT_delete_remote_job, SPLATWRIGHT_OT_open_earlier_training))
