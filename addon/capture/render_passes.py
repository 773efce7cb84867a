"""Renders the prepared scene to a file and reads its pixels back."""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from ...engine.core.errors import UserError
from ...engine.core.files import disk_error, remove_file
from ..typed import active_camera, current_context, operators, untyped
from ..ui.steps import run_to_end
from .exr import read_channels
from .object_labels import Mattes, mattes_of
from .render_settings import multilayer_exr, overriding
from .strip_png import strip_metadata

Render = Callable[[bpy.types.Scene], Iterator[None]]
"""Renders the scene to its file path; yields while others have to wait for it."""

class RenderStopped(Exception):
    """Raised when a render was cancelled."""


FAR = 0.999
"""Share of the camera's clipping distance from which on there is nothing: Cycles says 1e10 there, EEVEE the distance itself."""

LITTLE_SPACE = 2**20


def render_blocking(scene: bpy.types.Scene) -> Iterator[None]:
    """Render at once."""
    try:
        operators().render.render(write_still=True, scene=scene.name)
    except RuntimeError as error:
        raise _render_error(Path(scene.render.filepath), str(error)) from error
    return iter(())


def render_as_job(scene: bpy.types.Scene) -> Iterator[None]:
    """Render in Blender's background job, which keeps the window alive; RenderStopped when Esc is pressed."""
    stopped: list[bool] = []

    def note(*_: object) -> None:
        stopped.append(True)

    bpy.app.handlers.render_cancel.append(note)
    try:
        with overriding(current_context().preferences, {"view.render_display_type": "NONE"}):
            operators().render.render("INVOKE_DEFAULT", write_still=True, scene=scene.name)
        while bpy.app.is_job_running("RENDER"):
            yield
    except RuntimeError as error:
        raise _render_error(Path(scene.render.filepath), str(error)) from error
    finally:
        bpy.app.handlers.render_cancel.remove(note)
    if stopped:
        raise RenderStopped


def rendered(scene: bpy.types.Scene, image: Path, render: Render) -> Iterator[None]:
    """Render the scene to `image`, waiting as `render` does; UserError when no image came of it."""
    try:
        remove_file(image)
    except OSError as error:
        raise disk_error(image, error) from error
    scene.render.filepath = str(image)
    yield from render(scene)
    if not image.is_file() or not strip_metadata(image):
        raise _render_error(image, "no whole image was written.")


def read_pixels(path: Path) -> np.ndarray:
    """Display values of an image file, [H, W, 4] float32 in 0 to 1, alpha straight, top row first."""
    image = bpy.data.images.load(str(path))
    try:
        untyped(image.colorspace_settings).name = "Non-Color"
        image.alpha_mode = "CHANNEL_PACKED"
        width, height = image.size
        pixels = np.empty(width * height * 4, np.float32)
        untyped(image).pixels.foreach_get(pixels)
        return pixels.reshape(height, width, 4)[::-1]
    finally:
        bpy.data.images.remove(image)


@dataclass(frozen=True)
class Passes:
    """Passes of the last render beside colour; None where the engine has no such pass."""

    depth: np.ndarray | None  # [H, W] float32, distance along the view axis, 0 where nothing is
    normals: np.ndarray | None  # [H, W, 3] float32, in the world, mean of the samples, 0 where nothing is
    mattes: Mattes | None  # which objects


def read_passes(scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer) -> Passes:
    """The passes of the last render."""
    return run_to_end(passes_steps(scene, view_layer))


def passes_steps(scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer) -> Generator[None, None, Passes]:
    """Read the passes of the last render; yields between the parts of the work."""
    try:
        channels = yield from _render_passes(scene, f"{view_layer.name}.")
    except (RuntimeError, OSError, ValueError, LookupError, struct.error) as error:
        raise _render_error(Path(bpy.app.tempdir) / "passes.exr", str(error)) from error
    yield
    depth = next((values for name, values in channels.items() if ".Depth." in name), None)
    if depth is not None:
        depth = np.where(np.isfinite(depth) & (depth < FAR * active_camera(scene).clip_end), depth, 0.0).astype(np.float32)
    axes = [channels[name] for name in (f"{view_layer.name}.Normal.{axis}" for axis in "XYZ") if name in channels]
    normals = np.nan_to_num(np.stack(axes, axis=2), posinf=0, neginf=0) if len(axes) == 3 else None
    return Passes(depth, normals, mattes_of(channels, view_layer.name))


def _render_passes(scene: bpy.types.Scene, prefix: str) -> Generator[None, None, dict[str, np.ndarray]]:
    """Channels of the last render whose names start with `prefix`, each [H, W]. Blender gives them to files alone."""
    with tempfile.TemporaryDirectory(prefix="splatwright-", dir=bpy.app.tempdir) as folder:
        path = Path(folder) / "passes.exr"
        with overriding(scene, multilayer_exr()):
            bpy.data.images["Render Result"].save_render(str(path), scene=scene)
        yield
        return read_channels(path, prefix)


def _render_error(image: Path, reason: str) -> UserError:
    reason = reason.removeprefix("Error: ").strip()
    if _free_space(image.parent) < LITTLE_SPACE:
        return UserError(f"The disk is full: {image} could not be written.", "Free some space and try again.", "render.disk_full",
                         image=image)
    return UserError(f"{image.name} could not be rendered: {reason}", "Render one view with F12 to see what is wrong.", "render.failed",
                     image=image.name, reason=reason)


def _free_space(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return LITTLE_SPACE
