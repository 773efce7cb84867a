"""Cameras -> rendered images, alpha, depth and start points -> dataset folder.

capture_steps is a generator that goes from view to view: the operator runs it from a timer, capture() in one go.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from ..engine.core.camera import Camera
from ..engine.core.dataset import Dataset, PointCloud, View, held_out_names
from ..engine.core.files import make_folder, replacing
from ..engine.core.transforms_json import write_transforms
from .cameras import image_size
from .capture_request import CaptureRequest
from .dataset_folder import open_dataset_folder
from .render_passes import Render, read_depth, read_pixels, render_blocking, rendered
from .render_settings import COLOR, PLAIN_OUTPUT, Settings, overriding, png, restored_frame
from .shots import Shot, planned_shots, pose
from .start_points import join, sample_points

MILLIMETRES = 1000.0
"""Depth files are in the unit that nerfstudio reads by default."""


@dataclass(frozen=True)
class CaptureProgress:
    """`done` of `total` views are rendered."""

    done: int
    total: int
    eta_seconds: float | None = None

    @property
    def sentence(self) -> str:
        """For the status bar."""
        left = "" if self.eta_seconds is None else f", {_duration(self.eta_seconds)} left"
        return f"captured {self.done} of {self.total} views{left}"


CaptureSteps = Generator[CaptureProgress, None, Dataset]


def capture(context: bpy.types.Context, request: CaptureRequest) -> Dataset:
    """Capture everything before returning."""
    steps = capture_steps(context, request)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def capture_steps(context: bpy.types.Context, request: CaptureRequest, render: Render = render_blocking) -> CaptureSteps:
    """Capture view by view; returns the finished dataset.

    Closing the generator early, or an error, leaves what was rendered as a dataset marked incomplete. Scene settings
    are restored in every case. A finished dataset in the same folder is replaced only by a finished one.
    """
    scene, view_layer = context.scene, context.view_layer
    with ExitStack() as stack:
        stack.enter_context(restored_frame(scene))
        stack.enter_context(overriding(scene, scene_settings(scene, request)))
        stack.enter_context(overriding(view_layer, {"use_pass_z": True}))
        shots = stack.enter_context(planned_shots(context, request))
        stack.enter_context(_sharp(shots))
        folder = open_dataset_folder(request.directory)
        recorder = Recorder(folder.work, request, len(shots))
        yield from _render_all(scene, view_layer, shots, recorder, render)
        return folder.finish(recorder.dataset())


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


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
    scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer, shots: list[Shot], recorder: Recorder, render: Render
) -> Iterator[CaptureProgress]:
    started, total, eta = time.monotonic(), len(shots), None
    try:
        for done, shot in enumerate(shots):
            yield CaptureProgress(done, total, eta)
            camera = pose(scene, view_layer, shot)
            for _ in rendered(scene, recorder.next_image(), render):
                yield CaptureProgress(done, total, eta)
            recorder.add(scene, view_layer, camera)
            eta = (time.monotonic() - started) / (done + 1) * (total - done - 1)
        yield CaptureProgress(total, total, 0.0)
    finally:
        recorder.write()


class Recorder:
    """Collects the views rendered so far and keeps the folder's transforms.json up to date, marked incomplete."""

    def __init__(self, folder: Path, request: CaptureRequest, total: int):
        self.folder = folder
        self.request = request
        self.views: list[View] = []
        self.clouds: list[PointCloud] = []
        self._points_a_view = -(-request.points // total)
        self._digits = max(4, len(str(total)))
        self._rng = np.random.default_rng(0)

    def next_image(self) -> Path:
        """Where the next view's image belongs."""
        return self.folder / "images" / f"{len(self.views) + 1:0{self._digits}d}.png"

    def add(self, scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer, camera: Camera) -> None:
        """Record the view that was just rendered to next_image()."""
        image, depth_file = self.next_image(), None
        if self.request.depth or self.request.points:
            depth_file = self._add_surfaces(image, camera, read_depth(scene, view_layer))
        self.views.append(View(image.name, image, camera, depth=depth_file))
        write_transforms(self.dataset(points=False))

    def dataset(self, points: bool = True) -> Dataset:
        """Everything recorded so far, as an incomplete dataset."""
        held_out = held_out_names([view.name for view in self.views])
        views = tuple(View(view.name, view.image, view.camera, view.name in held_out, view.depth) for view in self.views)
        return Dataset(self.folder, views, join(self.clouds) if points else None, complete=False)

    def write(self) -> None:
        """Write transforms.json and the points."""
        write_transforms(self.dataset())

    def _add_surfaces(self, image: Path, camera: Camera, depth: np.ndarray | None) -> Path | None:
        if depth is None:
            return None
        if self.request.points:
            self.clouds.append(sample_points(camera, depth, read_pixels(image), self._points_a_view, self._rng))
        return self._write_depth(image.stem, depth) if self.request.depth else None

    def _write_depth(self, stem: str, depth: np.ndarray) -> Path:
        path = make_folder(self.folder / "depth") / f"{stem}.npy"
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.save(file, depth * np.float32(MILLIMETRES))
        return path
