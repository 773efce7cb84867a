"""Instant Splats: what the camera sees, as splats, in the time of one render."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import IntProperty

from ...engine.core.splats.from_depth import MOST
from ..cameras import camera_at
from ..capture.instant_splats import instant_splats, instant_steps
from ..capture.render_passes import render_as_job
from ..translations import tr
from ..typed import Context, classes_factory, point_cloud
from .reporting import reports_user_errors
from .selected import select_alone
from .stepped import RENDERING, SteppedRender, is_rendering

TICK_SECONDS = 0.05


class SPLATWRIGHT_OT_instant_splats(SteppedRender, bpy.types.Operator):
    """Render the scene's camera once and turn every pixel into a splat where its surface is: no training, seen from one side"""

    bl_idname = "splatwright.instant_splats"
    bl_label = "Instant Splats"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    most: IntProperty(name="Max Splats", default=MOST, min=100, soft_max=2_000_000, description="Fewer splats stand for larger areas")

    @classmethod
    def poll(cls, context: Context) -> bool:
        problem = ("Splats are being made: press Esc to stop it" if cls.progress is not None else RENDERING if is_rendering()
                   else "" if camera_at(context.scene, context.scene.frame_current) else "The scene has no camera")
        if problem:
            cls.poll_message_set(problem)
        return not problem

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        return self.complete(context, instant_splats(context, self.most))

    def invoke(self, context: Context, event: bpy.types.Event) -> set[str]:
        if bpy.app.background:
            return self.execute(context)
        self.show(context, 0.0, "rendering")
        self.begin(context, instant_steps(context, self.most, render_as_job), TICK_SECONDS)
        return {"RUNNING_MODAL"}

    def give_up(self, context: Context) -> set[str]:
        self.cancel(context)
        self.report({"WARNING"}, "Stopped: no splats were made")
        return {"CANCELLED"}

    def complete(self, context: Context, result: bpy.types.Object) -> set[str]:
        if context.mode == "OBJECT":
            select_alone(context, result)
        self.report({"INFO"}, tr("{count:,} splats of what the camera sees", count=len(point_cloud(result).points)))
        return {"FINISHED"}


register, unregister = classes_factory((SPLATWRIGHT_OT_instant_splats,))
