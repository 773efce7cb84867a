"""Frames from a video, cameras from photos: started, stopped, resumed; and their report."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import StringProperty

from ...engine.core.errors import UserError
from ...engine.core.protocol.spec import FramesSpec, PosesSpec
from ...engine.jobs.local_engine import JobState
from ..jobs import jobs
from ..jobs.jobs import WatchedJob
from ..jobs.photo_results import result_of
from ..properties.paths import absolute_folder
from ..typed import Context, classes_factory, scene_settings
from ..ui.image_window import show_image
from .reporting import reports_user_errors
from .starting import StartsJob

REPORT, DRAWING = "poses.txt", "poses.png"
PATH = {"options": {"SKIP_SAVE"}, "description": "Empty: the one in the Photos panel"}


def start_frames(scene: bpy.types.Scene, video: str = "") -> WatchedJob:
    """Take pictures from a video, or from the one in the Photos panel; UserError before anything is written when there is none."""
    settings = scene_settings(scene).photos
    chosen = video or settings.video
    if not chosen.strip():
        raise UserError("No video is chosen.", "Choose a video in the Photos panel.", "photos.no_video")
    path = absolute_folder(chosen)
    if not path.is_file():
        raise UserError(f"There is no video {path}.", "Choose a video file.", "photos.video_gone", path=path)
    return jobs.submit(scene, FramesSpec(path, settings.frame_options(), path.stem))


def start_poses(scene: bpy.types.Scene, directory: str = "") -> WatchedJob:
    """Look for the cameras of the photos in a folder, or in the one in the Photos panel; UserError when there is none."""
    settings = scene_settings(scene).photos
    chosen = directory or settings.directory
    if not chosen.strip():
        raise UserError("No photos are chosen.", "Choose the folder of the photos in the Photos panel.", "photos.not_chosen")
    folder = absolute_folder(chosen)
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}.", "Choose the folder of the photos.", "photos.folder_gone", folder=folder)
    return jobs.submit(scene, PosesSpec(folder, settings.poses_options(), folder.name))


def at_work(context: Context) -> WatchedJob | None:
    """The scene's work on photos while it is alive."""
    job = jobs.current_photos(context.scene)
    return job if job is not None and job.state.alive else None


def report_folder(scene: bpy.types.Scene) -> Path | None:
    """The dataset whose report can be shown: that of the Photos panel's job; None when there is none."""
    job = jobs.current_photos(scene)
    try:
        folder = result_of(job) if job is not None and job.posed is not None else None
    except UserError:
        return None
    return folder if folder is not None and (folder / REPORT).is_file() else None


class _Starts(StartsJob):
    """Mixed into operators that start work on photos."""

    @classmethod
    def obstacle(cls, context: Context) -> str:
        return "" if at_work(context) is None else "Photos are being worked on: stop that first"


class SPLATWRIGHT_OT_frames_from_video(_Starts, bpy.types.Operator):
    """Extract the sharpest frames of a video, in the background. They become the folder of photos below"""

    bl_idname = "splatwright.frames_from_video"
    bl_label = "Frames from Video"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    video: StringProperty(name="Video", subtype="FILE_PATH", **PATH)

    def begin(self, context: Context) -> WatchedJob:
        return start_frames(context.scene, self.video)


class SPLATWRIGHT_OT_cameras_from_photos(_Starts, bpy.types.Operator):
    """Find the cameras of photos and import them, with points, into the scene. Runs in the background"""

    bl_idname = "splatwright.cameras_from_photos"
    bl_label = "Cameras from Photos"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    directory: StringProperty(name="Photos", subtype="DIR_PATH", **PATH)

    def begin(self, context: Context) -> WatchedJob:
        return start_poses(context.scene, self.directory)


class SPLATWRIGHT_OT_stop_photos(bpy.types.Operator):
    """Stop the camera search or the frame extraction. What a search has computed is kept for the next one"""

    bl_idname = "splatwright.stop_photos"
    bl_label = "Stop"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        job = at_work(context)
        return job is not None and (job.lost or not job.stopping)

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        jobs.stop(jobs.required_photos(context.scene))
        return {"FINISHED"}


class SPLATWRIGHT_OT_resume_photos(bpy.types.Operator):
    """Continue the camera search or the frame extraction with what was computed before"""

    bl_idname = "splatwright.resume_photos"
    bl_label = "Resume"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        job = jobs.current_photos(context.scene)
        return job is not None and (job.state in (JobState.INTERRUPTED, JobState.FAILED) or (job.stopped and not job.state.alive))

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        jobs.resume(jobs.required_photos(context.scene))
        return {"FINISHED"}


class SPLATWRIGHT_OT_show_photo_report(bpy.types.Operator):
    """Show which photos are registered, in an Image Editor. The text is in the Text Editor"""

    bl_idname = "splatwright.show_photo_report"
    bl_label = "Show Report"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return report_folder(context.scene) is not None

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        folder = report_folder(context.scene)
        if folder is None:
            raise UserError("There is no report.", "Find the cameras of photos first.", "photos.no_report")
        text = bpy.data.texts.get(REPORT) or bpy.data.texts.new(REPORT)
        text.from_string((folder / REPORT).read_text(encoding="utf-8"))
        if (folder / DRAWING).is_file():
            show_image(context, folder / DRAWING, DRAWING)
        return {"FINISHED"}


register, unregister = classes_factory(
    (SPLATWRIGHT_OT_frames_from_video, SPLATWRIGHT_OT_cameras_from_photos, SPLATWRIGHT_OT_stop_photos, SPLATWRIGHT_OT_resume_photos,
     SPLATWRIGHT_OT_show_photo_report))
