"""One line, once: after the extension is enabled for the first time the status bar says where its panels are."""

from __future__ import annotations

from contextlib import suppress

import bpy

from .engines.locations import preferences
from .typed import current_context
from .ui.background import start_timer, stop_timers

WHERE = "Splatwright is in the sidebar of the 3D viewport: press N there, then the tab Splats"
SECONDS = 20.0


def say_once() -> None:
    """For a timer: while an extension is enabled Blender has no window to say it in."""
    with suppress(KeyError):  # disabled meanwhile
        if not preferences().welcomed:
            preferences().welcomed = True
            _show(WHERE)
            start_timer(be_silent, SECONDS)


def be_silent() -> None:
    """For a timer: the status bar is Blender's again."""
    _show(None)


def _show(text: str | None) -> None:
    for window in current_context().window_manager.windows:
        window.workspace.status_text_set(text)


def register() -> None:
    if not bpy.app.background:
        start_timer(say_once, 0.5)


def unregister() -> None:
    if bpy.app.timers.is_registered(be_silent):
        be_silent()
    stop_timers(say_once, be_silent)
