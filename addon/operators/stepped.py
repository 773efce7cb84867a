"""What operators share whose work is a generator: a timer takes its steps while the interface goes on."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

import bpy

from ..capture.capture import is_running as is_capturing
from ..capture.render_passes import RenderStopped
from ..translations import tr
from ..typed import Context, OperatorMixin
from ..ui.redraw import redraw_sidebars
from .navigation import is_left_to_blender
from .reporting import reports_user_errors

RENDERING = "Something is being rendered: wait for it, or stop it first"


def is_rendering() -> bool:
    """Whether Blender renders, or captures with pauses between the images: no other render may begin."""
    return bpy.app.is_job_running("RENDER") or is_capturing()


class Stepped(OperatorMixin):
    """Mixed into modal operators. The status bar says how far the work is; modal() decides what Esc does."""

    progress: ClassVar[Any] = None
    """Of the work that runs now, None when none does; panels may show it."""

    sentence: ClassVar[str] = ""
    """What the status bar says of it"""

    def begin(self, context: Context, steps: Generator[Any, None, Any], seconds: float) -> None:
        """Let a timer ring for the next step every so many seconds."""
        self._steps = steps
        self._timer = context.window_manager.event_timer_add(seconds, window=context.window)
        context.window_manager.modal_handler_add(self)

    def show(self, context: Context, progress: Any, sentence: str) -> None:
        """Say how far the work is."""
        if (progress, sentence) == (self.progress, self.sentence):
            return
        type(self).progress, type(self).sentence = progress, sentence
        redraw_sidebars()
        context.workspace.status_text_set(tr("Splatwright: {sentence}  |  Esc: Stop", sentence=tr(sentence)))

    def cancel(self, context: Context) -> None:
        """End the work. Blender calls this too, when it closes the window or opens another file."""
        if type(self).progress is not None:
            type(self).progress = None
            redraw_sidebars()
            context.window_manager.event_timer_remove(self._timer)
            context.workspace.status_text_set(None)
            self._steps.close()


class SteppedRender(Stepped):
    """Stepped work that renders. It stops when the current render has ended: its settings must not change meanwhile. Esc ends that at once.

    Viewports can be navigated meanwhile, and sidebars used; all other input is held back, for it could change what is rendered.
    """

    stop_requested: ClassVar[bool] = False
    """Set by a button."""

    def begin(self, context: Context, steps: Generator[Any, None, Any], seconds: float) -> None:
        type(self).stop_requested = False
        super().begin(context, steps, seconds)

    @reports_user_errors
    def modal(self, context: Context, event: bpy.types.Event) -> set[str]:
        type(self).stop_requested |= event.type == "ESC"
        if event.type != "TIMER":
            return {"PASS_THROUGH"} if is_left_to_blender(context, event) else {"RUNNING_MODAL"}
        try:
            return self._turn(context)
        except BaseException:
            self.cancel(context)
            raise

    def _turn(self, context: Context) -> set[str]:
        """One turn of the timer."""
        try:
            if self.stop_requested and not bpy.app.is_job_running("RENDER"):
                raise RenderStopped
            self.advance(context)
        except RenderStopped:
            return self.give_up(context)
        except StopIteration as end:
            self.cancel(context)
            return self.complete(context, end.value)
        return {"PASS_THROUGH"}  # panels that grow or shrink move by timers of their own

    def advance(self, context: Context) -> None:
        """Take the next step."""
        next(self._steps)

    def give_up(self, context: Context) -> set[str]:
        """Esc was pressed: end the work and report what is kept."""
        raise NotImplementedError

    def complete(self, context: Context, result: Any) -> set[str]:
        """The work is done."""
        raise NotImplementedError
