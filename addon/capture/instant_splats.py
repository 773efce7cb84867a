"""One render of the scene's camera -> splats, without training."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import bpy

from ...engine.core.cameras.camera import Camera
from ...engine.core.errors import UserError
from ...engine.core.splats.from_depth import gaussians_from_depth
from ...engine.core.splats.gaussians import Gaussians
from ..cameras import camera_at, camera_from_blender
from ..splats.originals import hide_originals_of, remember_originals
from ..splats.splat_object import create_splat_object
from ..typed import Context, active_camera
from ..ui.steps import run_to_end
from .render_passes import Render, read_passes, read_pixels, render_blocking, rendered
from .render_settings import COLOR, PLAIN_OUTPUT, overriding, png, restored_frame, unbound_markers
from .subjects import rendered_subjects

NAME = "Instant Splats"

Steps = Generator[float, None, bpy.types.Object]


def instant_splats(context: Context, most: int) -> bpy.types.Object:
    """Render and make the splat object before returning."""
    return run_to_end(instant_steps(context, most))


def instant_steps(context: Context, most: int, render: Render = render_blocking) -> Steps:
    """Render what the scene's camera sees and put at most `most` Gaussians on it, as a new splat object; waits as `render` does.

    What was rendered is hidden for it, unless Show Originals is on.
    Scene settings are restored in every case. UserError without a camera, or when its render holds no depth.
    """
    scene, view_layer = context.scene, context.view_layer
    chosen = camera_at(scene, scene.frame_current)
    if chosen is None:
        raise UserError("The scene has no camera.", "Add a camera that sees what shall become splats.", "instant.no_camera")
    with ExitStack() as stack:
        stack.enter_context(restored_frame(scene))
        stack.enter_context(unbound_markers(scene))
        scene.camera = chosen
        stack.enter_context(overriding(scene, {**COLOR, **PLAIN_OUTPUT, **png(transparent=True), "render.filepath": ""}))
        stack.enter_context(overriding(view_layer, {"use": True, "use_pass_z": True}))
        stack.enter_context(overriding(active_camera(scene), {"dof.use_dof": False}))
        subjects = stack.enter_context(rendered_subjects(context))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="splatwright-", dir=bpy.app.tempdir)))
        view_layer.update()
        camera = camera_from_blender(scene, chosen, view_layer.depsgraph)
        for _ in rendered(scene, folder / "instant.png", render):
            yield 0.0
        gaussians = gaussians_seen(scene, view_layer, camera, folder / "instant.png", most)
    made = create_splat_object(NAME, gaussians)
    remember_originals(scene, subjects)
    hide_originals_of(made)
    return made


def gaussians_seen(scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer, camera: Camera, image: Path, most: int) -> Gaussians:
    """The Gaussians of the last render, whose colours lie in `image`; UserError when nothing is in it."""
    depth = read_passes(scene, view_layer).depth
    if depth is None:
        raise UserError(f"The render engine {scene.render.engine} gives no depth.", "Choose Cycles or EEVEE in the render properties.",
                        "instant.no_depth", engine=scene.render.engine)
    gaussians = gaussians_from_depth(camera, depth, read_pixels(image), most)
    if not len(gaussians):
        raise UserError("The camera sees nothing that could become splats.", "Point it at some objects.", "instant.nothing_visible")
    return gaussians
