"""Cameras -> rendered images, alpha, depth and start points -> dataset folder.

capture_steps is a generator that goes from view to view: the operator runs it from a timer, capture() in one go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import bpy

from ...engine.core.datasets.dataset import Dataset
from ...engine.core.text import rough
from ..cameras import image_size, lens_warnings
from ..splats.originals import remember_originals
from ..splats.survey import scene_origin
from ..translations import tr
from ..typed import Context
from .dataset_folder import open_dataset_folder
from .motion import Motion, motion_sentence, moving_objects
from .recorder import Recorder
from .render_passes import Render, render_blocking, rendered
from .render_settings import COLOR, PLAIN_OUTPUT, Settings, overriding, png, restored_frame, unbound_markers
from .request import CaptureRequest
from .shots import Shot, planned_shots, pose, requested_cameras
from .subjects import rendered_subjects


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
    """Capture view by view; returns the finished dataset. `warn` hears of objects that move while frames are captured.

    Splats are left out; objects that are hidden because splats of them are there are captured all the same.

    Closing the generator early, or an error, leaves what was rendered as a dataset marked incomplete. Scene settings
    are restored in every case. A finished dataset in the same folder is replaced only by a finished one.
    """
    scene, view_layer = context.scene, context.view_layer
    with ExitStack() as stack:
        subjects = stack.enter_context(rendered_subjects(context, warn))
        stack.enter_context(restored_frame(scene))
        stack.enter_context(overriding(scene, scene_settings(scene, request)))
        stack.enter_context(overriding(view_layer, {"use": True, "use_pass_z": True, "use_pass_normal": request.normals}))
        shots = stack.enter_context(planned_shots(context, request))
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
    cameras = [] if request.source in ("DOME", "ORBIT") else requested_cameras(context, request)
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


def _resolution(scene: bpy.types.Scene, longest: int) -> Settings:
    width, height = image_size(scene.render)
    factor = longest / max(width, height)
    return {
        "render.resolution_percentage": 100,
        "render.resolution_x": max(4, round(width * factor)),
        "render.resolution_y": max(4, round(height * factor)),
    }


def _sharp(shots: list[Shot]) -> ExitStack:
    """Depth of field is off inside this context."""
    stack = ExitStack()
    for lens in {shot.camera.data for shot in shots}:
        stack.enter_context(overriding(lens, {"dof.use_dof": False}))
    return stack


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
            recorder.add(scene, view_layer, camera)
            eta = (time.monotonic() - started) / (done + 1) * (total - done - 1)
        yield CaptureProgress(total, total, 0.0)
