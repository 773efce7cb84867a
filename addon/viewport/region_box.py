"""The region of the next training, in the viewport: a wire box around the object that was chosen for it."""

from __future__ import annotations

from typing import Any

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from ...engine.core.errors import UserError
from ...engine.core.splats.region import CORNERS, EDGES
from ..jobs.training_spec import box_of
from ..typed import Context, current_context, scene_settings, untyped

COLOR = (0.2, 0.8, 1.0, 1.0)
LINE_WIDTH = 1.5

_handles: list[Any] = []


def box_lines(scene: bpy.types.Scene) -> np.ndarray | None:
    """Ends [24, 3] of the lines of the region's box in the scene, two for each; None without a region, or for one without a size."""
    chosen = scene_settings(scene).train.region
    if chosen is None:
        return None
    try:
        matrix = np.array(box_of(chosen))
    except UserError:  # Train says it
        return None
    corners = CORNERS @ matrix[:3, :3].T + matrix[:3, 3]
    return corners[np.array(EDGES).ravel()].astype(np.float32)


def draw_box(context: Context) -> None:
    """Draw it into the viewport that Blender draws, where overlays are shown."""
    lines = box_lines(context.scene) if context.space_data.overlay.show_overlays else None
    if lines is None:
        return
    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    batch = batch_for_shader(shader, "LINES", untyped({"pos": lines}))
    shader.bind()
    shader.uniform_float("viewportSize", untyped(gpu.state).viewport_get()[2:])
    shader.uniform_float("lineWidth", LINE_WIDTH * context.preferences.system.pixel_size)
    shader.uniform_float("color", COLOR)
    gpu.state.depth_test_set("LESS_EQUAL")
    batch.draw(shader)
    gpu.state.depth_test_set("NONE")


def _draw() -> None:
    """Blender calls this when it draws a viewport."""
    draw_box(current_context())


def register() -> None:
    _handles.append(bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_VIEW"))


def unregister() -> None:
    while _handles:
        bpy.types.SpaceView3D.draw_handler_remove(_handles.pop(), "WINDOW")
