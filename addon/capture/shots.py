"""The views that a capture takes one by one, the cameras that it takes them with, and what generated cameras surround."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix

from ...engine.core.cameras.camera import Camera
from ...engine.core.errors import UserError
from ..cameras import camera_at, camera_from_blender
from ..splats.originals import counts_as_rendered, counts_as_visible, has_geometry, hidden_originals, selected_originals
from ..splats.splat_object import is_splat_object
from ..typed import Context, original_of, owner_of, shown_by
from .outline import outline, unevaluated_box
from .request import CaptureRequest

RIG_CAMERA = "Splatwright Rig"

Outlined = tuple[bpy.types.Object, bpy.types.Object, np.ndarray]
"""An object, what it or its instance shows, and points [N, 3] around that."""


@dataclass(frozen=True)
class Shot:
    """One view: a camera object, where to put it (None: where it is), and the frame (None: the current one)."""

    camera: bpy.types.Object
    matrix: np.ndarray | None = None  # [4, 4]
    frame: int | None = None


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


@dataclass(frozen=True)
class Subject:
    """What a generated rig surrounds."""

    points: np.ndarray
    """[N, 3], enclosing it"""
    objects: frozenset[bpy.types.Object]
    """what it consists of: the objects, those that instances of it show, and those that instance them"""
    whole: bool
    """whether it is all that is visible, for want of a selection"""

    @property
    def middle(self) -> np.ndarray:
        """Of its bounds, [3]."""
        return (self.points.min(axis=0) + self.points.max(axis=0)) / 2


def framed_corners(context: Context) -> np.ndarray:
    """Points [N, 3] that enclose what a generated rig surrounds."""
    return framed(context).points


def framed(context: Context) -> Subject:
    """What a generated rig surrounds, as evaluated and with its instances; UserError where there is nothing.

    It is the selected objects and their children; where nothing of these has geometry, everything visible that renders, but splats.
    Originals that are hidden for splats count as visible, those that were selected before as selected where nothing else is.
    """
    outlines = [(owner_of(instance), original_of(shown_by(instance)), points)
                for instance in context.evaluated_depsgraph_get().object_instances
                if has_geometry(shown_by(instance)) and not is_splat_object(shown_by(instance)) and len(points := outline(instance))]
    hidden = [item for item in hidden_originals(context.scene) if has_geometry(item) and counts_as_visible(item, context.view_layer)]
    outlines += [(item, item, unevaluated_box(item)) for item in hidden]
    selected = _of(context.selected_objects, outlines) or _of(selected_originals(context.scene), outlines)
    surrounded = selected or [found for found in outlines if is_subject(found[0])]
    if not surrounded:
        raise UserError("There is nothing to look at in this scene.", "Add or show the objects that the generated cameras shall surround.",
                        "capture.nothing_visible")
    owners, shown, points = zip(*surrounded, strict=True)
    return Subject(np.concatenate(points), frozenset((*owners, *shown)), not selected)


def is_subject(item: bpy.types.Object) -> bool:
    """Whether an object that is not selected belongs to what a rig surrounds."""
    return counts_as_rendered(item) and not is_splat_object(item)


def is_visible_subject(item: bpy.types.Object, layer: bpy.types.ViewLayer) -> bool:
    """As is_subject(), of what a view layer shows; originals that are hidden for their splats count as visible."""
    return counts_as_visible(item, layer) and is_subject(item)


def _of(chosen: Sequence[bpy.types.Object], outlines: Sequence[Outlined]) -> list[Outlined]:
    """The outlines of some objects and their children."""
    family = {child for item in chosen for child in (item, *item.children_recursive)}
    return [found for found in outlines if found[0] in family]


def animated_shots(context: Context, step: int) -> list[Shot]:
    """One shot for each frame that is captured of an animated camera."""
    frames = capture_frames(context.scene, step)
    return [Shot(camera, frame=frame) for camera, frame in zip(animated_cameras(context, frames), frames, strict=True)]
