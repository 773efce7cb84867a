"""What operators share whose work is a generator: a timer takes its steps while the interface goes on."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

import bpy

from ..redraw import redraw_sidebars


class Stepped:
    """Mixed into modal operators. The status bar says how far the work is; modal() decides what Esc does."""

    progress: ClassVar[Any] = None
    """Of the work that runs now, None when none does; panels may show it."""

    def begin(self, context: bpy.types.Context, steps: Generator[Any, None, Any], seconds: float) -> None:
        """Let a timer ring for the next step every so many seconds."""
        self._steps = steps
        self._timer = context.window_manager.event_timer_add(seconds, window=context.window)
        context.window_manager.modal_handler_add(self)

    def show(self, context: bpy.types.Context, progress: Any, sentence: str) -> None:
        """Say how far the work is."""
        type(self).progress = progress
        redraw_sidebars()
        context.workspace.status_text_set(f"Splatwright: {sentence}  |  Esc: Stop")

    def cancel(self, context: bpy.types.Context) -> None:
        """End the work. Blender calls this too, when it closes the window or opens another file."""
        if type(self).progress is not None:
            type(self).progress = None
            redraw_sidebars()
            context.window_manager.event_timer_remove(self._timer)
            context.workspace.status_text_set(None)
            self._steps.close()
