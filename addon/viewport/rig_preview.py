"""The cameras that Capture would take now, drawn as wire in viewports whose sidebar shows the panel Capture.

Renders never show them, those of viewports included. The plan is made anew a moment after the settings or the scene have
changed, in slices, and the lines are kept until then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any

import blf
import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from ...engine.core.cameras.camera import Camera
from ...engine.core.errors import UserError
from ..capture import capture
from ..capture.rig_plan import Placing, PlanSteps, RigPlan, plan_steps
from ..splats.splat_object import is_splat_object
from ..translations import tr
from ..typed import Context, current_context, scene_settings, untyped
from ..ui.background import start_timer, stop_timers
from ..ui.handlers import add_handlers, remove_handlers
from ..ui.redraw import redraw_sidebars, redraw_viewports

TAB = "Splats"
COLORS = {
    Placing.WELL: (0.45, 0.75, 1.0, 0.7),
    Placing.MOVED: (1.0, 0.75, 0.15, 0.9),
    Placing.LEFT_OUT: (1.0, 0.25, 0.2, 0.9),
    Placing.INSIDE: (1.0, 0.25, 0.2, 0.9),
}
SIZE = 0.05
"""Depth of a drawn frustum, as a share of the rig's extent."""

ALONE = 0.5
"""Depth where all cameras stand at one place."""

QUIET_SECONDS = 0.25
"""The scene must not have changed for so long before a new plan is begun."""

SLICE_SECONDS, NEXT_SLICE_SECONDS, TICK_SECONDS = 0.01, 0.002, 0.05
LINE_WIDTH, TEXT_SIZE, TEXT_MARGIN = 1.0, 12, 16
IRRELEVANT = (bpy.types.PointCloud, bpy.types.Image, bpy.types.World, bpy.types.Screen, bpy.types.WindowManager, bpy.types.Text)
"""Kinds of data whose changes move no camera of a rig."""

CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
EDGES = np.array([[0, 1], [0, 2], [0, 3], [0, 4], [1, 2], [2, 3], [3, 4], [4, 1], [5, 6], [6, 7]])
"""Lines between a frustum's points: its tip, the corners of its image, and three of a mark above it."""


class RigPreview:
    """The plan that is shown, why there is none, and the next one while it is made."""

    def __init__(self) -> None:
        self.plan: RigPlan | None = None
        self.problem = ""
        self.failure = ""
        self.plans_made = 0
        """how many so far: none is made while nothing changes"""
        self._key: Hashable = None
        self._wanted: Hashable = None
        self._place: Hashable = None
        self._changed = 0.0
        self._steps: PlanSteps | None = None
        self._batch: gpu.types.GPUBatch | None = None

    def note_change(self) -> None:
        """The scene is another one than before: the plan is old, and one that is being made is given up."""
        self._key, self._steps, self._changed = None, None, time.monotonic()

    def is_of(self, context: Context) -> bool:
        """Whether the plan, or the problem, is about the view layer of a context."""
        return self._place == _place_of(context)

    def want(self, context: Context) -> None:
        """Somebody looks at the rig of a context: let the timer make a new plan if this one is old."""
        if not capture.is_running() and _key_of(context) != self._key:
            start_timer(poll, TICK_SECONDS)

    def advance(self, context: Context) -> float | None:
        """One slice of work at the next plan; the seconds to the following one, None when there is nothing to do."""
        key = _key_of(context)
        if capture.is_running() or key == self._key:
            return None
        if key != self._wanted:
            self._wanted, self._steps = key, None
        if time.monotonic() < self._changed + QUIET_SECONDS or _is_playing(context):
            return TICK_SECONDS
        end = time.perf_counter() + SLICE_SECONDS
        try:
            steps = self._steps = self._steps or plan_steps(context, scene_settings(context.scene).capture.rig_request())
            next(steps)
            while time.perf_counter() < end:
                next(steps)
        except StopIteration as done:
            self._take(context, done.value, "")
        except UserError as error:
            self._take(context, None, str(error))
        else:
            return NEXT_SLICE_SECONDS
        return None

    def _take(self, context: Context, plan: RigPlan | None, problem: str) -> None:
        self.plan, self.problem, self._key, self._place = plan, problem, self._wanted, _place_of(context)
        self._steps = self._batch = None
        self.plans_made += 1
        redraw_sidebars()
        redraw_viewports()

    def draw_lines(self, plan: RigPlan, pixel_size: float) -> None:
        """Draw the cameras of the plan into the viewport that Blender draws."""
        shader = gpu.shader.from_builtin("POLYLINE_FLAT_COLOR")
        if self._batch is None:
            places, colors = rig_lines(plan)
            self._batch = batch_for_shader(shader, "LINES", untyped({"pos": places, "color": colors}))
        shader.bind()
        shader.uniform_float("viewportSize", untyped(gpu.state).viewport_get()[2:])
        shader.uniform_float("lineWidth", LINE_WIDTH * pixel_size)
        gpu.state.blend_set("ALPHA")
        gpu.state.depth_test_set("LESS_EQUAL")
        self._batch.draw(shader)
        gpu.state.depth_test_set("NONE")
        gpu.state.blend_set("NONE")


preview = RigPreview()
_handles: list[Any] = []
_open: dict[int, bool] = {}
"""By area: whether the panel Capture is unfolded in its sidebar, as it was drawn last."""


def poll() -> float | None:
    """A timer, while a plan is made."""
    try:
        return preview.advance(current_context())
    except Exception as error:  # a timer would print a traceback, and every redraw would begin another one
        preview.failure = tr("The cameras cannot be drawn in the viewport: {error}", error=error)
        return None


def note_panel(area: bpy.types.Area | None, unfolded: bool) -> None:
    """The panel Capture tells this whenever it is drawn: first its header, then what is below it."""
    if area is not None:
        before = _open.get(area.as_pointer(), False)
        _open[area.as_pointer()] = unfolded
        if unfolded and not before:
            start_timer(redraw_viewports, 0.0)


def is_shown(context: Context) -> bool:
    """Whether a viewport draws the rig: overlays are on, its sidebar shows the panel, and Show Cameras is on."""
    area, space = context.area, context.space_data
    if area is None or not space.overlay.show_overlays or not space.show_region_ui or not scene_settings(context.scene).capture.show_rig:
        return False
    sidebar = next((region for region in area.regions if region.type == "UI"), None)
    return sidebar is not None and untyped(sidebar).active_panel_category == TAB and _open.get(area.as_pointer(), False)


def rig_lines(plan: RigPlan) -> tuple[np.ndarray, np.ndarray]:
    """Ends [L, 3] of the lines that show a rig's cameras, two for each line, and their colours [L, 4]; both float32."""
    places = np.stack([planned.camera.position for planned in plan.cameras])
    size = SIZE * float(np.linalg.norm(np.ptp(places, axis=0))) or ALONE
    lines = np.concatenate([_frustum(planned.camera, size)[EDGES.ravel()] for planned in plan.cameras])
    colors = np.repeat([COLORS[planned.placing] for planned in plan.cameras], EDGES.size, axis=0)
    return lines.astype(np.float32), colors.astype(np.float32)


def _frustum(camera: Camera, size: float) -> np.ndarray:
    """Points [8, 3] of a frustum in the world, as EDGES joins them."""
    width, height = camera.width, camera.height
    mark = np.array([[0.3 * width, -0.05 * height], [0.5 * width, -0.3 * height], [0.7 * width, -0.05 * height]])
    pixels = np.concatenate([CORNERS * [width, height], mark])
    depth = np.full(len(pixels), size)
    return np.concatenate([camera.position[None], camera.unproject(pixels, depth)])


def _draw(paint: Callable[[Context, RigPlan], None]) -> None:
    """Blender calls this when it draws a viewport."""
    context = current_context()
    if preview.failure or not is_shown(context) or _renders(context):
        return
    try:
        preview.want(context)
        if preview.plan is not None and preview.plan.cameras and preview.is_of(context):
            paint(context, preview.plan)
    except Exception as error:  # Blender would print a traceback at every redraw
        preview.failure = tr("The cameras cannot be drawn in the viewport: {error}", error=error)


def _renders(context: Context) -> bool:
    """Whether Blender draws a picture of the viewport instead of the viewport itself: its region lies at the window's corner meanwhile, and
    is as large as the picture.
    """
    area, region = untyped(context).area, untyped(context).region
    return (region.x < area.x or region.y < area.y or region.x + region.width > area.x + area.width
            or region.y + region.height > area.y + area.height)


def _paint_lines(context: Context, plan: RigPlan) -> None:
    preview.draw_lines(plan, context.preferences.system.pixel_size)


def _paint_text(context: Context, plan: RigPlan) -> None:
    """How many cameras there are, at the bottom of the viewport."""
    scale, region = context.preferences.system.ui_scale, untyped(context).region
    blf.size(0, TEXT_SIZE * scale)
    width, _ = blf.dimensions(0, plan.label)
    blf.enable(0, blf.SHADOW)
    blf.shadow(0, 3, 0.0, 0.0, 0.0, 0.8)
    untyped(blf).color(0, *context.preferences.themes[0].view_3d.space.text_hi, 1.0)
    blf.position(0, (region.width - width) / 2, TEXT_MARGIN * scale, 0)
    blf.draw(0, plan.label)
    blf.disable(0, blf.SHADOW)


def _key_of(context: Context) -> Hashable:
    """What decides on the rig besides the scene's objects."""
    scene, render = context.scene, context.scene.render
    with suppress(ReferenceError):
        request = scene_settings(scene).capture.rig_request()
        return (_place_of(context), request, render.resolution_x, render.resolution_y, render.resolution_percentage,
                render.pixel_aspect_x, render.pixel_aspect_y, render.engine, scene.frame_start, scene.frame_end)
    return None


def _place_of(context: Context) -> Hashable:
    return context.scene.session_uid, context.view_layer.name


def _is_playing(context: Context) -> bool:
    return any(window.screen.is_animation_playing for window in context.window_manager.windows)


@bpy.app.handlers.persistent
def _on_update(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    if not capture.is_running() and any(_moves_cameras(untyped(update).id) for update in depsgraph.updates):
        preview.note_change()


@bpy.app.handlers.persistent
def _on_replaced_data(*_: Any) -> None:
    """Files, undo and other frames."""
    preview.note_change()


def _moves_cameras(changed: bpy.types.ID) -> bool:
    return not isinstance(changed, IRRELEVANT) and not (isinstance(changed, bpy.types.Object) and is_splat_object(changed))


_HANDLERS = (("depsgraph_update_post", _on_update), ("load_post", _on_replaced_data), ("undo_post", _on_replaced_data),
             ("redo_post", _on_replaced_data), ("frame_change_post", _on_replaced_data))


def register() -> None:
    for paint, when in ((_paint_lines, "POST_VIEW"), (_paint_text, "POST_PIXEL")):
        _handles.append(bpy.types.SpaceView3D.draw_handler_add(_draw, (paint,), "WINDOW", when))
    add_handlers(_HANDLERS)


def unregister() -> None:
    global preview
    remove_handlers(_HANDLERS)
    while _handles:
        bpy.types.SpaceView3D.draw_handler_remove(_handles.pop(), "WINDOW")
    stop_timers(poll, redraw_viewports)
    _open.clear()
    preview = RigPreview()
