"""What a capture has rendered so far, as a dataset on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import bpy
import numpy as np

from ...engine.core.cameras.camera import Camera
from ...engine.core.datasets.dataset import Dataset, PointCloud, View, held_out_names
from ...engine.core.datasets.labels import LABELS, write_labels
from ...engine.core.datasets.transforms_json import add_view, write_transforms
from ...engine.core.errors import UserError
from ...engine.core.files import make_folder, remove_file, replacing
from ...engine.core.images.png import write_png
from ..typed import untyped
from ..ui.steps import Steps, in_thread
from .object_labels import label_map
from .placed_things import DrawnObject, PlacedThings
from .render_passes import Passes, passes_steps, read_pixels
from .request import CaptureRequest
from .start_points import join, sample_points

MILLIMETRES = 1000.0
"""Depth files are in the unit that nerfstudio reads by default."""


class Recorder:
    """Collects the views rendered so far. A journal beside transforms.json names them, so that a capture that is killed loses none."""

    def __init__(self, folder: Path, request: CaptureRequest, total: int):
        self.folder = folder
        self.request = request
        self.views: list[View] = []
        self.clouds: list[PointCloud] = []
        self._points_a_view = -(-request.points // total)
        self._digits = max(4, len(str(total)))
        self._rng = np.random.default_rng(0)
        self._things = PlacedThings()
        self._labels_file: Path | None = None
        self._drawn: tuple[int, list[DrawnObject]] = (0, [])  # the frame, and what it shows

    def next_image(self) -> Path:
        """Where the next view's image belongs."""
        return self.folder / "images" / f"{len(self.views) + 1:0{self._digits}d}.png"

    def add_steps(self, scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer, camera: Camera) -> Steps[None]:
        """Record the view that was just rendered to next_image(); yields between the parts of the work, recorded with the last one."""
        image, depth, normals = self.next_image(), None, None
        labels = None
        if self.request.depth or self.request.normals or self.request.objects or self.request.points:
            passes = yield from passes_steps(scene, view_layer)
            yield from self._add_points(image, camera, passes)
            depth = self._write_depth(image.stem, passes)
            yield
            normals = self._write_normals(image.stem, passes)
            yield
            labels = yield from self._labels_steps(image.stem, scene, view_layer, camera, passes)
        self.views.append(View(image.name, image, camera, depth=depth, normals=normals, labels=labels))
        add_view(self.views[-1], self.folder)

    def dataset(self) -> Dataset:
        """Everything recorded so far, as an incomplete dataset."""
        held_out = held_out_names([view.name for view in self.views])
        views = tuple(replace(view, held_out=view.name in held_out) for view in self.views)
        return Dataset(self.folder, views, join(self.clouds), complete=False, rendered=True, labels_file=self._labels_file)

    def write(self) -> None:
        """Write transforms.json and the points."""
        write_transforms(self.dataset())

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Write what is recorded when the with block ends, however it ends; its own error is the one to tell."""
        try:
            yield
        except Exception:
            with suppress(UserError):
                self.write()
            raise
        except GeneratorExit:
            with suppress(OSError):
                remove_file(self.next_image())  # rendered, but not recorded
            self.write()
            raise
        self.write()

    def _add_points(self, image: Path, camera: Camera, passes: Passes) -> Iterator[None]:
        if self.request.points and passes.depth is not None:
            count = min(self._points_a_view, self.request.points - sum(map(len, self.clouds)))
            pixels = read_pixels(image)
            yield
            self.clouds.append(sample_points(camera, passes.depth, pixels, count, self._rng))
            yield

    def _write_depth(self, stem: str, passes: Passes) -> Path | None:
        if not self.request.depth or passes.depth is None:
            return None
        return self._saved("depth", stem, passes.depth * np.float32(MILLIMETRES))

    def _write_normals(self, stem: str, passes: Passes) -> Path | None:
        if not self.request.normals or passes.normals is None:
            return None
        return self._saved("normals", stem, passes.normals.astype(np.float16))

    def _labels_steps(
        self, stem: str, scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer, camera: Camera, passes: Passes,
    ) -> Steps[Path | None]:
        if not self.request.objects or passes.mattes is None:
            return None
        self._look_at_things(scene, view_layer)
        labels = yield from in_thread(partial(label_map, passes.mattes, self._drawn[1], camera, passes.depth))
        path = make_folder(self.folder / "labels") / f"{stem}.png"
        write_png(path, labels)
        return path

    def _look_at_things(self, scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer) -> None:
        """List what is drawn, again in each frame, and name new things: beside the first maps, so that a killed capture has them."""
        known = len(self._things.labels)
        if not self._drawn[1] or scene.frame_current != self._drawn[0]:
            view_layer.update()  # makes what it does not have yet
            self._drawn = scene.frame_current, self._things.drawn(view_layer, untyped(view_layer).depsgraph)
        if len(self._things.labels) > known:
            self._labels_file = self.folder / LABELS
            write_labels(self._labels_file, self._things.labels)
            if not known:
                self.write()

    def _saved(self, kind: str, stem: str, array: np.ndarray) -> Path:
        path = make_folder(self.folder / kind) / f"{stem}.npy"
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.save(file, array)
        return path
