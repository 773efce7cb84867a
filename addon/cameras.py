"""Blender camera <-> core Camera: sensor fit, shift, pixel aspect and axis conventions."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix

from ..engine.core.cameras.camera import Camera
from ..engine.core.errors import UserError
from .translations import tr
from .typed import camera_data, current_context, untyped


def camera_from_blender(scene: bpy.types.Scene, camera_object: bpy.types.Object, depsgraph: bpy.types.Depsgraph | None = None) -> Camera:
    """The camera as it renders in `scene` at its current frame and resolution.

    Constraints, parents and animation are in it; the object's scale is not. Panoramic and orthographic cameras raise UserError.
    """
    depsgraph = depsgraph or current_context().evaluated_depsgraph_get()
    evaluated = camera_object.evaluated_get(depsgraph)
    check_camera(evaluated)
    width, height = image_size(scene.render)
    fl_x, fl_y, cx, cy = _intrinsics(scene.render, camera_data(evaluated), width, height)
    return Camera(width, height, fl_x, fl_y, cx, cy, rigid(evaluated.matrix_world))


@dataclass(frozen=True)
class BlenderLens:
    """What of a Blender camera decides on its field of view."""

    lens: float
    """millimetres"""
    sensor_width: float = 36.0
    sensor_height: float = 24.0
    sensor_fit: str = "AUTO"
    shift_x: float = 0.0
    shift_y: float = 0.0


def camera_with_lens(scene: bpy.types.Scene, focal_length: float) -> Camera:
    """A camera at the origin with a lens of so many millimetres on a sensor 36 mm wide, as it renders in `scene`."""
    width, height = image_size(scene.render)
    return Camera(width, height, *_intrinsics(scene.render, BlenderLens(focal_length), width, height), np.eye(4))


def camera_at(scene: bpy.types.Scene, frame: int) -> bpy.types.Object | None:
    """The camera that the scene renders with at a frame: that of the last marker until then to which one is bound, before all of them
    that of the first; the scene's own where none is bound to any.
    """
    bound = {marker.frame: marker.camera for marker in scene.timeline_markers if marker.camera and not marker.camera.hide_render}
    if not bound:
        return scene.camera
    return bound[max((known for known in bound if known <= frame), default=min(bound))]


def check_camera(camera_object: bpy.types.Object) -> None:
    """Raise UserError for a camera that no pinhole describes."""
    kind = camera_data(camera_object).type
    if kind == "PERSP":
        return
    names = {"PANO": "panoramic", "ORTHO": "orthographic"}
    raise UserError(f"The camera {camera_object.name} is {names.get(kind, kind.lower())}, which cannot be trained on.",
                    "Set its lens type to Perspective, or deselect it.", "camera.kind", camera=camera_object.name,
                    kind=names.get(kind, kind.lower()))


def image_size(render: bpy.types.RenderSettings) -> tuple[int, int]:
    """Width and height in pixels that a render has."""
    percentage = render.resolution_percentage
    return max(1, render.resolution_x * percentage // 100), max(1, render.resolution_y * percentage // 100)


def rigid(matrix: Matrix) -> np.ndarray:
    """`matrix` without its scale, [4, 4] float64."""
    return np.array(matrix.normalized(), dtype=np.float64)


def _intrinsics(
    render: bpy.types.RenderSettings, lens: bpy.types.Camera | BlenderLens, width: int, height: int,
) -> tuple[float, float, float, float]:
    """fl_x, fl_y, cx, cy in pixels. The sensor spans the fitted side; the shift is measured in it."""
    aspect = render.pixel_aspect_y / render.pixel_aspect_x  # of one pixel, height over width
    horizontal = _fits_width(lens.sensor_fit, width, height * aspect)
    span = width if horizontal else height * aspect  # of the sensor, in pixel widths
    sensor = lens.sensor_height if lens.sensor_fit == "VERTICAL" else lens.sensor_width
    fl_x = lens.lens / sensor * span
    return fl_x, fl_x / aspect, width / 2 - lens.shift_x * span, height / 2 + lens.shift_y * span / aspect


def _fits_width(sensor_fit: str, width: float, height: float) -> bool:
    return sensor_fit == "HORIZONTAL" or (sensor_fit == "AUTO" and width >= height)


def blender_from_camera(name: str, camera: Camera) -> bpy.types.Object:
    """A new Blender camera object, not yet in any collection, that sees what `camera` sees.

    It is exact in a scene that renders at the camera's size with pixels of width : height = fl_y : fl_x (square for nearly every photo).
    """
    lens = bpy.data.cameras.new(name)
    lens.sensor_fit = "HORIZONTAL"
    lens.sensor_width = 36.0
    lens.lens = camera.fl_x / camera.width * lens.sensor_width
    lens.shift_x = (camera.width / 2 - camera.cx) / camera.width
    lens.shift_y = (camera.cy - camera.height / 2) / camera.width * (camera.fl_x / camera.fl_y)
    camera_object = bpy.data.objects.new(name, lens)
    camera_object.matrix_world = Matrix(camera.camera_to_world.tolist())
    return camera_object


def lens_warnings(scene: bpy.types.Scene, camera_objects: list[bpy.types.Object]) -> list[str]:
    """Sentences about blur that capture leaves out."""
    warnings = []
    blurred = sorted({camera.name for camera in camera_objects if untyped(camera_data(camera)).dof.use_dof})
    if blurred:
        warnings.append(tr("Captured without depth of field, which training cannot use: {blurred}.", blurred=", ".join(blurred)))
    if scene.render.use_motion_blur:
        warnings.append("Captured without motion blur, which training cannot use.")
    return warnings
