"""A dataset: posed images, the train/eval split and start points. Formats are read by transforms_json and colmap."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..cameras.camera import Camera
from ..errors import UserError
from ..splats.offset import NO_OFFSET, Offset
from ..splats.region import Region

EVAL_EVERY = 8
"""Every eighth view by file name is held out, as the field does."""

Part = Literal["view", "mask", "depth", "normals", "labels", "albedo", "weights", "points"]
"""What is left out of a dataset: a view, or one of the files beside the images."""


@dataclass(frozen=True)
class View:
    """One image and the camera that took it. `held_out` views are for evaluation only and never trained on.

    Beside it there may be a mask (white: learn from it, black: see TrainConfig.mask_meaning), a depth map (millimetres along the
    camera's axis, 0: unknown), a normal map (unit vectors in Blender's world, 0: unknown), labels (the number of the object that each
    pixel shows, 0: none), albedo (display values of the surface's colour without light) and weights (white: learn from it in full);
    training.data.maps reads them.
    """

    name: str
    image: Path
    camera: Camera
    held_out: bool = False
    depth: Path | None = None
    mask: Path | None = None
    normals: Path | None = None
    labels: Path | None = None
    albedo: Path | None = None
    weights: Path | None = None
    face: str = ""
    """of an equirectangular `image` the cut that the view is, one of cameras.panorama.FACES; empty: the whole image"""

    @property
    def files(self) -> tuple[Path, ...]:
        """Image and maps."""
        paths = (self.image, self.depth, self.mask, self.normals, self.labels, self.albedo, self.weights)
        return tuple(path for path in paths if path is not None)


@dataclass(frozen=True)
class PointCloud:
    """Coloured start points."""

    positions: np.ndarray  # [N, 3] float32, Blender's world; float64 as readers of datasets hand them to recentred()
    colors: np.ndarray  # [N, 3] uint8, display colours

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True)
class LeftOut:
    """Something of a dataset that cannot be used. A view is left out whole; of a bad map or bad points only these are lost.

    `reason` is half a sentence that says what is wrong, with file, line and value where they are known.
    """

    name: str  # of the view, or of the file
    reason: str
    part: Part = "view"
    misread: bool = False  # the map can be read, and means something else than a training takes it for


@dataclass(frozen=True)
class Dataset:
    """Everything that a training reads, in Blender's world (Z-up).

    `complete` is False after an interrupted capture; `missing` are names of images that have a camera and are not there; `left_out` what
    else could not be used, and why. `unpacked_to` is where a ZIP was unpacked that somebody chose. `offset` was taken from all positions:
    position + offset is where the source put it. `rendered` images were made of a scene: no hand has shaken and no camera has exposed them.
    """

    folder: Path
    views: tuple[View, ...]
    points: PointCloud | None = None
    complete: bool = True
    missing: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    unpacked_to: Path | None = None
    offset: Offset = NO_OFFSET
    rendered: bool = False
    start_file: Path | None = None  # splats that a training of it begins with
    region: Region | None = None  # outside of it, in these coordinates, only the background grows
    labels_file: Path | None = None  # says what the numbers of label maps are: datasets.labels reads it

    def check_inside(self, root: Path) -> None:
        """UserError when it uses a file that does not lie below `root`, the folder that is sent or was sent as a whole."""
        for view in self.views:
            for path in view.files:
                if not Path(os.path.abspath(path)).is_relative_to(root):
                    raise UserError(f"{path} lies outside of the dataset's folder {root}.", "Copy the images into the dataset's folder.",
                                    "dataset.image_outside", path=path, root=root)

    @property
    def lost_views(self) -> tuple[str, ...]:
        """Names of the views that the dataset names and that cannot be used."""
        return (*self.missing, *(each.name for each in self.left_out if each.part == "view"))

    @property
    def train_views(self) -> tuple[View, ...]:
        return tuple(view for view in self.views if not view.held_out)

    @property
    def eval_views(self) -> tuple[View, ...]:
        return tuple(view for view in self.views if view.held_out)

    def mapped(self, part: Literal["depth", "normals"]) -> bool:
        """Whether the views trained on have depth or normal maps: all of them, or half where some were lost, and no distorted lens, whose
        maps could not be undistorted."""
        views = self.train_views
        known = sum(getattr(view, part) is not None for view in views)
        lost = any(each.part == part for each in self.left_out)
        return 0 < known >= (len(views) / 2 if lost else len(views)) and not any(view.camera.distortion for view in views)


def held_out_names(names: list[str], every: int = EVAL_EVERY) -> set[str]:
    """Names of the held-out views: sorted, every `every`-th from the first; none when there are too few to spare."""
    return set(sorted(names)[::every]) if len(names) >= 3 else set()
