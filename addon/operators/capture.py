"""Capture Dataset: renders the scene from many cameras into a folder that a training reads."""

import time
from pathlib import Path
from typing import ClassVar

import bpy

from ...engine.core.datasets.dataset import Dataset
from ...engine.core.text import duration
from ..capture.capture import CaptureProgress, capture, capture_steps, capture_warnings
from ..capture.dataset_folder import incomplete_folder
from ..capture.render_passes import Render, render_as_job
from ..capture.request import CaptureRequest
from ..properties.capture import CaptureProperties
from ..properties.datasets import remember_captured
from ..translations import tr
from ..typed import Context, classes_factory, scene_settings
from .reporting import reports_user_errors
from .stepped import RENDERING, SteppedRender, is_rendering

TICK_SECONDS = 0.03


class SPLATWRIGHT_OT_capture_dataset(CaptureProperties, SteppedRender, bpy.types.Operator):
    """Render the chosen views with their cameras, alpha and start points into a dataset folder"""

    bl_idname = "splatwright.capture_dataset"
    bl_label = "Capture Dataset"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        problem = "A capture is running: stop it first" if cls.progress is not None else RENDERING if is_rendering() else ""
        if problem:
            cls.poll_message_set(problem)
        return not problem and context.scene is not None

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        self._prepare(context, scene_settings(context.scene).capture.to_request(self.properties))
        self._report_finished(context, capture(context, self._request, self._tell))
        return {"FINISHED"}

    @reports_user_errors
    def invoke(self, context: Context, event: bpy.types.Event) -> set[str]:
        if bpy.app.background:
            return self.execute(context)
        self.start(context, scene_settings(context.scene).capture.to_request(self.properties), render_as_job)
        return {"RUNNING_MODAL"}

    def start(self, context: Context, request: CaptureRequest, render: Render) -> None:
        """Let a timer drive the capture."""
        self._prepare(context, request)
        steps = capture_steps(context, request, render, self._tell)
        self._show(context, next(steps))
        self.begin(context, steps, TICK_SECONDS)

    def advance(self, context: Context) -> None:
        """The next step; when it ends a view, the one after it too, so that the next render starts in the same turn."""
        before, progress = self.progress, next(self._steps)
        self._show(context, next(self._steps) if before and progress.done > before.done else progress)

    def give_up(self, context: Context) -> set[str]:
        done = self.progress.done if self.progress else 0
        self.cancel(context)
        self._note(context, incomplete_folder(self._request.directory), done, stopped=True)
        self.report({"WARNING"}, tr("Capture stopped: {done} views are kept as an incomplete dataset", done=done))
        return {"CANCELLED"}

    def complete(self, context: Context, result: Dataset) -> set[str]:
        self._report_finished(context, result)
        return {"FINISHED"}

    def _show(self, context: Context, progress: CaptureProgress) -> None:
        self.show(context, progress, progress.sentence)

    def _prepare(self, context: Context, request: CaptureRequest) -> None:
        """Remember what is asked for, and say what of it will be left out."""
        self._request, self._began = request, time.monotonic()
        self._told: list[str] = []
        for warning in capture_warnings(context, request):
            self._tell(warning)

    def _tell(self, warning: str) -> None:
        self._told.append(warning)
        self.report({"WARNING"}, warning)

    def _report_finished(self, context: Context, dataset: Dataset) -> None:
        remember_captured(context.scene, dataset.folder)
        self._note(context, dataset.folder, len(dataset.views))
        self.report({"INFO"}, tr("Captured {count} views into {folder} in {time}", count=len(dataset.views), folder=dataset.folder,
                                 time=duration(time.monotonic() - self._began)))

    def _note(self, context: Context, folder: Path, images: int, stopped: bool = False) -> None:
        """Let the panel say what came of it. The cameras of a finished capture have done their work."""
        settings = scene_settings(context.scene)
        settings.outcome.note(images, folder, time.monotonic() - self._began, self._told, stopped)
        settings.capture.show_rig &= stopped


class SPLATWRIGHT_OT_stop_capture(bpy.types.Operator):
    """Stop when the image that is being rendered is done; Esc does not wait for it. What was rendered is kept"""

    bl_idname = "splatwright.stop_capture"
    bl_label = "Stop"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return SPLATWRIGHT_OT_capture_dataset.progress is not None and not SPLATWRIGHT_OT_capture_dataset.stop_requested

    def execute(self, context: Context) -> set[str]:
        SPLATWRIGHT_OT_capture_dataset.stop_requested = True
        return {"FINISHED"}


register, unregister = classes_factory((SPLATWRIGHT_OT_capture_dataset, SPLATWRIGHT_OT_stop_capture))
