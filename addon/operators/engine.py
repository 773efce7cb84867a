"""The engine: check it, look into a job's folder, convert images for engines that read PNG alone."""

from __future__ import annotations

from typing import ClassVar

import bpy

from ...engine.core.datasets.read import read_dataset
from ...engine.core.datasets.transforms_json import write_transforms
from ...engine.core.errors import UserError
from ...engine.core.text import named
from ..engines import status
from ..jobs import jobs
from ..photos.convert_images import convert_to_png
from ..properties import dataset_folder
from ..translations import tr
from ..typed import Context, classes_factory, operators, scene_settings
from .reporting import reports_user_errors
from .starting import StartsJob


class SPLATWRIGHT_OT_check_engine(StartsJob, bpy.types.Operator):
    """Start the engine once and ask whether everything it needs is there"""

    bl_idname = "splatwright.check_engine"
    bl_label = "Check Engine"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def begin(self, context: Context) -> None:
        status.check_engine(*jobs.local_engine().worker_command("--self-check"))


class SPLATWRIGHT_OT_open_job_folder(bpy.types.Operator):
    """Show the training's folder with its log, checkpoint and result"""

    bl_idname = "splatwright.open_job_folder"
    bl_label = "Open Training Folder"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return jobs.current(context.scene) is not None

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        job = jobs.required(context.scene)
        folder = job.engine.file(job.name, "")
        if folder is None:
            raise UserError("The training's folder is gone.", "Start a new training.", "job.folder_gone")
        return operators().wm.path_open(filepath=str(folder))


class SPLATWRIGHT_OT_convert_images(bpy.types.Operator):
    """Write the dataset's images as PNG files, which every engine reads, into a dataset beside it"""

    bl_idname = "splatwright.convert_images"
    bl_label = "Convert Images"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        dataset = convert_to_png(read_dataset(dataset_folder(context.scene)))
        write_transforms(dataset)
        scene_settings(context.scene).train.dataset = str(dataset.folder)
        if dataset.lost_views:
            self.report({"WARNING"}, tr("Left out, for they cannot be used: {lost_views}", lost_views=named(dataset.lost_views)))
        self.report({"INFO"}, tr("Wrote {count} PNG images to {folder}", count=len(dataset.views), folder=dataset.folder))
        return {"FINISHED"}


register, unregister = classes_factory(
    (SPLATWRIGHT_OT_check_engine, SPLATWRIGHT_OT_open_job_folder, SPLATWRIGHT_OT_convert_images))
