"""The panel Batch: several captures and trainings, and how far each is."""

from __future__ import annotations

from typing import Any

import bpy

from ...engine.batch.tasks import Task, TaskState
from ..batch import run
from ..operators.batch import SPLATWRIGHT_OT_run_batch
from ..properties.batch import BatchEntry, active_entry, batch_settings
from ..translations import tr
from ..typed import Context, classes_factory, layout_of
from ..ui.text import draw_sentence
from .base import BUTTON_HEIGHT, SidebarPanel

ICONS: dict[TaskState, Any] = {
    TaskState.WAITING: "SORTTIME",
    TaskState.CAPTURING: "RENDER_STILL",
    TaskState.CAPTURED: "IMAGE_DATA",
    TaskState.TRAINING: "PLAY",
    TaskState.DONE: "CHECKMARK",
    TaskState.FAILED: "CANCEL",
}
MOST_PROBLEMS = 3


class SPLATWRIGHT_UL_batch(bpy.types.UIList):
    """The entries, a line each."""

    def draw_item(
        self, context: Context, layout: bpy.types.UILayout, data: Any, item: BatchEntry, icon: int, active: Any,
        active_property: str, index: int = 0, flag: int = 0,
    ) -> None:
        draw_line(layout, item)


class SPLATWRIGHT_PT_batch(SidebarPanel, bpy.types.Panel):
    """Several captures and trainings in one go"""

    bl_label = "Batch"
    guide_page = "batch"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, settings = layout_of(self), batch_settings()
        row = layout.row()
        row.template_list("SPLATWRIGHT_UL_batch", "", settings, "entries", settings, "active", rows=4)
        _draw_list_buttons(row.column(align=True))
        column = layout.column(align=True)
        column.operator("splatwright.add_batch_scenes", icon="SCENE_DATA")
        column.operator("splatwright.add_batch_collections", icon="OUTLINER_COLLECTION")
        entry = active_entry()
        if entry is not None:
            _draw_entry(layout, entry)
            _draw_run(layout)
            _draw_problems(layout, run.tasks())


def draw_line(layout: bpy.types.UILayout, entry: BatchEntry) -> None:
    """One entry of the list: whether it shall be done, its name, how far it is."""
    task = run.task_of(entry)
    row = layout.row(align=True)
    row.prop(entry, "enabled", text="")
    row.prop(entry, "name", text="", emboss=False)
    summary_sentence = row.row()
    summary_sentence.alignment = "RIGHT"
    summary_sentence.alert = task is not None and task.state is TaskState.FAILED
    if task is not None and entry.enabled:
        summary_sentence.label(text=task.sentence, icon=ICONS[task.state])


def _draw_list_buttons(column: bpy.types.UILayout) -> None:
    column.operator("splatwright.add_batch_entry", text="", icon="ADD")
    column.operator("splatwright.remove_batch_entry", text="", icon="REMOVE")
    column.separator()
    column.operator("splatwright.move_batch_entry", text="", icon="TRIA_UP").by = -1
    column.operator("splatwright.move_batch_entry", text="", icon="TRIA_DOWN").by = 1


def _draw_entry(layout: bpy.types.UILayout, entry: BatchEntry) -> None:
    layout.use_property_split = True
    layout.use_property_decorate = False
    column = layout.column(align=True)
    column.prop(entry, "scene")
    column.prop(entry, "cameras")
    if entry.cameras == "COLLECTION":
        column.prop(entry, "collection")
    column.prop(entry, "directory")
    column.prop(entry, "train")
    if entry.train:
        column.prop(entry, "preset")
    row = layout.row(align=True)
    row.operator("splatwright.show_batch_splats", icon="OUTLINER_OB_POINTCLOUD")
    row.operator("splatwright.repeat_batch", icon="FILE_REFRESH")


def _draw_run(layout: bpy.types.UILayout) -> None:
    """The progress of all with its button to stop, or the button to begin."""
    row = layout.row()
    row.scale_y = BUTTON_HEIGHT
    if SPLATWRIGHT_OT_run_batch.progress is None and not run.busy():
        row.operator("splatwright.run_batch", icon="RENDER_ANIMATION")
        if run.ended():
            draw_sentence(layout, f"{run.ended()}.", "INFO")
        return
    share, line = run.at_work()
    layout.progress(factor=share, text=tr("{share:.0%} of the batch", share=share))
    draw_sentence(layout, line, "TIME")
    if run.busy():
        row.operator("splatwright.stop_batch", icon="SNAP_FACE")
    else:
        row.label(text="Esc stops the captures")


def _draw_problems(layout: bpy.types.UILayout, tasks: list[Task]) -> None:
    failed = [task for task in tasks if task.state is TaskState.FAILED]
    for task in failed[:MOST_PROBLEMS]:
        draw_sentence(layout, f"{task.name}: {task.problem}", "CANCEL", alert=True)
    if len(failed) > MOST_PROBLEMS:
        draw_sentence(layout, tr("and {count} more: the list shows which", count=len(failed) - MOST_PROBLEMS), "BLANK1")


register, unregister = classes_factory((SPLATWRIGHT_UL_batch, SPLATWRIGHT_PT_batch))
