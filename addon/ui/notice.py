"""A message in Blender's status bar about something that came by itself, as operators' reports are shown there."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import StringProperty

from ..typed import Context, classes_factory, current_context, operators

SECONDS = 0.1


def inform(sentence: str) -> None:
    """Show a sentence where reports are shown. Timers and handlers call this; without a window nobody would see it."""
    windows = current_context().window_manager.windows
    if bpy.app.background or not windows:
        return
    with current_context().temp_override(window=windows[0]):
        operators().splatwright.notice("INVOKE_DEFAULT", sentence=sentence)


class SPLATWRIGHT_OT_notice(bpy.types.Operator):
    """Show a message"""

    bl_idname = "splatwright.notice"
    bl_label = "Notice"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    sentence: StringProperty(options={"SKIP_SAVE"})

    def invoke(self, context: Context, event: bpy.types.Event) -> set[str]:
        """Blender shows reports of operators that it has called itself: wait for its next event."""
        self._timer = context.window_manager.event_timer_add(SECONDS, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: bpy.types.Event) -> set[str]:
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        self.cancel(context)
        self.report({"INFO"}, self.sentence)
        return {"FINISHED"}

    def cancel(self, context: Context) -> None:
        """Blender calls this too, when it closes the window or opens another file."""
        context.window_manager.event_timer_remove(self._timer)


register, unregister = classes_factory((SPLATWRIGHT_OT_notice,))
