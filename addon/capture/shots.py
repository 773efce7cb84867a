"""Which views a capture takes: selected cameras, a generated rig, or the frames of an animated camera."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix

from ...engine.core.cameras.camera import Camera
from ...engine.core.errors import UserError
from ..cameras import camera_at, camera_from_blender, check_camera, image_size
from ..scene_collections import writable_collection
from ..splats.originals import counts_as_rendered, counts_as_visible, has_geometry, hidden_originals, selected_originals
from ..splats.splat_object import is_splat_object
from ..typed import Context, camera_data, owner_of, shown_by
from . import rigs
from .outline import outline, unevaluated_box
from .request import CaptureRequest

RIG_CAMERA = "Splatwright Rig"


@dataclass(frozen=True)
class Shot:
    """One view: a camera object, where to put it (None: where it is), and the frame (None: the current one)."""

    camera: bpy.types.Object
    matrix: np.ndarray | None = None  # [4, 4]
    frame: int | None = None


@contextmanager
def planned_shots(context: Context, request: CaptureRequest) -> Iterator[list[Shot]]:
    """The shots of `request`. A generated rig's one camera exists only inside the with block."""
    match request.source:
        case "SELECTED":
            yield _checked([Shot(camera) for camera in selected_cameras(context, request)])
        case "ANIMATION":
            yield _checked(_animated_shots(context, request.frame_step))
        case "DOME" | "ORBIT":
            corners = framed_corners(context)
            with _rig_camera(context.scene, request.focal_length) as camera:
                yield [Shot(camera, matrix) for matrix in rig_matrices(context.scene, camera, corners, request)]


def pose(scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer, shot: Shot) -> Camera:
    """Make the scene ready to render `shot`; returns the camera as it will render."""
    if shot.frame is not None:
        scene.frame_set(shot.frame)
    if shot.matrix is not None:
        shot.camera.matrix_world = Matrix(shot.matrix.tolist())
    scene.camera = shot.camera
    view_layer.update()
    return camera_from_blender(scene, shot.camera, view_layer.depsgraph)


def requested_cameras(context: Context, request: CaptureRequest) -> list[bpy.types.Object]:
    """The existing cameras that `request` captures from."""
    if request.source != "ANIMATION":
        return selected_cameras(context, request)
    return list(dict.fromkeys(animated_cameras(context, capture_frames(context.scene, request.frame_step))))


def selected_cameras(context: Context, request: CaptureRequest) -> list[bpy.types.Object]:
    """The cameras that `request` names, or those that are selected, in the order of their names; UserError when there are none."""
    named = [item for item in context.view_layer.objects if item.name_full in request.cameras]
    chosen = named if request.cameras else context.selected_objects
    cameras = sorted((item for item in chosen if item.type == "CAMERA"), key=lambda item: item.name)
    if not cameras:
        raise UserError("No camera is selected.", "Select the cameras to capture from, or let a dome or an orbit be generated.",
                        "capture.no_camera")
    return cameras


def animated_cameras(context: Context, frames: Iterable[int]) -> list[bpy.types.Object]:
    """For each frame the active camera object, or else the camera that the scene renders that frame with. UserError without one."""
    active = context.view_layer.objects.active
    if active and active.type == "CAMERA":
        return [active for _ in frames]
    cameras = [camera_at(context.scene, frame) for frame in frames]
    found = [camera for camera in cameras if camera is not None]
    if len(found) < len(cameras) or not cameras:
        raise UserError("There is no camera to take the frames of.", "Make the animated camera the active object.",
                        "capture.no_animated_camera")
    return found


def capture_frames(scene: bpy.types.Scene, step: int) -> range:
    """The frames of the scene's range, every so many."""
    return range(scene.frame_start, scene.frame_end + 1, step)


def framed_corners(context: Context) -> np.ndarray:
    """Points [N, 3] that enclose what a generated rig surrounds, as evaluated and with its instances.

    It is the selected objects and their children; where nothing of these has geometry, everything visible that renders, but splats.
    Originals that are hidden for splats count as visible, those that were selected before as selected where nothing else is.
    """
    outlines = [(owner_of(instance), points) for instance in context.evaluated_depsgraph_get().object_instances
                if has_geometry(shown_by(instance)) and not is_splat_object(shown_by(instance)) and len(points := outline(instance))]
    hidden = [item for item in hidden_originals(context.scene) if has_geometry(item) and counts_as_visible(item, context.view_layer)]
    outlines += [(item, unevaluated_box(item)) for item in hidden]
    framed = (_of(context.selected_objects, outlines) or _of(selected_originals(context.scene), outlines)
              or [points for owner, points in outlines if is_subject(owner)])
    if not framed:
        raise UserError("There is nothing to look at in this scene.", "Add or show the objects that the generated cameras shall surround.",
                        "capture.nothing_visible")
    return np.concatenate(framed)


def is_subject(item: bpy.types.Object) -> bool:
    """Whether an object that is not selected belongs to what a rig surrounds."""
    return counts_as_rendered(item) and not is_splat_object(item)


def is_visible_subject(item: bpy.types.Object, layer: bpy.types.ViewLayer) -> bool:
    """As is_subject(), of what a view layer shows; originals that are hidden for their splats count as visible."""
    return counts_as_visible(item, layer) and is_subject(item)


def _of(chosen: Sequence[bpy.types.Object], outlines: Sequence[tuple[bpy.types.Object, np.ndarray]]) -> list[np.ndarray]:
    """The outlines of some objects and their children."""
    family = {child for item in chosen for child in (item, *item.children_recursive)}
    return [points for owner, points in outlines if owner in family]


def rig_matrices(scene: bpy.types.Scene, camera: bpy.types.Object, corners: np.ndarray, request: CaptureRequest) -> np.ndarray:
    """Places of the generated cameras, camera_to_world [N, 4, 4]; also fits the camera's clipping range."""
    width, height = image_size(scene.render)
    view = camera_from_blender(scene, camera)
    slopes = width / view.fl_x / 2, height / view.fl_y / 2
    directions = (rigs.dome if request.source == "DOME" else rigs.orbit)(request.count, request.elevation)
    matrices = rigs.looking_in(corners, directions, *slopes, request.margin)
    distances = np.linalg.norm(matrices[:, :3, 3] - corners.mean(axis=0), axis=1)
    lens = camera_data(camera)
    lens.clip_start, lens.clip_end = min(lens.clip_start, float(distances.min()) / 100), max(lens.clip_end, 4 * float(distances.max()))
    return matrices


def _animated_shots(context: Context, step: int) -> list[Shot]:
    frames = capture_frames(context.scene, step)
    return [Shot(camera, frame=frame) for camera, frame in zip(animated_cameras(context, frames), frames, strict=True)]


def _checked(shots: list[Shot]) -> list[Shot]:
    for shot in shots:
        check_camera(shot.camera)
    return shots




@contextmanager
def _rig_camera(scene: bpy.types.Scene, focal_length: float) -> Iterator[bpy.types.Object]:
    place, lens = writable_collection(scene=scene), bpy.data.cameras.new(RIG_CAMERA)
    lens.lens, lens.sensor_width, lens.sensor_fit = focal_length, 36.0, "AUTO"
    camera = bpy.data.objects.new(RIG_CAMERA, lens)
    place.objects.link(camera)
    try:
        yield camera
    finally:
        bpy.data.objects.remove(camera)
        bpy.data.cameras.remove(lens)
