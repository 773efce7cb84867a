"""Capture Dataset: renders the scene from many cameras into a folder that a training reads."""

from typing import ClassVar

import bpy

from ...engine.core.datasets.dataset import Dataset
from ..capture.capture import CaptureProgress, CaptureSteps, capture, capture_steps, capture_warnings
from ..capture.render_passes import render_as_job
from ..capture.request import CaptureRequest
from ..properties import CaptureProperties, remember_captured
from ..translations import tr
from ..typed import Context, classes_factory, scene_settings
from .reporting import reports_user_errors
from .stepped import SteppedRender

TICK_SECONDS = 0.1


class SPLATWRIGHT_OT_capture_dataset(CaptureProperties, SteppedRender, bpy.types.Operator):
    """Render the chosen views with their cameras, alpha and start points into a dataset folder"""

    bl_idname = "splatwright.capture_dataset"
    bl_label = "Capture Dataset"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        if cls.progress is not None:
            cls.poll_message_set("A capture is running: press Esc to stop it")
        return cls.progress is None and context.scene is not None

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        request = self._request(context)
        self._warn(context, request)
        self._report_finished(context, capture(context, request, self._tell))
        return {"FINISHED"}

    @reports_user_errors
    def invoke(self, context: Context, event: bpy.types.Event) -> set[str]:
        if bpy.app.background:
            return self.execute(context)
        request = self._request(context)
        self._warn(context, request)
        self.start(context, capture_steps(context, request, render_as_job, self._tell))
        return {"RUNNING_MODAL"}

    def start(self, context: Context, steps: CaptureSteps) -> None:
        """Let a timer drive `steps`."""
        self._show(context, next(steps))
        self.begin(context, steps, TICK_SECONDS)

    def advance(self, context: Context) -> None:
        """The next step; when it ends a view, the one after it too, so that the next render starts in the same turn."""
        before, progress = self.progress, next(self._steps)
        self._show(context, next(self._steps) if before and progress.done > before.done else progress)

    def give_up(self, context: Context) -> set[str]:
        done = self.progress.done if self.progress else 0
        self.cancel(context)
        self.report({"WARNING"}, tr("Capture stopped: {done} views are kept as an incomplete dataset", done=done))
        return {"CANCELLED"}

    def complete(self, context: Context, result: Dataset) -> set[str]:
        self._report_finished(context, result)
        return {"FINISHED"}

    def _show(self, context: Context, progress: CaptureProgress) -> None:
        self.show(context, progress, progress.sentence)

    def _request(self, context: Context) -> CaptureRequest:
        return scene_settings(context.scene).capture.to_request(self.properties)

    def _warn(self, context: Context, request: CaptureRequest) -> None:
        for warning in capture_warnings(context, request):
            self._tell(warning)

    def _tell(self, warning: str) -> None:
        self.report({"WARNING"}, warning)

    def _report_finished(self, context: Context, dataset: Dataset) -> None:
        remember_captured(context.scene, dataset.folder)
        self.report({"INFO"}, tr("Captured {count} views into {folder}", count=len(dataset.views), folder=dataset.folder))


register, unregister = classes_factory((SPLATWRIGHT_OT_capture_dataset,))
