"""The files of one view, decoded once for everybody who looks at them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from ...core.cameras.panorama import cut_face, cut_mask
from ...core.datasets.dataset import View
from ...core.images.orientation import as_seen
from .images import fast_sampling, read_image
from .maps import read_albedo, read_depth, read_labels, read_mask, read_normals


class ViewFiles:
    """Image and maps of a view, each read when it is first asked for and kept as long as this is. UserError names a bad file.

    What is stored lying and whose size fits the camera only after the image's EXIF turn is turned. Of a panorama they are the view's cut.
    """

    def __init__(self, view: View):
        self.view = view

    @cached_property
    def image(self) -> np.ndarray:
        """uint8 [H, W, 3 or 4]."""
        image = read_image(self.view.image)
        return cut_face(image, self.view.face, fast_sampling()) if self.view.face else self._turned(image)

    @cached_property
    def mask(self) -> np.ndarray | None:
        """bool [h, w], which pixels are kept; None where the view has no mask."""
        if not self.view.mask:
            return None
        mask = read_mask(self.view.mask)
        return cut_mask(mask, self.view.face) if self.view.face else self._turned(mask)

    @cached_property
    def depth(self) -> np.ndarray | None:
        """float32 [h, w] in metres, 0 where unknown; None where the view has no depth map."""
        return self._turned(read_depth(self.view.depth)) if self.view.depth else None

    @cached_property
    def normals(self) -> np.ndarray | None:
        """float32 [h, w, 3]; None where the view has no normals."""
        return self._turned(read_normals(self.view.normals)) if self.view.normals else None

    @cached_property
    def labels(self) -> np.ndarray | None:
        """uint16 [h, w], 0 where nothing is; None where the view has no labels."""
        return self._turned(read_labels(self.view.labels)) if self.view.labels else None

    @cached_property
    def albedo(self) -> np.ndarray | None:
        """float32 [h, w, 3], linear; None where the view has no albedo."""
        return self._turned(read_albedo(self.view.albedo)) if self.view.albedo else None

    def _turned(self, pixels: np.ndarray) -> np.ndarray:
        return as_seen(pixels, self.view.camera.width, self.view.camera.height, self.view.image)


Seen = Callable[[ViewFiles], None]
"""Takes what it needs of a view whose files are decoded anyway; called in several threads."""
