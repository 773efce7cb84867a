"""The maps of a view at the size that is trained on, as buffers of Model.contribution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.cameras.camera import Camera
from ...core.cameras.distortion import undistort_image
from ..backend import Target
from ..data.images import area_average, fast_sampling, fitted_camera
from ..data.maps import check_size, reduced_normals
from ..data.view_files import ViewFiles


@dataclass(frozen=True)
class ViewMaps:
    """What is known of the pixels of one view; each map is read when it is asked for. UserError names one that is bad."""

    files: ViewFiles
    target: Target  # of full size: its camera has no distortion

    @property
    def camera(self) -> Camera:
        """That sees what the buffers show."""
        return self.target.camera

    def coverage(self) -> np.ndarray:
        """How much of each pixel something covers, by the image's alpha: float32 [H, W]."""
        image = self.target.image
        return image[..., 3].astype(np.float32) / 255 if image.shape[2] == 4 else np.ones(image.shape[:2], np.float32)

    def labels(self) -> np.ndarray:
        """The number of each pixel, uint16 [h, w] of the map's own size."""
        labels = self.files.labels
        assert labels is not None and self.files.view.labels is not None
        check_size(self.files.view.labels, labels, self.files.view.camera, self.files.view.image.name)
        return labels

    def shares(self, labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """How much of each pixel has each of some numbers, float32 [len(numbers), H, W]."""
        return self._reduced((labels[..., None] == numbers).astype(np.float32))

    def albedo(self) -> np.ndarray:
        """Linear colour times coverage, float32 [3, H, W]."""
        albedo = self.files.albedo
        assert albedo is not None and self.files.view.albedo is not None
        check_size(self.files.view.albedo, albedo, self.files.view.camera, self.files.view.image.name)
        return self._reduced(albedo)

    def normals(self) -> np.ndarray:
        """Unit vectors in Blender's world, 0 where unknown: float32 [3, H, W]. Only of a lens without distortion."""
        normals = self.files.normals
        assert normals is not None and self.files.view.normals is not None
        check_size(self.files.view.normals, normals, self.files.view.camera, self.files.view.image.name)
        return _planar(reduced_normals(normals, self.camera.width, self.camera.height))

    def _reduced(self, pixels: np.ndarray) -> np.ndarray:
        """A map float32 [h, w, C] as the camera of the target sees it, planar."""
        camera = fitted_camera(self.files.view, pixels)
        if camera.distortion:
            return _planar(undistort_image((255 * pixels + 0.5).astype(np.uint8), camera, self.camera, fast_sampling()) / np.float32(255))
        if pixels.shape[:2] == (self.camera.height, self.camera.width):
            return _planar(pixels)
        return _planar(area_average(pixels, self.camera.width, self.camera.height))


def _planar(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)
