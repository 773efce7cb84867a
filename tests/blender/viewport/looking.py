"""A viewport without a window: the drawing's own code with a region, a camera and a framebuffer that a test chooses."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader
from mathutils import Matrix

from engine.core.cameras.camera import Camera
from engine.training.cpu.model import CpuModel
from tests.blender.conftest import module
from tests.blender.viewport.graphics import with_graphics
from tests.scenes import look_at
from tests.untyped import bpy

WIDTH, HEIGHT = 160, 120
NEAR, FAR = 0.1, 100.0


@dataclass(frozen=True)
class Region:
    """What the drawing asks of a region."""

    width: int = WIDTH
    height: int = HEIGHT

    def as_pointer(self) -> int:
        return 1


def camera(position: tuple[float, float, float] = (3, -2, 1.5), focal: float = 160.0) -> Camera:
    """A camera that looks at the origin."""
    return Camera(WIDTH, HEIGHT, focal, focal, WIDTH / 2, HEIGHT / 2, look_at(np.array(position, float)))


def perspective(view: Camera) -> np.ndarray:
    """OpenGL's projection of a pinhole camera."""
    depth = (FAR + NEAR) / (NEAR - FAR), 2 * FAR * NEAR / (NEAR - FAR)
    return np.array([[2 * view.fl_x / view.width, 0, 1 - 2 * view.cx / view.width, 0],
                     [0, 2 * view.fl_y / view.height, 2 * view.cy / view.height - 1, 0], [0, 0, *depth], [0, 0, -1, 0]])


def orthographic(height: float) -> np.ndarray:
    """OpenGL's projection of a view that is `height` units high."""
    return np.diag([2 * HEIGHT / (height * WIDTH), 2 / height, -1 / FAR, 1.0])


def look(view: Camera, projection: np.ndarray | None = None, wall: float = 1.0) -> np.ndarray:
    """What the viewport shows of the scene: premultiplied display colours [H, W, 4]. `wall` is the depth of everything else, 0 to 1.

    The wall is no object of the scene, so that the drawing is told to look again. Where it sorts anew, what it shows then.
    """
    running = module("addon.viewport").running
    running.forget_stages()
    shown = look_again(view, projection, wall)
    while running.busy_sorters():
        if any([sorter.take() for sorter in running.busy_sorters()]):
            shown = look_again(view, projection, wall)
    return shown


def look_again(view: Camera, projection: np.ndarray | None = None, wall: float = 1.0) -> np.ndarray:
    """As look(), where the wall stands as it stood before."""
    bpy.context.view_layer.update()
    matrix = perspective(view) if projection is None else projection
    eye = SimpleNamespace(view_matrix=Matrix(np.linalg.inv(view.camera_to_world).tolist()), window_matrix=Matrix(matrix.tolist()))
    light = with_graphics(lambda: _drawn(eye, wall))
    alpha = light[..., 3:]
    straight = np.where(alpha > 0, light[..., :3] / np.maximum(alpha, 1e-9), 0).clip(0, 1) ** (1 / 2.2)  # as Blender encodes overlays
    return np.concatenate([straight * alpha, alpha], axis=2)


def wall_depth(distance: float) -> float:
    """The depth buffer's value, 0 to 1, of something in front of a perspective camera."""
    return (1 / NEAR - 1 / distance) / (1 / NEAR - 1 / FAR)


def truth(gaussians: Any, view: Camera, antialiased: bool = False) -> np.ndarray:
    """What the trainer sees: premultiplied display colours [H, W, 4], none brighter than white."""
    model = CpuModel(gaussians, 1, antialiased)
    seen = model.render(view, gaussians.sh_degree, (0.0, 0.0, 0.0))
    model.close()
    return np.dstack([np.minimum(seen.rgb, seen.alpha[..., None]), seen.alpha])


def space() -> bpy.types.SpaceView3D:
    """A viewport of Blender's screen, which a Blender without a window has too."""
    screen = bpy.context.window_manager.windows[0].screen
    return next(area.spaces.active for area in screen.areas if area.type == "VIEW_3D")


def _drawn(eye: SimpleNamespace, wall: float) -> np.ndarray:
    context = SimpleNamespace(
        scene=bpy.context.scene, view_layer=bpy.context.view_layer, preferences=bpy.context.preferences, space_data=space(),
        region=Region(), region_data=eye, evaluated_depsgraph_get=bpy.context.evaluated_depsgraph_get)
    screen = gpu.types.GPUOffScreen(WIDTH, HEIGHT, format="RGBA32F")
    with screen.bind():
        framebuffer = gpu.state.active_framebuffer_get()
        framebuffer.clear(color=(0.0, 0.0, 0.0, 0.0), depth=1.0)
        _build_wall(2 * wall - 1)
        framebuffer.clear(color=(0.0, 0.0, 0.0, 0.0))
        module("addon.viewport").running.draw(context)
        buffer = framebuffer.read_color(0, 0, WIDTH, HEIGHT, 4, 0, "FLOAT")
    buffer.dimensions = WIDTH * HEIGHT * 4
    pixels = np.array(buffer, np.float32).reshape(HEIGHT, WIDTH, 4)[::-1]
    screen.free()
    return pixels


def _build_wall(depth: float) -> None:
    """Fill the depth buffer."""
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    corners = [(-1, -1, depth), (1, -1, depth), (-1, 1, depth), (1, 1, depth)]
    batch = batch_for_shader(shader, "TRI_STRIP", {"pos": corners})
    gpu.state.depth_test_set("ALWAYS")
    gpu.state.depth_mask_set(True)
    with gpu.matrix.push_pop(), gpu.matrix.push_pop_projection():
        gpu.matrix.load_identity()
        gpu.matrix.load_projection_matrix(Matrix.Identity(4))
        shader.uniform_float("color", (1.0, 1.0, 1.0, 1.0))
        batch.draw(shader)
    gpu.state.depth_mask_set(False)
    gpu.state.depth_test_set("NONE")
