"""The button for the report of the scene's training."""

from __future__ import annotations

import bpy

from ..jobs import jobs
from ..operators.report import SPLATWRIGHT_OT_open_report
from ..typed import Context, classes_factory, layout_of
from .base import SidebarPanel


class SPLATWRIGHT_PT_report(SidebarPanel, bpy.types.Panel):
    """Report of the training"""

    bl_label = "Report"
    bl_parent_id = "SPLATWRIGHT_PT_train"
    bl_options = {"HIDE_HEADER"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        job = jobs.current(context.scene)
        return job is not None and not job.state.alive and SPLATWRIGHT_OT_open_report.poll(context)

    def draw(self, context: Context) -> None:
        layout_of(self).operator("splatwright.open_report", icon="DOCUMENTS")


register, unregister = classes_factory((SPLATWRIGHT_PT_report,))
