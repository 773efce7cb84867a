"""File > Export > Camera Path and its inverse: a camera's animation for RealEstate10K's readers and for nerfstudio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import bpy
import numpy as np
from bpy.props import EnumProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper
from mathutils import Matrix

from ...engine.core.cameras.camera import Camera
from ...engine.core.cameras.camera_path import WORLD, read_model_frame, write_camera_path
from ...engine.core.datasets.realestate10k import Shots, read_cameras, write_real_estate
from ...engine.core.datasets.recentring import moved_pose
from ...engine.core.splats.offset import NO_OFFSET
from ..cameras import image_size
from ..capture.camera_path import animate_camera, cameras_over_time, frames_a_second
from ..capture.shots import animated_cameras, capture_frames
from ..photos.posed_photos import roots
from ..splats.survey import offset_of_item, scene_origin
from ..translations import tr
from ..typed import Context, layout_of
from .menus import register_with_menus
from .reporting import reports_user_errors
from .selected import select_alone

FORMATS = (
    ("REALESTATE", "RealEstate10K (.txt)", "One line a frame, with intrinsics"),
    ("NERFSTUDIO", "nerfstudio (.json)", "For ns-render camera-path and nerfstudio's viewer"),
)
ENDINGS = {"REALESTATE": ".txt", "NERFSTUDIO": ".json"}


def export_camera_path(path: Path, cameras: list[Camera], fps: float, model: Path | None = None) -> None:
    """Write cameras as a nerfstudio camera path (.json; `model` is its dataparser_transforms.json) or as RealEstate10K's file."""
    if path.suffix.lower() == ".json":
        write_camera_path(path, cameras, fps, read_model_frame(model) if model else WORLD)
    else:
        write_real_estate(path, Shots("", tuple(round(number * 1e6 / fps) for number in range(len(cameras))), tuple(cameras)))


class SPLATWRIGHT_OT_export_camera_path(bpy.types.Operator, ExportHelper):
    """Write the animation of the active camera, or of the scene's, as RealEstate10K camera file or nerfstudio camera path"""

    bl_idname = "splatwright.export_camera_path"
    bl_label = "Export Camera Path"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    check_extension = None
    filter_glob: StringProperty(default="*.txt;*.json", options={"HIDDEN"})
    format: EnumProperty(name="Format", items=FORMATS, default="REALESTATE")
    frame_step: IntProperty(name="Frame Step", default=1, min=1, description="Write every n-th frame of the scene's range")
    frame_of: StringProperty(
        name="In the Frame of", default="", description="Name of the empty of posed photos, in whose own frame the path is written, "
        "as the model of a trainer needs it; empty: the scene's own",
    )
    model: StringProperty(
        name="Model's Transforms", subtype="FILE_PATH",
        description="dataparser_transforms.json beside the nerfstudio model's config.yml: the model lies turned and scaled",
    )

    @property
    def filename_ext(self) -> str:
        """What the name ends in."""
        return ENDINGS[self.format]

    def invoke(self, context: Context, event: bpy.types.Event) -> set[str]:
        """Where photos are, their own frame is what models know."""
        if not self.frame_of:
            self.frame_of = next((root.name for root in roots()), "")
        return ExportHelper.invoke(self, context, event)  # pyright: ignore[reportReturnType]  # it returns a set

    def check(self, context: Context) -> bool:
        """Let the name follow the format."""
        named = str(Path(self.filepath).with_suffix(self.filename_ext))
        changed, self.filepath = named != self.filepath, named
        return changed

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        scene = context.scene
        frames = capture_frames(scene, self.frame_step)
        cameras = cameras_over_time(scene, zip(animated_cameras(context, frames), frames, strict=True))
        root = bpy.data.objects.get(self.frame_of) if self.frame_of else None
        if root is not None:
            cameras = [within(camera, root.matrix_world) for camera in cameras]
        offset = scene_origin(scene) if root is None else offset_of_item(root) or NO_OFFSET
        cameras = [shifted(camera, np.array(offset)) for camera in cameras]
        path = Path(bpy.path.abspath(self.filepath))
        model = Path(bpy.path.abspath(self.model)) if self.model else None
        export_camera_path(path, cameras, frames_a_second(scene) / self.frame_step, model)
        self.report({"INFO"}, tr("{count} frames written to {file}", count=len(cameras), file=path.name))
        return {"FINISHED"}


class SPLATWRIGHT_OT_import_camera_path(bpy.types.Operator, ImportHelper):
    """Make an animated camera of a RealEstate10K camera file"""

    bl_idname = "splatwright.import_camera_path"
    bl_label = "Import Camera Path"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    filename_ext = ".txt"
    filter_glob: StringProperty(default="*.txt", options={"HIDDEN"})

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))  # pyright: ignore[reportAttributeAccessIssue]  # ImportHelper's own
        shots = read_cameras(path, image_size(context.scene.render))
        shots = replace(shots, cameras=in_scene(shots.cameras, context.scene))
        context.scene.camera = made = animate_camera(context.scene, path.stem, shots)
        if context.mode == "OBJECT":
            select_alone(context, made)
        self.report({"INFO"}, tr("A camera with {count} frames was made", count=len(shots.cameras)))
        return {"FINISHED"}


def shifted(camera: Camera, by: np.ndarray) -> Camera:
    """A camera somewhere else; the same one where it is nowhere else."""
    return replace(camera, camera_to_world=moved_pose(camera.camera_to_world, by)) if by.any() else camera


def in_scene(cameras: Sequence[Camera], scene: bpy.types.Scene) -> tuple[Camera, ...]:
    """Cameras of a file in the scene: those in coordinates of its survey are moved by its origin, others are there already."""
    origin = np.array(scene_origin(scene))
    middle = np.median([camera.position for camera in cameras], axis=0)
    surveyed = np.linalg.norm(middle - origin) < np.linalg.norm(middle)
    return tuple(shifted(camera, -origin) if surveyed else camera for camera in cameras)


def within(camera: Camera, frame: Matrix) -> Camera:
    """A camera of the scene as seen from a frame that is turned, moved and evenly scaled."""
    pose = np.linalg.inv(np.array(frame, float)) @ camera.camera_to_world
    pose[:3, :3] /= np.cbrt(np.linalg.det(pose[:3, :3]))
    return Camera(camera.width, camera.height, camera.fl_x, camera.fl_y, camera.cx, camera.cy, pose)


def _export_entry(menu: bpy.types.Menu, context: Context) -> None:
    layout_of(menu).operator(SPLATWRIGHT_OT_export_camera_path.bl_idname, text="Camera Path (.txt/.json)")


def _import_entry(menu: bpy.types.Menu, context: Context) -> None:
    layout_of(menu).operator(SPLATWRIGHT_OT_import_camera_path.bl_idname, text="Camera Path (.txt)")


register, unregister = register_with_menus(
    (SPLATWRIGHT_OT_export_camera_path, SPLATWRIGHT_OT_import_camera_path),
    {"TOPBAR_MT_file_export": _export_entry, "TOPBAR_MT_file_import": _import_entry})
