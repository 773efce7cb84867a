"""Scene settings while capturing: set for training, and put back exactly as they were whatever happens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import bpy

from ...engine.core.errors import UserError

Settings = Mapping[str, Any]
"""Values by dotted path from the scene, in the order in which they must be set."""

COLOR: Settings = {
    "display_settings.display_device": "sRGB",
    "view_settings.view_transform": "Standard",
    "view_settings.look": "None",
    "view_settings.exposure": 0.0,
    "view_settings.gamma": 1.0,
    "view_settings.use_curve_mapping": False,
    "view_settings.use_white_balance": False,
    "render.dither_intensity": 0.0,
}
"""Trainers and viewers expect display-referred sRGB without a look; anything else would be applied twice."""

PLAIN_OUTPUT: Settings = {
    "render.use_file_extension": True,
    "render.use_overwrite": True,
    "render.use_placeholder": False,
    "render.use_border": False,
    "render.use_crop_to_border": False,
    "render.use_multiview": False,
    "render.use_stamp": False,
    "render.use_compositing": False,
    "render.use_sequencer": False,
    "render.use_motion_blur": False,
    "render.use_single_layer": True,
    "render.use_lock_interface": False,
    "render.use_persistent_data": True,
}
"""One unadorned, unblurred image of the whole frame from each render; the scene stays loaded between them, and viewports can be
navigated meanwhile."""


def png(transparent: bool) -> Settings:
    """8-bit PNG, with straight alpha when the film is transparent."""
    return {
        "render.film_transparent": transparent,
        **_image_format("IMAGE", "PNG", "RGBA" if transparent else "RGB", "8"),
    }


def multilayer_exr() -> Settings:
    """Every pass as uncompressed floats."""
    return {**_image_format("MULTI_LAYER_IMAGE", "OPEN_EXR_MULTILAYER", "RGBA", "32"), "render.image_settings.exr_codec": "NONE"}


def _image_format(media_type: str, file_format: str, color_mode: str, color_depth: str) -> Settings:
    return {
        "render.image_settings.media_type": media_type,
        "render.image_settings.file_format": file_format,
        "render.image_settings.color_mode": color_mode,
        "render.image_settings.color_depth": color_depth,
        "render.image_settings.color_management": "FOLLOW_SCENE",
    }


@contextmanager
def overriding(root: Any, settings: Settings) -> Iterator[None]:
    """Set each path below `root`; on leaving put every old value back. Settings that this Blender lacks are skipped."""
    places = [(*_resolve(root, path), value) for path, value in settings.items()]
    places = [place for place in places if hasattr(place[0], place[1])]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    try:
        for place in places:
            _assign(*place)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def _resolve(root: Any, path: str) -> tuple[Any, str]:
    *parents, name = path.split(".")
    for parent in parents:
        root = getattr(root, parent, None)
    return root, name


def _assign(owner: Any, name: str, value: Any) -> None:
    try:
        setattr(owner, name, value)
    except TypeError as error:
        raise UserError(f"This Blender does not offer {name} = {value}: {error}.",
                        "Use Blender's own colour configuration, and check the output settings.", "render.setting", name=name,
                        value=value, error=error) from error


@contextmanager
def restored_frame(scene: bpy.types.Scene) -> Iterator[None]:
    """Go back to the current frame and camera on leaving."""
    frame, subframe, camera = scene.frame_current, scene.frame_subframe, scene.camera
    try:
        yield
    finally:
        if (scene.frame_current, scene.frame_subframe) != (frame, subframe):
            scene.frame_set(frame, subframe=subframe)
        scene.camera = camera


@contextmanager
def unbound_markers(scene: bpy.types.Scene) -> Iterator[None]:
    """Cameras bound to markers, which win over the scene's own, are unbound meanwhile.

    Unbinding one makes the next one's camera the scene's: whoever needs to know which camera a frame has asks before.
    """
    bound, camera = [(marker, marker.camera) for marker in scene.timeline_markers if marker.camera], scene.camera
    try:
        for marker, _ in bound:
            marker.camera = None
        scene.camera = camera
        yield
    finally:
        for marker, marker_camera in bound:
            marker.camera = marker_camera
