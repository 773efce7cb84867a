"""The viewport drawing against the trainer's rasterizer, pixel by pixel."""

from __future__ import annotations

import bpy
import numpy as np
import pytest

from engine.core.camera import Camera
from engine.training.cpu.model import CpuModel
from engine.training.evaluate import psnr
from tests.blender.conftest import module
from tests.blender.graphics import why_no_graphics, with_graphics
from tests.blender.splat_samples import changed
from tests.scenes import colored_ball, look_at

WIDTH, HEIGHT = 160, 120
NEAR, FAR = 0.1, 100.0


@pytest.fixture
def canvas(fresh_scene: bpy.types.Scene):
    if why_no_graphics():
        pytest.skip(why_no_graphics())
    return module("addon.viewport.canvas")


def camera(position: tuple[float, float, float] = (3, -2, 1.5), focal: float = 160.0) -> Camera:
    return Camera(WIDTH, HEIGHT, focal, focal, WIDTH / 2, HEIGHT / 2, look_at(np.array(position, float)))


def projection(view: Camera) -> np.ndarray:
    """OpenGL's projection of a pinhole camera."""
    depth = (FAR + NEAR) / (NEAR - FAR), 2 * FAR * NEAR / (NEAR - FAR)
    return np.array([[2 * view.fl_x / view.width, 0, 1 - 2 * view.cx / view.width, 0],
                     [0, 2 * view.fl_y / view.height, 2 * view.cy / view.height - 1, 0], [0, 0, *depth], [0, 0, -1, 0]])


def drawn(canvas, view: Camera, depths: np.ndarray | None = None) -> np.ndarray:
    """Everything in the scene as the viewport paints it: premultiplied display colours [H, W, 4]."""
    bpy.context.view_layer.update()
    eye = canvas.Eye(np.linalg.inv(view.camera_to_world), projection(view), view.width, view.height)
    return with_graphics(lambda: painted(canvas, eye, depths))


def painted(canvas, eye, depths: np.ndarray | None) -> np.ndarray:
    stages, order, cloud = (module(f"addon.viewport.{name}") for name in ("stage", "order", "cloud"))
    stage = stages.set_stage(bpy.context.evaluated_depsgraph_get(), stages.Changes())
    assert stage.placements
    none = (False,) * len(stage.placements)
    scenery = canvas.Scenery(cloud.upload(stage.sources), stage.placements, none, none)
    sorted_ = order.sort(scenery.sort_request(eye))
    paper = canvas.Canvas(eye.width, eye.height)
    if depths is None:
        depths = np.ones((eye.height, eye.width), np.float32)
    depth = canvas.depth_texture(depths, eye.width, eye.height)
    canvas.Painter().paint(paper, scenery, sorted_, canvas.entries_texture(sorted_), eye, depth)
    return paper.pixels()


def rasterized(gaussians, view: Camera) -> np.ndarray:
    """What the trainer sees: colour over black and alpha [H, W, 4]."""
    model = CpuModel(gaussians, 1)
    seen = model.render(view, gaussians.sh_degree, (0.0, 0.0, 0.0))
    model.close()
    return np.dstack([seen.rgb, seen.alpha])


def show(gaussians) -> bpy.types.Object:
    return module("addon.splat_object").create_splat_object("Splats", gaussians)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_it_draws_what_the_trainer_sees(canvas, degree: int) -> None:
    ball, view = colored_ball(400, sh_degree=degree), camera()
    show(ball)
    seen, truth = drawn(canvas, view), rasterized(ball, view)
    assert truth[..., 3].max() > 0.95
    print('PSNR', psnr(seen, truth), np.abs(seen-truth).max())
    assert psnr(seen, truth) > 50
