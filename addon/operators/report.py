"""The page about a training."""

from __future__ import annotations

from typing import ClassVar

import bpy

from ...engine.core.errors import UserError
from ..jobs import jobs
from ..typed import Context, classes_factory, operators
from .reporting import reports_user_errors

PAGE = "report.html"


class SPLATWRIGHT_OT_open_report(bpy.types.Operator):
    """Show the training's report in the browser: curves, held-out views beside the truth, findings, settings"""

    bl_idname = "splatwright.open_report"
    bl_label = "Open Report"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        job = jobs.current(context.scene)
        ready = job is not None and job.engine.file(job.name, PAGE) is not None
        if not ready:
            cls.poll_message_set("The report is written when a training ends")
        return ready

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        job = jobs.required(context.scene)
        page = job.engine.file(job.name, PAGE)
        if page is None:
            raise UserError("The training's report is gone.", "Resume the training to write it again.", "report.gone")
        return operators().wm.url_open(url=page.resolve().as_uri())


register, unregister = classes_factory((SPLATWRIGHT_OT_open_report,))
