"""Seeing the scene through the camera of a photo, with the photo behind it."""

from __future__ import annotations

from pathlib import Path

import bpy

from ...engine.core.errors import UserError
from ..typed import camera_data, splat_settings, untyped
from .posed_photos import photo_cameras


def look_through(scene: bpy.types.Scene, camera: bpy.types.Object, area: bpy.types.Area | None = None) -> None:
    """Make a photo's camera the scene's, give renders the photo's shape, and let a 3D viewport look through it.

    The photo that was looked at before is freed from memory.
    """
    settings, render = splat_settings(camera), scene.render
    if scene.camera is not None and scene.camera != camera:
        _free_photo(scene.camera)
    scene.camera = camera
    render.resolution_x, render.resolution_y = settings.photo_size
    # of one pixel, height over width; Blender wants both numbers at least 1
    render.pixel_aspect_x, render.pixel_aspect_y = max(1.0, 1 / settings.photo_aspect), max(1.0, settings.photo_aspect)
    if area is not None and area.type == "VIEW_3D":
        untyped(area.spaces.active).region_3d.view_perspective = "CAMERA"


def chosen_camera(scene: bpy.types.Scene, active: bpy.types.Object | None, step: int = 0, photo: str = "") -> bpy.types.Object:
    """The camera of the photo of that name, else the one so many photos after the one at hand: the active camera, or the scene's.

    UserError when there are no photos, or none of that name.
    """
    cameras = photo_cameras(scene.objects)
    if not cameras:
        raise UserError("This scene has no photos.", "Import posed photos first.", "photos.none_in_scene")
    if photo:
        names = [splat_settings(camera).photo for camera in cameras]
        found = next((camera for camera, name in zip(cameras, names, strict=True) if photo in (name, Path(name).stem)), None)
        if found is None:
            raise UserError(f"There is no photo called {photo}.", f"The first one is called {names[0]}.", "photos.unknown", photo=photo,
                            names=names[0])
        return found
    at_hand = next((camera for camera in (active if not step else None, scene.camera, active) if camera in cameras), None)
    return cameras[(cameras.index(at_hand) + step) % len(cameras)] if at_hand else cameras[0 if step >= 0 else -1]


def is_photo(camera: bpy.types.Object | None) -> bool:
    """Whether an object is the camera of a photo."""
    return camera is not None and camera.type == "CAMERA" and bool(splat_settings(camera).photo)


def _free_photo(camera: bpy.types.Object) -> None:
    if is_photo(camera):
        for background in camera_data(camera).background_images:
            if background.image is not None and not background.image.is_dirty:
                background.image.buffers_free()
