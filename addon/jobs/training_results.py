"""The splats of a training in the scene: its preview while it runs, its result at the end.

Files are read in a thread, and many splats are written in steps into points of their own, which take the place of the former at
once: whoever looks, renders or undoes meanwhile meets whole splats. No reference to Blender's data is kept: an object is found by the
job that it names, so undo, deletion and reopened files do no harm.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import bpy

from ...engine.core.errors import UserError
from ...engine.core.formats.ply import read_ply
from ...engine.core.formats.splat_file import SplatFile
from ...engine.core.formats.strange_values import spread_of
from ...engine.core.protocol.events import Finding
from ...engine.core.protocol.spec import JobSpec
from ..photos.posed_photos import adopt, root_of
from ..properties.datasets import captured_datasets, is_copy
from ..scene_collections import writable_collection
from ..splats.display import schema
from ..splats.extras import write_extras
from ..splats.object_labels import keep_names
from ..splats.originals import hide_originals_of
from ..splats.packing import Layers, Schema, pack, size_of
from ..splats.splat_object import filling_steps, place_points, take_points, write_packed
from ..splats.survey import follow_offset, place_in_survey
from ..typed import current_context, operators, point_cloud, scene_settings, splat_settings
from ..ui.steps import Steps, in_thread
from .job_status import WatchedJob

NAME = "Splats"

WRITTEN_AT_ONCE = 32_000_000
"""Bytes of attributes that are written in place: a preview of 200,000 splats, some milliseconds."""


def splat_object(job: str) -> bpy.types.Object | None:
    """The object that shows a job's splats; one that is linked from another file or was converted is left alone."""
    return next((found for found in bpy.data.objects if splat_settings(found).job == job and found.type == "POINTCLOUD"
                 and found.library is None and point_cloud(found).library is None), None)


def may_change(job: str) -> bool:
    """Whether splats can be written now: a render reads them from another thread, and an editor holds a copy of its own."""
    found = splat_object(job)
    return not bpy.app.is_job_running("RENDER") and (found is None or found.mode == "OBJECT")


def scenes_of(job: str) -> list[bpy.types.Scene]:
    """The scenes whose Train panel is about a job."""
    return [scene for scene in bpy.data.scenes if scene_settings(scene).job == job and scene.library is None and not is_copy(scene)]


def preview_steps(job: WatchedJob) -> Steps[None]:
    """Rewrite the splats of the job's object; the first preview makes it. No undo step. Closed early they change nothing.

    Steps are taken only while may_change(), as those of result_steps().
    Once the user has deleted the object there are no more previews; the result comes back all the same.
    """
    job.preview_due = False
    path = job.engine.file(job.name, "preview.ply")
    if path is None or (job.has_object and splat_object(job.name) is None):
        return
    start = time.monotonic()
    with suppress(UserError):  # the next one will do
        found, layers = yield from in_thread(partial(_read, path, _schema(job.name)))
        if len(found.gaussians):
            yield from _showing_steps(job, found, layers)
    job.preview_took(time.monotonic() - start)


def result_steps(job: WatchedJob) -> Steps[None]:
    """Replace the preview by the result, in one undo step. Closed early they change nothing."""
    job.preview_due = False
    path = job.engine.file(job.name, "result.ply")
    if path is None:
        job.imported = True
        job.findings.append(Finding("error", "The training's result is missing.", "Resume the training to write it again.",
                                    code="training.result_missing"))
        return
    try:
        found, layers = yield from in_thread(partial(_read, path, _schema(job.name)))
    except UserError as error:
        job.imported = True
        job.findings.append(Finding("error", error.message, "Resume the training to write it again.",
                                    code=error.code, values=error.values))
        return
    made = yield from _showing_steps(job, found, layers)
    if found.extra is not None:
        write_extras(made, found.extra)
        keep_names(made, path.parent)
    settings = splat_settings(made)
    settings.source, settings.checksum, job.imported = str(path), "", True
    for scene in scenes_of(job.name):
        scene_settings(scene).imported_job = job.name
    operators().ed.undo_push(message="Train Splats")


def is_imported(job: WatchedJob) -> bool:
    """Whether the job's result was brought into this file before."""
    found = splat_object(job.name)
    if any(scene_settings(scene).imported_job == job.name for scene in bpy.data.scenes):
        return True
    return found is not None and _same_file(splat_settings(found).source, job.engine.file(job.name, "result.ply"))


def clear_imported(job: str) -> None:
    """Forget that the result was brought in: another one will come."""
    for scene in scenes_of(job):
        scene_settings(scene).imported_job = ""
    found = splat_object(job)
    if found is not None:
        splat_settings(found).source = ""


def _read(path: Path, wanted: Schema) -> tuple[SplatFile, Layers]:
    """A file's splats and their attributes. For a thread."""
    found = read_ply(path)
    return found, pack(found.gaussians, wanted)


def _schema(job: str) -> Schema:
    """The attributes of the object that shows a job's splats, or will."""
    found = splat_object(job)
    return schema(splat_settings(found).display) if found is not None else schema()


def _showing_steps(job: WatchedJob, splats: SplatFile, layers: Layers) -> Steps[bpy.types.Object]:
    """Let the job's object show splats; without one it is made."""
    found = splat_object(job.name)
    if found is not None and size_of(layers) <= WRITTEN_AT_ONCE:
        write_packed(found, layers, splats.antialiased)
        follow_offset(found, splats.offset)
        return found
    return _show(job, splats, (yield from filling_steps(NAME, layers, splats.antialiased)))


def _show(job: WatchedJob, splats: SplatFile, points: bpy.types.PointCloud) -> bpy.types.Object:
    """Let the job's object have these points."""
    found = splat_object(job.name)
    if found is None:
        found = place_points(NAME, points, _collection(job.name), splats.antialiased)
        splat_settings(found).job = job.name
        place_in_survey(found, splats.offset, spread_of(splats.gaussians.means).radius, _scene_of(job.name))
        _prepare_scene(found, job)
    else:
        take_points(found, points, splats.antialiased)
        follow_offset(found, splats.offset)
    job.has_object = True
    return found


def _prepare_scene(made: bpy.types.Object, job: WatchedJob) -> None:
    """Splats of posed photos lie where their empty puts them: the alignment of the photos holds for every training. Splats of the
    scene's own captures stand where the captured objects are, which are hidden."""
    with suppress(UserError, OSError):
        spec = job.engine.spec(job.name)
        if not isinstance(spec, JobSpec):
            return
        root = root_of(spec.dataset)
        if root is not None:
            adopt(root, made)
        if any(spec.dataset in captured_datasets(scene) for scene in scenes_of(job.name)):
            hide_originals_of(made)


def _collection(job: str) -> bpy.types.Collection:
    """Where a new splat object goes."""
    return writable_collection(scene=_scene_of(job))


def _scene_of(job: str) -> bpy.types.Scene:
    """The job's scene, or the one that is open."""
    return next(iter(scenes_of(job)), current_context().scene)


def _same_file(one: str, other: Path | None) -> bool:
    return other is not None and bool(one) and Path(bpy.path.abspath(one)) == other
