"""Views as training targets: undistorted, reduced to the sizes of the schedule, kept as bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from ...core.cameras.camera import Camera
from ...core.cameras.distortion import forget_samples, undistort_image, undistorted_camera
from ...core.datasets.dataset import View
from ..backend import Target
from .images import area_average, each_in_threads, fast_sampling, fitted_camera
from .maps import Maps, MapSelection, check_size, emptied
from .view_files import ViewFiles

REDUCTIONS = (1, 2, 4)
SMALLEST_SIDE = 8
ONLY_MASKS = MapSelection()


@dataclass(frozen=True)
class TargetPyramid:
    """One view at full, half and quarter size."""

    full: Target
    half: Target
    quarter: Target

    def at(self, reduction: int) -> Target:
        """The target at 1, 1/2 or 1/4 of the size."""
        return {1: self.full, 2: self.half, 4: self.quarter}[reduction]


def load_targets(views: Sequence[View], resolution: int, wanted: MapSelection = ONLY_MASKS,
                 tick: Callable[[], None] = lambda: None) -> list[TargetPyramid]:
    """Read every view at no more than `resolution` pixels on the longest side, numbered in their order; held-out ones are no photo.

    `tick` is called for each, in the caller's thread.
    """
    pyramids = []
    numbered = [(-1 if view.held_out else number, view) for number, view in enumerate(views)]
    with closing(each_in_threads(lambda item: load_pyramid(item[1], resolution, wanted, number=item[0]), numbered)) as loaded:
        for pyramid in loaded:
            tick()
            pyramids.append(pyramid)
    forget_samples()
    return pyramids


def load_pyramid(view: View, resolution: int, wanted: MapSelection = ONLY_MASKS, number: int = -1) -> TargetPyramid:
    """Read one view and the maps beside it; UserError names the file when it is damaged or does not fit its camera."""
    return pyramid_of(ViewFiles(view), resolution, wanted, number)


def pyramid_of(files: ViewFiles, resolution: int, wanted: MapSelection = ONLY_MASKS, number: int = -1) -> TargetPyramid:
    """The targets of a view; UserError as in load_pyramid.

    `number` is the targets' `view`. Where masks mean emptiness the images are transparent there and the targets carry no mask.
    """
    image = files.image
    camera = fitted_camera(files.view, image)
    maps = maps_of(files, camera, wanted)
    if maps.mask is not None and wanted.mask_meaning == "empty":
        image, maps = emptied(image, maps.mask), replace(maps, mask=None)
    pixels, pinhole = _premultiplied(image), undistorted_camera(camera)
    maps = maps.undistorted(camera, pinhole)
    cameras = [pinhole.resized(*size) for size in sizes(pinhole, resolution)]
    largest = cameras[0]
    full = (undistort_image(pixels, camera, largest, fast_sampling()) if camera.distortion
            else area_average(pixels, largest.width, largest.height))
    return TargetPyramid(*(Target(to, _straight(area_average(full, to.width, to.height)), number, **maps.reduced(to.width, to.height))
                           for to in cameras))


def maps_of(files: ViewFiles, camera: Camera, wanted: MapSelection) -> Maps:
    """The maps of a view whose image `camera` took; UserError names the file that is damaged, missing, or of other proportions."""
    view = files.view
    maps = Maps(files.mask, files.depth if wanted.depth else None, files.normals if wanted.normals else None)
    for path, array in ((view.mask, maps.mask), (view.depth, maps.depth), (view.normals, maps.normals)):
        if path is not None and array is not None:
            check_size(path, array, camera, view.image.name)
    return maps


def sizes(camera: Camera, resolution: int) -> list[tuple[int, int]]:
    """Width and height of the full, half and quarter size: no more than `resolution` on the longest side, never tiny."""
    factor = min(1.0, resolution / max(camera.width, camera.height))
    width, height = round(camera.width * factor), round(camera.height * factor)
    return [(max(SMALLEST_SIDE, width // n), max(SMALLEST_SIDE, height // n)) for n in REDUCTIONS]


def _premultiplied(image: np.ndarray) -> np.ndarray:
    """An image uint8 as uint16 times its alpha. Opaque images stay as they are, without their alpha."""
    if image.shape[2] < 4 or (image[..., 3] == 255).all():
        return image[..., :3]
    return fast_sampling().premultiplied(image)


def _straight(image: np.ndarray) -> np.ndarray:
    """The inverse of _premultiplied for averages float32 [H, W, C], rounded to uint8."""
    if image.shape[2] == 4:
        alpha = image[..., 3:] / 255
        image = np.concatenate([image[..., :3] / np.maximum(alpha, 1e-6), alpha], axis=2)
    return (image + 0.5).clip(0, 255).astype(np.uint8)
