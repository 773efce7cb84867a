"""True splats in the viewport, where Blender has none of its own.

`stage` finds the splat objects of a view layer, `cloud` brings their Gaussians to the graphics card, `order` sorts them in a
thread, `canvas` paints them with the `shaders`, and this module calls them whenever a viewport is drawn.
"""

from __future__ import annotations

from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import bpy
import gpu
import numpy as np
from bpy.app.handlers import persistent

from .. import preview
from .canvas import Canvas, Eye, Outline, Painter, Scenery, depth_texture, entries_texture, marked
from .cloud import Cloud, upload
from .order import DepthSorter, Order
from .stage import Changes, Stage, set_stage

PATIENCE = 1 / 60
"""Seconds between two looks at a sort under way."""

MOST_VIEWPORTS = 16
"""Viewports whose state is kept; those closed long ago fall out."""


@dataclass
class Viewport:
    """What belongs to one region."""

    sorter: DepthSorter
    canvas: Canvas | None = None
    order: Order | None = None
    order_texture: gpu.types.GPUTexture | None = None


class Drawing:
    """Everything that lives as long as the drawing is switched on."""

    def __init__(self) -> None:
        self.failure = ""
        self.changes = Changes()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="splatwright-sort")
        self._painter = Painter()
        self._stages: dict[Hashable, Stage] = {}
        self._clouds: dict[Hashable, Cloud] = {}
        self._viewports: dict[int, Viewport] = {}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the splats that the viewport of `context` sees; once it has failed, nothing."""
        space = context.space_data
        if self.failure or not shows_splats(context.scene, space):
            return
        stage = self._stage(context)
        visible = tuple(placement for placement in stage.placements if placement.is_visible(space))
        if not visible:
            return
        cloud = self._cloud(context, stage)
        scenery = Scenery(cloud, visible, *marked(visible, context.view_layer.objects.active))
        self._draw_scenery(context, scenery)

    def _draw_scenery(self, context: bpy.types.Context, scenery: Scenery) -> None:
        eye = eye_of(context.region, context.region_data)
        viewport = self._viewport(context.region, eye)
        order = viewport.sorter.newest(scenery.sort_request(eye))
        if order is not viewport.order:
            viewport.order, viewport.order_texture = order, entries_texture(order)
        depths = gpu.state.active_framebuffer_get().read_depth(0, 0, eye.width, eye.height)
        self._painter.paint(viewport.canvas, scenery, order, viewport.order_texture, eye, depth_texture(depths, eye.width, eye.height))
        self._painter.composite(viewport.canvas, outline_of(context))
        if viewport.sorter.is_busy and not bpy.app.timers.is_registered(look_at_sorts):
            bpy.app.timers.register(look_at_sorts, first_interval=PATIENCE)

    def forget_stages(self) -> None:
        """Objects moved, came, went or changed."""
        self._stages.clear()

    def sorts(self) -> list[DepthSorter]:
        """The sorts that are under way."""
        return [viewport.sorter for viewport in self._viewports.values() if viewport.sorter.is_busy]

    def close(self) -> None:
        """Free the graphics card's memory and end the thread."""
        self._executor.shutdown(cancel_futures=True)
        for kept in (self._stages, self._clouds, self._viewports):
            kept.clear()

    def _stage(self, context: bpy.types.Context) -> Stage:
        key = _layer_key(context)
        if key not in self._stages:
            self._stages[key] = set_stage(context.evaluated_depsgraph_get(), self.changes)
        return self._stages[key]

    def _cloud(self, context: bpy.types.Context, stage: Stage) -> Cloud:
        key = _layer_key(context)
        found = self._clouds.get(key)
        if found is None or found.keys != tuple(source.key for source in stage.sources):
            self._clouds.pop(key, None)  # free the old one first
            self._clouds[key] = found = upload(stage.sources)
        return found

    def _viewport(self, region: bpy.types.Region, eye: Eye) -> Viewport:
        key = region.as_pointer()
        found = self._viewports.pop(key, None) or Viewport(DepthSorter(self._executor))
        self._viewports[key] = found  # the newest at the end
        if len(self._viewports) > MOST_VIEWPORTS:
            del self._viewports[next(iter(self._viewports))]
        if found.canvas is None or found.canvas.size != (eye.width, eye.height):
            found.canvas = Canvas(eye.width, eye.height)
        return found


def shows_splats(scene: bpy.types.Scene, space: bpy.types.SpaceView3D) -> bool:
    """Whether splats are drawn in a viewport: not where a renderer draws them with their material."""
    return space.show_object_viewport_pointcloud and space.shading.type in ("SOLID", "WIREFRAME")


def eye_of(region: bpy.types.Region, view: bpy.types.RegionView3D) -> Eye:
    """The camera of a viewport."""
    return Eye(np.array(view.view_matrix, float), np.array(view.window_matrix, float), region.width, region.height)


def outline_of(context: bpy.types.Context) -> Outline:
    """As the theme and the viewport's overlays want it."""
    overlay, theme = context.space_data.overlay, context.preferences.themes[0].view_3d
    width = max(1, round(context.preferences.system.pixel_size)) if overlay.show_overlays and overlay.show_outline_selected else 0
    return Outline(tuple(theme.object_selected), tuple(theme.object_active), width)


def failure() -> str:
    """Why nothing is drawn; empty when all is well."""
    return _drawing.failure if _drawing is not None else ""


def look_at_sorts() -> float | None:
    """A timer: draw the viewports anew when an order is finished."""
    if _drawing is None:
        return None
    sorts = _drawing.sorts()
    if any(sort.has_news for sort in sorts):
        redraw_viewports()
    return PATIENCE if sorts else None


def redraw_viewports() -> None:
    """Draw all 3D viewports anew."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


def _layer_key(context: bpy.types.Context) -> Hashable:
    return context.scene.session_uid, context.view_layer.name


_drawing: Drawing | None = None
_handle: Any = None


def _draw() -> None:
    if _drawing is None:
        return
    try:
        _drawing.draw(bpy.context)
    except ReferenceError:  # an object went without a word
        _drawing.forget_stages()
    except Exception as error:  # Blender would print a traceback at every redraw
        _drawing.failure = f"Splats cannot be drawn in the viewport: {error}"


@persistent
def _on_update(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    if _drawing is not None:
        _drawing.changes.note(depsgraph)
        _drawing.forget_stages()


@persistent
def _on_replaced_data(*_: Any) -> None:
    """Files and undo bring other data under the same names."""
    if _drawing is not None:
        _drawing.changes.forget()
        _drawing.forget_stages()


def _hooks() -> list[tuple[list[Any], Any]]:
    handlers = bpy.app.handlers
    updates = [(found, _on_update) for found in (handlers.depsgraph_update_post, handlers.frame_change_post)]
    return updates + [(found, _on_replaced_data) for found in (handlers.load_post, handlers.undo_post, handlers.redo_post)]


def register() -> None:
    global _drawing, _handle
    if preview.draws_natively():
        return
    _drawing = Drawing()
    _handle = bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_VIEW")
    for handlers, function in _hooks():
        handlers.append(function)


def unregister() -> None:
    global _drawing, _handle
    if _drawing is None:
        return
    for handlers, function in _hooks():
        handlers.remove(function)
    if bpy.app.timers.is_registered(look_at_sorts):
        bpy.app.timers.unregister(look_at_sorts)
    bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
    _drawing.close()
    _drawing = _handle = None
