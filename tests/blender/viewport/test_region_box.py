"""The region of the next training in the viewport, drawn into an offscreen and looked at by its pixels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gpu
import numpy as np
import pytest
from mathutils import Matrix

from tests.blender.conftest import module
from tests.blender.viewport.graphics import why_no_graphics, with_graphics
from tests.blender.viewport.looking import HEIGHT, WIDTH, camera, perspective
from tests.untyped import bpy

VIEW = camera((4, -3, 2))


@pytest.fixture
def box(fresh_scene: Any) -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add(size=1)
    made = bpy.context.object
    made.rotation_euler = (0, 0, 0.5)
    bpy.context.view_layer.update()
    return made


def drawn(overlays: bool = True) -> np.ndarray:
    """What is drawn, [H, W, 4]."""
    def work() -> np.ndarray:
        screen = gpu.types.GPUOffScreen(WIDTH, HEIGHT, format="RGBA32F")
        context = SimpleNamespace(scene=bpy.context.scene, preferences=bpy.context.preferences,
                                  space_data=SimpleNamespace(overlay=SimpleNamespace(show_overlays=overlays)))
        with screen.bind():
            framebuffer = gpu.state.active_framebuffer_get()
            framebuffer.clear(color=(0.0, 0.0, 0.0, 0.0), depth=1.0)
            with gpu.matrix.push_pop(), gpu.matrix.push_pop_projection():
                gpu.matrix.load_matrix(Matrix(np.linalg.inv(VIEW.camera_to_world).tolist()))
                gpu.matrix.load_projection_matrix(Matrix(perspective(VIEW).tolist()))
                module("addon.viewport.region_box").draw_box(context)
            buffer = framebuffer.read_color(0, 0, WIDTH, HEIGHT, 4, 0, "FLOAT")
        buffer.dimensions = WIDTH * HEIGHT * 4
        pixels = np.array(buffer, np.float32).reshape(HEIGHT, WIDTH, 4)[::-1]
        screen.free()
        return pixels

    return with_graphics(work)


def test_lines_are_the_edges_of_the_objects_box(box: bpy.types.Object) -> None:
    found = module("addon.viewport.region_box")
    assert found.box_lines(bpy.context.scene) is None
    bpy.context.scene.splatwright.train.region = box
    lines = found.box_lines(bpy.context.scene)
    wanted = np.array([box.matrix_world @ vertex.co for vertex in box.data.vertices])
    away = np.linalg.norm(lines[:, None] - wanted[None], axis=2)  # [24, 8]
    assert len(lines) == 24 and away.min(axis=1).max() < 1e-5 and away.min(axis=0).max() < 1e-5
    assert np.allclose(np.linalg.norm(lines[::2] - lines[1::2], axis=1), 1, atol=1e-5)


def test_it_is_drawn_where_the_box_is(box: bpy.types.Object) -> None:
    if why_no_graphics():
        pytest.skip(why_no_graphics())
    assert not drawn().any()
    bpy.context.scene.splatwright.train.region = box
    shown = drawn()[..., 3] > 0.5
    lines = module("addon.viewport.region_box").box_lines(bpy.context.scene).astype(float)
    places = np.concatenate([lines[::2] + share * (lines[1::2] - lines[::2]) for share in np.linspace(0, 1, 200)])
    pixels = np.floor(VIEW.project(places)[0]).astype(int)
    near = np.zeros_like(shown)
    for x in (-1, 0, 1):
        for y in (-1, 0, 1):
            near[(pixels[:, 1] + y).clip(0, HEIGHT - 1), (pixels[:, 0] + x).clip(0, WIDTH - 1)] = True
    assert shown.sum() > 150 and not (shown & ~near).any() and shown[pixels[:, 1], pixels[:, 0]].mean() > 0.8
    assert not drawn(overlays=False).any()
    box.scale.x = 0.0
    bpy.context.view_layer.update()
    drawn()
