"""Work on photos and videos in the scene: what a finished job leaves is brought into it.

Nothing is kept of Blender's data: scenes name the job that their Photos panel is about.
"""

from __future__ import annotations

from pathlib import Path

import bpy

from ...engine.core.datasets.read import read_dataset
from ...engine.core.errors import UserError
from ...engine.core.protocol.events import Finding
from ...engine.core.protocol.spec import kind_of, output_of
from ...engine.jobs.local_engine import Engine
from ..photos.posed_photos import import_photos
from ..properties.datasets import is_copy
from ..typed import operators, scene_settings
from .job_status import WatchedJob


def works_on_photos(engine: Engine, job: str) -> bool:
    """Whether a job looks for cameras or takes pictures from a video, instead of training."""
    try:
        return kind_of(engine.spec(job)).makes == "photos"
    except (UserError, OSError):
        return False


def import_result(job: WatchedJob) -> None:
    """Import the dataset of a finished search in one undo step; let a video's pictures be the Photos panel's next folder."""
    job.imported = True
    if job.stopped:
        return
    try:
        found = result_of(job)
        for scene in _scenes_of(job.name):
            if job.posed is None:
                scene_settings(scene).photos.directory = str(found)
            else:
                import_photos(read_dataset(found), found, scene.collection, job.engine.spec(job.name).name)
                scene_settings(scene).train.dataset = str(found)
            scene_settings(scene).imported_photo_job = job.name
    except UserError as error:
        job.findings.append(Finding("error", error.message, error.hint, code=error.code, values=error.values))
        return
    operators().ed.undo_push(message="Cameras from Photos" if job.posed else "Frames from Video")


def result_of(job: WatchedJob) -> Path:
    """The folder of the dataset that a search made, or of the pictures of a video. UserError when it is gone."""
    folder = output_of(job.engine.spec(job.name))
    found = job.engine.file(job.name, str(folder)) if folder is not None else None
    if found is None:
        raise UserError("What the job made is not there any more.", "Start it again.", "job.result_gone")
    return found


def is_imported(job: WatchedJob) -> bool:
    """Whether the job's result was brought into this file before."""
    return any(scene_settings(scene).imported_photo_job == job.name for scene in bpy.data.scenes)


def clear_imported(job: str) -> None:
    """Forget that the result was brought in: another one will come."""
    for scene in bpy.data.scenes:
        if scene_settings(scene).imported_photo_job == job:
            scene_settings(scene).imported_photo_job = ""


def _scenes_of(job: str) -> list[bpy.types.Scene]:
    return [scene for scene in bpy.data.scenes if scene_settings(scene).photo_job == job and scene.library is None and not is_copy(scene)]
