"""Cameras -> rendered images, alpha, depth and start points -> dataset folder.

capture_steps is a generator that goes from view to view: the operator runs it from a timer, capture() in one go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import bpy
import numpy as np

from ...engine.core.datasets.dataset import Dataset
from ...engine.core.errors import UserError
from ...engine.core.text import rough
from ..cameras import check_camera, image_size, lens_warnings
from ..scene_collections import writable_collection
from ..splats.originals import remember_originals
from ..splats.survey import scene_origin
from ..translations import tr
from ..typed import Context
from .dataset_folder import open_dataset_folder
from .motion import Motion, motion_sentence, moving_objects
from .object_labels import MATTE_SETTINGS
from .recorder import Recorder
from .render_passes import Render, render_blocking, rendered
from .render_settings import COLOR, PLAIN_OUTPUT, Settings, overriding, png, restored_frame, unbound_markers
from .request import CaptureRequest
from .rig_plan import GENERATED, RigPlan, plan
from .shots import RIG_CAMERA, Shot, animated_shots, pose, requested_cameras, selected_cameras
from .subjects import rendered_subjects

SLICE_SECONDS = 0.015
"""Of the processor, after which what is done beside the renders lets the window go on."""


@dataclass(frozen=True)
class CaptureProgress:
    """`done` of `total` views are rendered."""

    done: int
    total: int
    eta_seconds: float | None = None

    @property
    def sentence(self) -> str:
        """For the status bar."""
        left = "" if self.eta_seconds is None else tr(", {time} left", time=rough(self.eta_seconds))
        return tr("captured {done} of {total} views{left}", done=self.done, total=self.total, left=left)


_running = 0


def is_running() -> bool:
    """Whether views are being captured: cameras and settings of the scene are the capture's meanwhile."""
    return _running > 0


@contextmanager
def _marked_running() -> Iterator[None]:
    global _running
    _running += 1
    try:
        yield
    finally:
        _running -= 1


CaptureSteps = Generator[CaptureProgress, None, Dataset]
Warn = Callable[[str], None]
"""Takes a sentence about what is strange, while the capture goes on."""


def capture(context: Context, request: CaptureRequest, warn: Warn = lambda _: None) -> Dataset:
    """Capture everything before returning."""
    steps = capture_steps(context, request, warn=warn)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def capture_steps(
    context: Context, request: CaptureRequest, render: Render = render_blocking, warn: Warn = lambda _: None,
) -> CaptureSteps:
    """Capture view by view; returns the finished dataset. `warn` hears of cameras that are left out and of objects that move.

    Splats are left out; objects that are hidden because splats of them are there are captured all the same.

    Closing the generator early, or an error, leaves what was rendered as a dataset marked incomplete. Scene settings
    are restored in every case. A finished dataset in the same folder is replaced only by a finished one.
    """
    scene, view_layer = context.scene, context.view_layer
    with ExitStack() as stack:
        subjects = stack.enter_context(rendered_subjects(context, warn))
        stack.enter_context(_marked_running())
        stack.enter_context(restored_frame(scene))
        stack.enter_context(overriding(scene, scene_settings(scene, request)))
        stack.enter_context(overriding(view_layer, view_layer_settings(request)))
        shots = stack.enter_context(_planned_shots(context, request, warn))
        stack.enter_context(unbound_markers(scene))
        stack.enter_context(_sharp(shots))
        folder = open_dataset_folder(request.directory)
        recorder = Recorder(folder.work, request, len(shots))
        told = moving_objects(context, [shot.frame for shot in shots if shot.frame is not None])
        _warn_of(told, warn)
        motion = Motion()
        yield from _render_all(scene, view_layer, shots, recorder, render, motion)
        _warn_of(motion.names - told, warn)
        dataset = folder.finish(replace(recorder.dataset(), offset=scene_origin(scene)))
        remember_originals(scene, subjects)
        return dataset


def capture_warnings(context: Context, request: CaptureRequest) -> list[str]:
    """Sentences about what the capture will leave out."""
    cameras = [] if request.source in GENERATED else requested_cameras(context, request)
    return [*lens_warnings(context.scene, cameras), *_marker_warnings(context, request, cameras)]


def _marker_warnings(context: Context, request: CaptureRequest, cameras: Sequence[bpy.types.Object]) -> list[str]:
    """A sentence where markers switch cameras and the active one takes all frames nevertheless."""
    bound = {marker.camera for marker in context.scene.timeline_markers if marker.camera}
    if request.source != "ANIMATION" or len(cameras) != 1 or not bound - set(cameras):
        return []
    return [tr("Markers switch between cameras, but all frames are captured with {cameras}, the active object.", cameras=cameras[0].name)]


def _warn_of(names: set[str], warn: Warn) -> None:
    if names:
        warn(motion_sentence(names))


def scene_settings(scene: bpy.types.Scene, request: CaptureRequest) -> Settings:
    """What is set on the scene while capturing."""
    settings = {**COLOR, **PLAIN_OUTPUT, **png(request.transparent), "render.filepath": ""}
    if request.resolution:
        settings |= _resolution(scene, request.resolution)
    if request.samples:
        settings |= {"cycles.samples": request.samples, "eevee.taa_render_samples": request.samples}
    return settings


def view_layer_settings(request: CaptureRequest) -> Settings:
    """What is set on the view layer while capturing."""
    return {"use": True, "use_pass_z": True, "use_pass_normal": request.normals, **(MATTE_SETTINGS if request.objects else {})}


def _resolution(scene: bpy.types.Scene, longest: int) -> Settings:
    width, height = image_size(scene.render)
    factor = longest / max(width, height)
    return {
        "render.resolution_percentage": 100,
        "render.resolution_x": max(4, round(width * factor)),
        "render.resolution_y": max(4, round(height * factor)),
    }


@contextmanager
def _planned_shots(context: Context, request: CaptureRequest, warn: Warn) -> Iterator[list[Shot]]:
    """The shots of `request`. A generated rig's one camera exists only inside the with block."""
    if request.source == "ANIMATION":
        yield _checked(animated_shots(context, request.frame_step))
        return
    if request.source == "SELECTED":
        _checked([Shot(camera) for camera in selected_cameras(context, request)])
    found = plan(context, request)
    for sentence in found.warnings:
        warn(sentence)
    if request.source == "SELECTED":
        yield [Shot(camera) for camera in selected_cameras(context, request)]
        return
    matrices = _matrices(found)
    with _rig_camera(context.scene, request.focal_length, found.depths) as camera:
        yield [Shot(camera, matrix) for matrix in matrices]


def _matrices(found: RigPlan) -> list[np.ndarray]:
    """camera_to_world [4, 4] of all cameras that are captured from; UserError when there are none."""
    if not found.taken:
        warnings = " ".join(found.warnings)
        raise UserError(f"No generated camera can stand free. {warnings}",
                        "Switch off Avoid Walls, or choose other cameras: Walk is for interiors.",
                        "capture.nothing_free", warnings=warnings)
    return [planned.camera.camera_to_world for planned in found.taken]


def _checked(shots: list[Shot]) -> list[Shot]:
    for shot in shots:
        check_camera(shot.camera)
    return shots


@contextmanager
def _rig_camera(scene: bpy.types.Scene, focal_length: float, depths: tuple[float, float]) -> Iterator[bpy.types.Object]:
    place, lens = writable_collection(scene=scene), bpy.data.cameras.new(RIG_CAMERA)
    lens.lens, lens.sensor_width, lens.sensor_fit = focal_length, 36.0, "AUTO"
    lens.clip_start, lens.clip_end = min(lens.clip_start, depths[0] / 100), max(lens.clip_end, 4 * depths[1])
    camera = bpy.data.objects.new(RIG_CAMERA, lens)
    place.objects.link(camera)
    try:
        yield camera
    finally:
        bpy.data.objects.remove(camera)
        bpy.data.cameras.remove(lens)


def _sharp(shots: list[Shot]) -> ExitStack:
    """Depth of field is off inside this context."""
    stack = ExitStack()
    for lens in {shot.camera.data for shot in shots}:
        stack.enter_context(overriding(lens, {"dof.use_dof": False}))
    return stack


def _slices(steps: Iterator[object]) -> Iterator[None]:
    """Take all steps; yields whenever they have taken the processor for so long that the window waits for it."""
    began = time.thread_time()
    for _ in steps:
        if time.thread_time() - began > SLICE_SECONDS:
            yield
            began = time.thread_time()


def _render_all(
    scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer, shots: list[Shot], recorder: Recorder, render: Render, motion: Motion,
) -> Iterator[CaptureProgress]:
    started, total, eta = time.monotonic(), len(shots), None
    with recorder.kept():
        for done, shot in enumerate(shots):
            yield CaptureProgress(done, total, eta)
            camera = pose(scene, view_layer, shot)
            if shot.frame is not None:
                motion.look(view_layer)
            for _ in rendered(scene, recorder.next_image(), render):
                yield CaptureProgress(done, total, eta)
            for _ in _slices(recorder.add_steps(scene, view_layer, camera)):
                yield CaptureProgress(done, total, eta)
            eta = (time.monotonic() - started) / (done + 1) * (total - done - 1)
        yield CaptureProgress(total, total, 0.0)
