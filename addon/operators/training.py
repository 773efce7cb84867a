"""Train, pause, resume, stop."""

from __future__ import annotations

from typing import ClassVar

import bpy

from ...engine.client import JobState
from ...engine.core.job import JobSpec
from ...engine.core.sources import read_dataset
from .. import jobs
from ..properties import dataset_folder
from .reporting import reports_user_errors


def start_training(scene: bpy.types.Scene) -> jobs.WatchedJob:
    """Look at the scene's dataset and start a training on it; UserError before anything is written when it cannot work."""
    folder = dataset_folder(scene)
    config = scene.splatwright.train.to_config()
    read_dataset(folder)
    return jobs.submit(scene, JobSpec(folder, config, folder.name))


def running(context: bpy.types.Context) -> jobs.WatchedJob | None:
    """The scene's job while it is alive."""
    job = jobs.current(context.scene)
    return job if job is not None and job.state.alive else None


class SPLATWRIGHT_OT_train(bpy.types.Operator):
    """Train splats from the dataset. Training goes on in a process of its own, also when Blender is closed"""

    bl_idname = "splatwright.train"
    bl_label = "Train"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if running(context):
            cls.poll_message_set("A training is running: stop it first")
            return False
        return True

    @reports_user_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        job = start_training(context.scene)
        self.report({"INFO"}, f"Training {job.name}")
        return {"FINISHED"}


class SPLATWRIGHT_OT_pause(bpy.types.Operator):
    """Let the training rest; its memory and state are kept"""

    bl_idname = "splatwright.pause"
    bl_label = "Pause"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        job = running(context)
        return job is not None and job.state is not JobState.PAUSED

    @reports_user_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        jobs.engine().control(context.scene.splatwright.job, "pause")
        return {"FINISHED"}


class SPLATWRIGHT_OT_resume(bpy.types.Operator):
    """Go on with a paused, stopped or interrupted training from where it was"""

    bl_idname = "splatwright.resume"
    bl_label = "Resume"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        job = jobs.current(context.scene)
        return job is not None and job.state not in (JobState.RUNNING, JobState.STARTING)

    @reports_user_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        name = context.scene.splatwright.job
        jobs.engine().resume(name)
        jobs.watch(name)
        return {"FINISHED"}


class SPLATWRIGHT_OT_stop(bpy.types.Operator):
    """End the training now and keep the splats that it has made"""

    bl_idname = "splatwright.stop"
    bl_label = "Stop"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return running(context) is not None

    @reports_user_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        jobs.engine().control(context.scene.splatwright.job, "stop")
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory(
    (SPLATWRIGHT_OT_train, SPLATWRIGHT_OT_pause, SPLATWRIGHT_OT_resume, SPLATWRIGHT_OT_stop))
