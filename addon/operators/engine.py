"""The engine: check it, look into a job's folder."""

from __future__ import annotations

from typing import ClassVar

import bpy

from ...engine.core.errors import UserError
from ..engines import choice, status
from ..jobs import jobs
from ..typed import Context, classes_factory, operators
from .reporting import reports_user_errors
from .starting import StartsJob


class SPLATWRIGHT_OT_check_engine(StartsJob, bpy.types.Operator):
    """Start the engine once and ask whether everything it needs is there"""

    bl_idname = "splatwright.check_engine"
    bl_label = "Check Engine"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def begin(self, context: Context) -> None:
        status.check_engine(*choice.local_engine().worker_command("--self-check"))


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


register, unregister = classes_factory((SPLATWRIGHT_OT_check_engine, SPLATWRIGHT_OT_open_job_folder))
