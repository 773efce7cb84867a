"""Pictures in Blender's image editor."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..typed import Context, operators, untyped


def show_image(context: Context, path: Path, name: str) -> bpy.types.Image:
    """Load a picture under a name that later ones take over, and show it: in an image editor that is open, else in a new window."""
    old = bpy.data.images.get(name)
    image = bpy.data.images.load(str(path))
    if old is not None:
        old.user_remap(image)
        bpy.data.images.remove(old)
    image.name = name
    image.pack()  # the file may vanish with Blender's temporary folder
    area = _image_editor(context)
    if area is not None:
        untyped(area.spaces.active).image = image
        area.tag_redraw()
        _fit(context, area)
    return image


def _fit(context: Context, area: bpy.types.Area) -> None:
    """Zoom so that the whole picture is seen."""
    window = next(window for window in context.window_manager.windows if area in window.screen.areas[:])
    region = next(region for region in area.regions if region.type == "WINDOW")
    with context.temp_override(window=window, area=area, region=region):
        operators().image.view_all(fit_view=True)


def _image_editor(context: Context) -> bpy.types.Area | None:
    """An image editor; None where Blender has no windows."""
    windows = context.window_manager.windows
    areas = [area for window in windows for area in window.screen.areas]
    open_already = next((area for area in areas if area.type == "IMAGE_EDITOR"), None)
    if open_already is not None or bpy.app.background or not windows:
        return open_already
    operators().wm.window_new()
    area = windows[-1].screen.areas[0]
    area.type = "IMAGE_EDITOR"
    return area
