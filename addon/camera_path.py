"""The animation of a Blender camera as a camera file of other programs."""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from ..engine.core.camera import Camera
from .cameras import camera_from_blender


def animated_cameras(scene: bpy.types.Scene, camera: bpy.types.Object, frames: Iterable[int]) -> list[Camera]:
    """What a camera sees at each frame. The scene comes back to the frame it was at. UserError for lenses without perspective."""
    before = scene.frame_current, scene.frame_subframe
    try:
        return [_at(scene, camera, frame) for frame in frames]
    finally:
        scene.frame_set(before[0], subframe=before[1])


def frames_a_second(scene: bpy.types.Scene) -> float:
    """The scene's frame rate."""
    return scene.render.fps / scene.render.fps_base


def _at(scene: bpy.types.Scene, camera: bpy.types.Object, frame: int) -> Camera:
    scene.frame_set(frame)
    return camera_from_blender(scene, camera)
