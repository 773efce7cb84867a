"""A graphics context without a window, where this Blender and this computer have one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

from tests.untyped import bpy, gpu


class SPLATWRIGHT_TEST_render_engine(bpy.types.RenderEngine):
    """Before gpu.init() there was, graphics worked inside a render alone."""

    bl_idname = "SPLATWRIGHT_TEST"
    bl_label = "Test"
    bl_use_gpu_context = True
    work: ClassVar[Any]
    outcome: Any = None

    def render(self, depsgraph: bpy.types.Depsgraph) -> None:
        kind = SPLATWRIGHT_TEST_render_engine
        try:
            kind.outcome = kind.work()
        except BaseException as error:  # Blender would swallow it
            kind.outcome = error


def with_graphics(work: Callable[[], Any]) -> Any:
    """What `work` returns in a graphics context; RuntimeError or SystemError where there is none."""
    if hasattr(gpu, "init"):
        gpu.init()
        return work()
    return _in_render(work)


def _in_render(work: Callable[[], Any]) -> Any:
    kind, render = SPLATWRIGHT_TEST_render_engine, bpy.context.scene.render
    kind.work, kind.outcome = staticmethod(work), RuntimeError("the render did not call its engine")
    before = render.engine, render.resolution_percentage
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    bpy.context.scene.camera = bpy.context.scene.camera or camera  # a render wants one
    bpy.utils.register_class(kind)
    try:
        render.engine, render.resolution_percentage = kind.bl_idname, 10
        bpy.ops.render.render()
    finally:
        render.engine, render.resolution_percentage = before
        bpy.utils.unregister_class(kind)
        bpy.data.cameras.remove(camera.data)
    if isinstance(kind.outcome, BaseException):
        raise kind.outcome
    return kind.outcome


@cache
def why_no_graphics() -> str:
    """Why nothing can be drawn here; empty when something can."""
    try:
        with_graphics(lambda: gpu.types.GPUOffScreen(8, 8).free())
    except (RuntimeError, SystemError) as error:
        return f"no graphics here: {error}"
    return ""
