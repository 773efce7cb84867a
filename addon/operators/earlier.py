"""Earlier trainings: show one in the scene, rename it, delete it."""

from __future__ import annotations

from typing import Any, ClassVar

import bpy
from bpy.props import StringProperty

from ..jobs import jobs
from ..translations import tr
from ..typed import Context, classes_factory, layout_of
from ..ui.text import broken_lines
from .reporting import reports_user_errors

WIDTH = 360
LINE_LETTERS = 56
CONSEQUENCE = ("Its checkpoint, result and report are deleted from the disk; undo does not bring them back. Splats in the scene, and the "
               "images that it learned from, stay.")


class SPLATWRIGHT_OT_show_training(bpy.types.Operator):
    """Show this training in the scene, with its splats; also one that was started from another file"""

    bl_idname = "splatwright.show_training"
    bl_label = "Show"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    job: StringProperty(name="Training", options={"SKIP_SAVE"}, description="Name of the training's folder")

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        jobs.show(context.scene, jobs.known(self.job))
        return {"FINISHED"}


class SPLATWRIGHT_OT_rename_training(bpy.types.Operator):
    """Give this training a name of its own"""

    bl_idname = "splatwright.rename_training"
    bl_label = "Rename Training"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    job: StringProperty(name="Training", options={"SKIP_SAVE", "HIDDEN"}, description="Name of the training's folder")
    title: StringProperty(name="Name", options={"SKIP_SAVE"}, description="Empty: the name of the training's folder")

    @reports_user_errors
    def invoke(self, context: Context, event: bpy.types.Event) -> set[Any]:
        self.title = jobs.watch(jobs.known(self.job)).title
        return context.window_manager.invoke_props_dialog(self, width=WIDTH, confirm_text="Rename")

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        jobs.rename(jobs.known(self.job), self.title)
        return {"FINISHED"}


class SPLATWRIGHT_OT_delete_training(bpy.types.Operator):
    """Delete this training with its checkpoint, result and report. Splats in the scene stay"""

    bl_idname = "splatwright.delete_training"
    bl_label = "Delete Training"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    job: StringProperty(name="Training", options={"SKIP_SAVE", "HIDDEN"}, description="Name of the training's folder")

    @reports_user_errors
    def invoke(self, context: Context, event: bpy.types.Event) -> set[Any]:
        jobs.known(self.job)
        return context.window_manager.invoke_props_dialog(self, width=WIDTH, title="Delete this training?", confirm_text="Delete",
                                                          cancel_default=True)

    def draw(self, context: Context) -> None:
        column = layout_of(self).column(align=True)
        column.label(text=jobs.watch(self.job).title, icon="TRASH")
        for line in broken_lines(tr(CONSEQUENCE), LINE_LETTERS):
            column.label(text=line)

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        title = jobs.watch(jobs.known(self.job)).title
        jobs.delete(self.job)
        self.report({"INFO"}, tr("{title} is deleted", title=title))
        return {"FINISHED"}


register, unregister = classes_factory((SPLATWRIGHT_OT_show_training, SPLATWRIGHT_OT_rename_training, SPLATWRIGHT_OT_delete_training))
