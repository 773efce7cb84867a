"""The animation of a Blender camera as a camera file of other programs, and such a file as an animated camera."""

from __future__ import annotations

from collections.abc import Iterable

import bpy
from mathutils import Matrix

from ...engine.core.cameras.camera import Camera
from ...engine.core.datasets.realestate10k import Shots
from ..cameras import blender_from_camera, camera_from_blender
from ..scene_collections import writable_collection
from ..typed import camera_data


def cameras_over_time(scene: bpy.types.Scene, shots: Iterable[tuple[bpy.types.Object, int]]) -> list[Camera]:
    """What each camera sees at its frame. The scene comes back to the frame it was at. UserError for lenses without perspective."""
    before, own = (scene.frame_current, scene.frame_subframe), scene.camera
    try:
        return [_at(scene, camera, frame) for camera, frame in shots]
    finally:
        scene.frame_set(before[0], subframe=before[1])
        scene.camera = own


def animate_camera(scene: bpy.types.Scene, name: str, shots: Shots) -> bpy.types.Object:
    """A new camera in the scene that moves and zooms as the shots do, from the scene's first frame on, at the times of the shots.

    Exact in a scene that renders at the shots' size.
    """
    place, made = writable_collection(scene=scene), blender_from_camera(name, shots.cameras[0])
    made.rotation_mode = "QUATERNION"
    place.objects.link(made)
    for time, camera in zip(shots.times, shots.cameras, strict=True):
        _keep(made, camera, scene.frame_start + (time - shots.times[0]) / 1e6 * frames_a_second(scene))
    return made


def frames_a_second(scene: bpy.types.Scene) -> float:
    """The scene's frame rate."""
    return scene.render.fps / scene.render.fps_base


def _at(scene: bpy.types.Scene, camera: bpy.types.Object, frame: int) -> Camera:
    scene.frame_set(frame)
    return camera_from_blender(scene, camera)


def _keep(made: bpy.types.Object, camera: Camera, frame: float) -> None:
    """A key for where the camera is and one for its lens."""
    place, turn, _ = Matrix(camera.camera_to_world.tolist()).decompose()
    turn.make_compatible(made.rotation_quaternion)  # q and -q are the same turn, but not between keys
    made.location, made.rotation_quaternion = place, turn
    camera_data(made).lens = camera.fl_x / camera.width * camera_data(made).sensor_width
    for path in ("location", "rotation_quaternion"):
        made.keyframe_insert(path, frame=frame)
    camera_data(made).keyframe_insert("lens", frame=frame)
