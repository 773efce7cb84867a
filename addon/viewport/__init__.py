"""True splats in the viewport, where Blender has none of its own.

`stage` finds the splat objects of a view layer, `cloud` brings their Gaussians to the graphics card, `order` sorts them in a
thread, `canvas` paints them with the `shaders`, and `drawing` does all this whenever Blender draws a viewport.
"""

from __future__ import annotations

from typing import Any

import bpy

from ..splats import display
from ..translations import tr
from ..typed import current_context
from ..ui.handlers import add_handlers, remove_handlers
from ..ui.redraw import redraw_viewports
from .drawing import ViewportDrawing

PATIENCE = 1 / 60
"""Seconds between looks at what is under way."""

running: ViewportDrawing | None = None
"""None before register(), and where Blender draws splats itself."""

_handle: Any = None


def failure() -> str:
    """Why nothing is drawn; empty without an error."""
    return running.failure if running is not None else ""


def look_at_work() -> float | None:
    """A timer, as long as splats are sorted or loaded: draw the viewports anew when a sort is finished, and for the next step."""
    if running is None:
        return None
    if any([sorter.take() for sorter in running.busy_sorters()]) or running.is_loading:
        redraw_viewports()
    return PATIENCE if running.busy_sorters() or running.is_loading else None


def _draw() -> None:
    """Blender calls this after it has drawn a viewport's scene."""
    if running is None:
        return
    try:
        running.draw(current_context())
    except ReferenceError:  # an object went without a word
        running.forget_stages()
    except Exception as error:  # Blender would print a traceback at every redraw
        running.failure = tr("Splats cannot be drawn in the viewport: {error}", error=error)
    if (running.busy_sorters() or running.is_loading) and not bpy.app.timers.is_registered(look_at_work):
        bpy.app.timers.register(look_at_work, first_interval=PATIENCE)


@bpy.app.handlers.persistent
def _on_update(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    if running is not None:
        running.changes.note(depsgraph)
        running.forget_stages()


@bpy.app.handlers.persistent
def _on_replaced_data(*_: Any) -> None:
    """Files and undo bring other data under the same names."""
    if running is not None:
        running.changes.forget()
        running.forget_stages()


_HANDLERS = (("depsgraph_update_post", _on_update), ("frame_change_post", _on_update), ("load_post", _on_replaced_data),
             ("undo_post", _on_replaced_data), ("redo_post", _on_replaced_data))


def register() -> None:
    global running, _handle
    if display.draws_natively():
        return
    running = ViewportDrawing()
    _handle = bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_VIEW")
    add_handlers(_HANDLERS)


def unregister() -> None:
    global running, _handle
    if running is None:
        return
    remove_handlers(_HANDLERS)
    if bpy.app.timers.is_registered(look_at_work):
        bpy.app.timers.unregister(look_at_work)
    bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
    running.close()
    running = _handle = None
