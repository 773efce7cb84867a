"""What the entries of a batch ask for, looked at before anything begins: cameras, folders, room on the disk."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import bpy

from ...engine.batch.tasks import Task, fingerprint, read_record
from ...engine.core.errors import UserError
from ...engine.core.files import disk_error
from ...engine.core.protocol.config import PRESETS, TrainConfig
from ..cameras import camera_at, check_camera, image_size
from ..capture.dataset_folder import captured_images, check_dataset_folder
from ..capture.request import CaptureRequest
from ..capture.shots import has_geometry, is_visible_subject
from ..properties.batch import AS_IN_TRAIN, BatchEntry, cameras_of
from ..properties.paths import absolute_folder
from ..translations import tr
from ..typed import current_context, scene_settings

COLOR_BYTES, DEPTH_BYTES, NORMAL_BYTES = 2, 4, 6
"""What a pixel takes on the disk: in a PNG about half of its four bytes, in the files of maps all of them."""

LATER = ("avoid_walls", "path", "eye_height")
"""Settings that fingerprints have only where they are not at their defaults, so that captures from before there were these stay valid."""


@dataclass(frozen=True)
class BatchPlan:
    """A capture that can begin, and the task with its progress."""

    task: Task
    scene: str
    request: CaptureRequest

    @property
    def asked(self) -> str:
        """Fingerprint of what is captured, wherever it is written."""
        size = image_size(bpy.data.scenes[self.scene].render)
        request = asdict(replace(self.request, directory=Path()))
        known = {name: value for name, value in request.items() if name not in LATER or not _is_default(name, value)}
        return fingerprint([self.scene, size, self.task.images, known])

    @property
    def ready(self) -> int:
        """Images of the dataset when just this has been captured already, else 0."""
        record = read_record(self.request.directory)
        return captured_images(self.request.directory) if record is not None and record.asked == self.asked else 0


@dataclass(frozen=True)
class Views:
    """Which views of a scene: ALL its cameras, those of a COLLECTION, or what its panel Capture says (RIG)."""

    scene: bpy.types.Scene
    cameras: str
    collection: bpy.types.Collection | None = None


def plan_of(entry: BatchEntry) -> BatchPlan:
    """The plan of one entry; UserError in a sentence about what is wrong with it."""
    if entry.scene is None:
        raise UserError("No scene is chosen.", "Choose a scene, or remove the entry.", "batch.no_scene")
    folder = absolute_folder(entry.directory)
    views = Views(entry.scene, entry.cameras, entry.collection)
    return make_plan(entry.name or folder.name, views, folder, _config(entry) if entry.train else None)


def make_plan(name: str, views: Views, folder: Path, config: TrainConfig | None) -> BatchPlan:
    """The capture of some views into a folder, with the other settings of the scene's panel Capture; UserError when it cannot work."""
    settings = scene_settings(views.scene).capture
    values = {field.name: getattr(settings, field.name) for field in fields(CaptureRequest) if hasattr(settings, field.name)}
    request = CaptureRequest(**{**values, "directory": folder, **_chosen_cameras(views)})
    return BatchPlan(Task(name, folder, config, images=_count(views.scene, request)), views.scene.name, request)


def layer_of(scene: bpy.types.Scene) -> bpy.types.ViewLayer:
    """The view layer that is captured: the one that is shown, or the first of a scene that is not."""
    return current_context().view_layer if scene == current_context().scene else scene.view_layers[0]


@contextmanager
def showing(name: str) -> Iterator[None]:
    """The window shows a scene inside this context: Blender renders and evaluates the one that it shows. KeyError when it is gone."""
    scene = bpy.data.scenes[name]
    window, layer = current_context().window or current_context().window_manager.windows[0], layer_of(scene)
    before = window.scene, window.view_layer
    try:
        window.scene, window.view_layer = scene, layer
        yield
    finally:
        window.scene, window.view_layer = before


def check_apart(plans: Sequence[BatchPlan]) -> None:
    """UserError when two plans write to the same folder."""
    seen: dict[str, BatchPlan] = {}
    for plan in plans:
        key = os.path.normcase(plan.task.dataset).casefold()
        if key in seen:
            raise UserError(f"{seen[key].task.name} and {plan.task.name} have the same folder: {plan.task.dataset}.",
                            "Give each entry a folder of its own.", "batch.same_folder", task=seen[key].task.name, other=plan.task.name,
                            dataset=plan.task.dataset)
        seen[key] = plan


def check_places(plan: BatchPlan) -> None:
    """UserError when the plan's folder holds other things or cannot be written. Leaves nothing behind."""
    folder = plan.task.dataset
    check_dataset_folder(folder)
    existing = next(found for found in (folder, *folder.parents) if found.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise disk_error(folder, error) from error


def check_room(plans: Sequence[BatchPlan]) -> None:
    """UserError when what is still to be captured will not fit on its disk."""
    needed: dict[int, int] = {}
    for plan in plans:
        if not plan.ready:
            existing = next(found for found in (plan.task.dataset, *plan.task.dataset.parents) if found.exists())
            disk = existing.stat().st_dev
            needed[disk] = needed.get(disk, 0) + _bytes(plan)
            free = shutil.disk_usage(existing).free
            if needed[disk] > free:
                raise UserError(f"The captures need about {needed[disk] / 1e9:.1f} GB, and the disk of {plan.task.dataset} has "
                                f"{free / 1e9:.1f} GB free.", "Free some space, choose another disk, or lower the resolution.",
                                "batch.space", needed=needed[disk] / 1e9, dataset=plan.task.dataset, free=free / 1e9)


def _is_default(name: str, value: Any) -> bool:
    """Whether a setting of a capture is what it is by itself, as near as Blender keeps numbers."""
    default = getattr(CaptureRequest, name)
    return math.isclose(value, default, rel_tol=1e-6) if isinstance(default, float) else value == default


def _config(entry: BatchEntry) -> TrainConfig:
    if entry.preset == AS_IN_TRAIN:
        return scene_settings(entry.scene).train.to_config()
    return TrainConfig(**PRESETS[entry.preset].settings).validate()


def _chosen_cameras(views: Views) -> dict[str, object]:
    """What of a request the views decide: the source, and the names of the cameras where they are known beforehand."""
    scene, layer = views.scene, layer_of(views.scene)
    source = scene_settings(scene).capture.cameras_from
    if views.cameras == "RIG" and source != "SELECTED":
        _check_rig(scene, layer, source)
        return {"source": source}
    wanted, where = _wanted(views, layer)
    cameras = cameras_of([item for item in layer.objects if item in wanted])
    if not cameras:
        raise UserError(f"{where} has no camera.", "Choose other cameras, or a dome in the panel Capture and As in Capture here.",
                        "batch.no_camera", where=where)
    for camera in cameras:
        check_camera(camera)
    return {"source": "SELECTED", "cameras": tuple(sorted(camera.name_full for camera in cameras))}


def _wanted(views: Views, layer: bpy.types.ViewLayer) -> tuple[set[bpy.types.Object], str]:
    """The objects that the cameras are among, and what to call them in a sentence."""
    match views.cameras:
        case "COLLECTION" if views.collection is None:
            raise UserError("No collection of cameras is chosen.", "Choose a collection.", "batch.no_collection")
        case "COLLECTION" if views.collection is not None:
            return set(views.collection.all_objects), tr("The collection {collection} in the scene {scene}",
                                                         collection=views.collection.name, scene=views.scene.name)
        case "RIG":
            return {item for item in layer.objects if item.select_get(view_layer=layer)}, tr("The selection in the scene {scene}",
                                                                                             scene=views.scene.name)
        case _:
            return set(layer.objects), tr("The scene {scene}", scene=views.scene.name)


def _check_rig(scene: bpy.types.Scene, layer: bpy.types.ViewLayer, source: str) -> None:
    """UserError when a generated rig has nothing to stand around, or there is no camera whose frames to take."""
    if source == "ANIMATION":
        active = layer.objects.active
        camera = active if active and active.type == "CAMERA" else camera_at(scene, scene.frame_start)
        if camera is None:
            raise UserError(f"The scene {scene.name} has no camera to take the frames of.", "Make the animated camera its active object.",
                            "batch.no_animated_camera", scene=scene.name)
        check_camera(camera)
        return
    path = scene_settings(scene).capture.path
    if source == "WALK" and path:
        if not any(item.name_full == path for item in layer.objects):
            raise UserError(f"The curve {path} is not in the scene {scene.name}.", "Choose another path in its panel Capture.",
                        "batch.no_path", path=path, scene=scene.name)
        return
    chosen = {child for item in layer.objects if item.select_get(view_layer=layer) for child in (item, *item.children_recursive)}
    visible = [item for item in layer.objects if is_visible_subject(item, layer)]
    if not any(has_geometry(item) or item.instance_collection for item in (*chosen, *visible)):
        raise UserError(f"There is nothing to look at in the scene {scene.name}.",
                        "Add or show there the objects that the generated cameras shall surround.", "batch.nothing_visible",
                        scene=scene.name)


def _count(scene: bpy.types.Scene, request: CaptureRequest) -> int:
    """How many views will be captured."""
    if request.source == "ANIMATION":
        return len(range(scene.frame_start, scene.frame_end + 1, request.frame_step))
    return len(request.cameras) or request.count


def _bytes(plan: BatchPlan) -> int:
    """About what the dataset takes on the disk."""
    width, height = image_size(bpy.data.scenes[plan.scene].render)
    factor = plan.request.resolution / max(width, height) if plan.request.resolution else 1.0
    a_pixel = COLOR_BYTES + DEPTH_BYTES * plan.request.depth + NORMAL_BYTES * plan.request.normals
    return round(plan.task.images * width * height * factor**2 * a_pixel)
