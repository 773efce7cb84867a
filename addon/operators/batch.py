"""Several captures and trainings in one go: the list, the run, and a way to stop it."""

from __future__ import annotations

import time
from typing import ClassVar

import bpy
from bpy.props import BoolProperty, IntProperty

from ...engine.batch.tasks import TaskState
from ...engine.core.errors import UserError
from ..batch import run
from ..batch.plan import BatchPlan
from ..capture.render_passes import Render, render_as_job, render_blocking
from ..jobs import jobs
from ..properties.batch import BatchSettings, active_entry, add_entry, batch_settings, camera_collections
from ..translations import tr
from ..typed import Context, classes_factory
from .capture import TICK_SECONDS, SPLATWRIGHT_OT_capture_dataset
from .reporting import reports_user_errors
from .starting import Obstructed
from .stepped import RENDERING, SteppedRender, is_rendering


def add_scenes() -> int:
    """An entry for every scene that has none; returns how many."""
    known = {entry.scene for entry in batch_settings().entries if entry.cameras != "COLLECTION"}
    return len([add_entry(scene) for scene in bpy.data.scenes if scene not in known])


def add_collections() -> int:
    """An entry for every collection with cameras, of every scene, that has none; returns how many."""
    known = {(entry.scene, entry.collection) for entry in batch_settings().entries}
    return len([add_entry(scene, found) for scene in bpy.data.scenes for found in camera_collections(scene) if (scene, found) not in known])


def at_work() -> str:
    """A sentence while something is captured, or the batch trains; empty when not."""
    capturing = SPLATWRIGHT_OT_capture_dataset.progress is not None or SPLATWRIGHT_OT_run_batch.progress is not None
    return "A capture or the batch is running: stop it first" if capturing or run.busy() else RENDERING if is_rendering() else ""


class SPLATWRIGHT_OT_add_batch_entry(bpy.types.Operator):
    """Add this scene to the batch"""

    bl_idname = "splatwright.add_batch_entry"
    bl_label = "Add This Scene"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    def execute(self, context: Context) -> set[str]:
        add_entry(context.scene)
        return {"FINISHED"}


class SPLATWRIGHT_OT_add_batch_scenes(bpy.types.Operator):
    """Add every scene of the file that the batch does not have"""

    bl_idname = "splatwright.add_batch_scenes"
    bl_label = "Add Every Scene"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    def execute(self, context: Context) -> set[str]:
        self.report({"INFO"}, tr("{count} scenes added", count=add_scenes()))
        return {"FINISHED"}


class SPLATWRIGHT_OT_add_batch_collections(bpy.types.Operator):
    """Add each collection that holds several cameras, of every scene, that the batch does not have"""

    bl_idname = "splatwright.add_batch_collections"
    bl_label = "Add Each Camera Collection"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        count = add_collections()
        if not batch_settings().entries:
            raise UserError("No collection of this file holds several cameras.", "Put cameras into collections, or add every scene.",
                            "batch.no_collections")
        self.report({"INFO"}, tr("{count} collections added", count=count))
        return {"FINISHED"}


class SPLATWRIGHT_OT_remove_batch_entry(bpy.types.Operator):
    """Remove the entry from the list. Its dataset and its splats are kept"""

    bl_idname = "splatwright.remove_batch_entry"
    bl_label = "Remove Entry"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return active_entry() is not None

    def execute(self, context: Context) -> set[str]:
        settings = batch_settings()
        settings.entries.remove(settings.active)
        settings.active = max(0, min(settings.active, len(settings.entries) - 1))
        return {"FINISHED"}


class SPLATWRIGHT_OT_move_batch_entry(bpy.types.Operator):
    """Move the entry up or down the list, which is the order of work"""

    bl_idname = "splatwright.move_batch_entry"
    bl_label = "Move Entry"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    by: IntProperty(name="Places", default=1, options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: Context) -> bool:
        return active_entry() is not None

    def execute(self, context: Context) -> set[str]:
        settings = batch_settings()
        place = max(0, min(settings.active + self.by, len(settings.entries) - 1))
        settings.entries.move(settings.active, place)
        settings.active = place
        return {"FINISHED"}


class SPLATWRIGHT_OT_repeat_batch(Obstructed, bpy.types.Operator):
    """Capture and train the entry again. Its dataset is kept until the new one is complete"""

    bl_idname = "splatwright.repeat_batch"
    bl_label = "Run Again"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    every: BoolProperty(name="Every Entry", description="Not the active entry alone", options={"SKIP_SAVE"})

    @classmethod
    def obstacle(cls, context: Context) -> str:
        return at_work() if active_entry() is not None else "The batch has no entry yet"

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        settings: BatchSettings = batch_settings()
        for entry in settings.entries if self.every else filter(None, [active_entry()]):
            run.again(entry)
        return {"FINISHED"}


class SPLATWRIGHT_OT_run_batch(Obstructed, SteppedRender, bpy.types.Operator):
    """Capture every enabled entry and train splats from it. Entries that are done are skipped"""

    bl_idname = "splatwright.run_batch"
    bl_label = "Capture and Train All"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def obstacle(cls, context: Context) -> str:
        return at_work()

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        for _ in run.capturing(run.begin(), render_blocking):
            run.poll()
        while run.poll() is not None:
            time.sleep(run.INTERVAL)
        self._report_failures()
        return {"FINISHED"}

    @reports_user_errors
    def invoke(self, context: Context, event: bpy.types.Event) -> set[str]:
        if bpy.app.background:
            return self.execute(context)
        self.start(context, run.begin(), render_as_job)
        return {"RUNNING_MODAL"}

    def start(self, context: Context, plans: list[BatchPlan], render: Render) -> None:
        """Let a timer drive the captures."""
        self.show(context, 0, "starting the batch")
        self.begin(context, run.capturing(plans, render), TICK_SECONDS)

    def advance(self, context: Context) -> None:
        self.show(context, 0, next(self._steps))

    def give_up(self, context: Context) -> set[str]:
        self.cancel(context)
        run.stop()
        self.report({"WARNING"}, "The batch is stopped. Run it again to continue")
        return {"CANCELLED"}

    def complete(self, context: Context, result: None) -> set[str]:
        self._report_failures()
        return {"FINISHED"}

    def _report_failures(self) -> None:
        self.report({"INFO"}, tr("Batch: {summary}", summary=run.summary(run.tasks())))
        for task in run.tasks():
            if task.problem:
                self.report({"WARNING"}, f"{task.name}: {task.problem}")


class SPLATWRIGHT_OT_stop_batch(bpy.types.Operator):
    """Stop the current training and start no other. When run again, the batch continues from the last checkpoint"""

    bl_idname = "splatwright.stop_batch"
    bl_label = "Stop Batch"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return run.busy()

    def execute(self, context: Context) -> set[str]:
        run.stop()
        return {"FINISHED"}


class SPLATWRIGHT_OT_show_batch_splats(bpy.types.Operator):
    """Import the splats of the entry into its scene"""

    bl_idname = "splatwright.show_batch_splats"
    bl_label = "Show Splats"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        entry = active_entry()
        task = run.task_of(entry) if entry is not None and entry.scene is not None else None
        return task is not None and task.state in (TaskState.TRAINING, TaskState.DONE) and bool(task.job)

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        entry = active_entry()
        task = run.task_of(entry) if entry is not None else None
        if entry is None or task is None or not task.job:
            raise UserError("This entry has no training yet.", "Press Capture and Train All.", "batch.no_training")
        jobs.show(entry.scene, task.job)
        return {"FINISHED"}


register, unregister = classes_factory((
    SPLATWRIGHT_OT_add_batch_entry, SPLATWRIGHT_OT_add_batch_scenes, SPLATWRIGHT_OT_add_batch_collections,
    SPLATWRIGHT_OT_remove_batch_entry, SPLATWRIGHT_OT_move_batch_entry, SPLATWRIGHT_OT_repeat_batch, SPLATWRIGHT_OT_run_batch,
    SPLATWRIGHT_OT_stop_batch, SPLATWRIGHT_OT_show_batch_splats))
