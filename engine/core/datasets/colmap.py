"""COLMAP models with the images beside them, as COLMAP itself and as RealityScan and Metashape write them.

COLMAP's world is Y-down like the PLY files of trainers, so reading turns it into Blender's by the same rotation, and a PLY
in SuperSplat's axes lies in COLMAP's own frame. Rigs and frames (rigs.bin, frames.bin) may be there: images carry their poses all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..cameras.camera import FLIP_YZ, Camera
from ..cameras.lenses import Lens, opencv_lens
from ..errors import UserError
from ..splats.transform import PLY_TO_BLENDER, rotation_matrices
from .colmap_files import Points, Pose, file_of, image_count, read_lenses, read_points, read_poses
from .dataset import Dataset, PointCloud, View, held_out_names
from .file_types import MASKS
from .photo_search import find_photos, is_there, plain_name

LARGEST_ERROR = 20.0
"""Points whose reprojection error (px) is larger are noise."""

MODEL_PLACES = ("sparse/*", "sparse", "colmap/sparse/*", "colmap/sparse", "dense/sparse", "dense/*/sparse", ".")
IMAGE_FOLDERS = ("images", "input", "photos", ".")
REDO = "Remove its images from the model, or run COLMAP again."


def find_model(folder: Path) -> Path | None:
    """The folder that holds a model, as COLMAP, its undistorter and other programs lay it out; of several the one with most images."""
    candidates = [path for place in MODEL_PLACES for path in (sorted(folder.glob(place)) if place != "." else [folder])]
    found = [path for path in candidates if file_of(path, "cameras") and file_of(path, "images")]
    return max(found, key=image_count, default=None)


def read_colmap(folder: Path) -> Dataset:
    """Read a COLMAP model and the images beside it. `missing` names images of the model that are not there.

    UserError for damaged files, lenses that are not supported, and when no image is there.
    """
    model = find_model(folder)
    if model is None:
        raise UserError(f"{folder} holds no COLMAP model.", "Choose the folder that holds images and sparse/0.",
                        "colmap.none", path=folder)
    poses = sorted(read_poses(model), key=lambda pose: pose.name)
    lenses, present = read_lenses(model), _images(folder, model, poses)
    if not present:
        raise UserError(f"None of the {len(poses)} images of the COLMAP model lies in {folder}.",
                        f"Put them into {folder / 'images'}; the first one is called {poses[0].name if poses else '?'}.",
                        "colmap.images_missing", count=len(poses), path=folder)
    held_out = held_out_names(list(present))
    views = tuple(View(plain_name(pose.name), path, _camera(lenses, pose), pose.name in held_out, mask=_mask(folder, pose.name))
                  for pose in poses if (path := present.get(pose.name)))
    missing = tuple(pose.name for pose in poses if pose.name not in present)
    return Dataset(folder, views, _cleaned(read_points(model)), missing=missing)


def _images(folder: Path, model: Path, poses: Sequence[Pose]) -> dict[str, Path]:
    """Where the images lie: below the folder that holds most of them, what is not there anywhere below the chosen folder."""
    names = [pose.name for pose in poses]
    above = [path for path in model.parents if path.is_relative_to(folder)] if model != folder else list(model.parents[:2])
    candidates = [root / name for root in dict.fromkeys((folder, *above)) for name in IMAGE_FOLDERS]
    best = max(candidates, key=lambda path: sum(is_there(path / plain_name(name)) for name in names))
    found = {name: path for name in names if is_there(path := best / plain_name(name))}
    return found | find_photos(folder, [name for name in names if name not in found])


def _mask(folder: Path, name: str) -> Path | None:
    """The mask of an image: masks/NAME.png as COLMAP itself reads them, or the same name with the ending of a PNG."""
    plain = plain_name(name)
    candidates = (folder / MASKS / f"{plain}.png", (folder / MASKS / plain).with_suffix(".png"))
    return next(filter(is_there, candidates), None)


def _camera(lenses: dict[int, Lens], pose: Pose) -> Camera:
    if pose.camera_id not in lenses:
        raise UserError(f"{pose.name} refers to camera {pose.camera_id}, which the COLMAP model does not have.", "Export the model again.",
                        "colmap.camera_missing", image=pose.name, camera=pose.camera_id)
    lens = lenses[pose.camera_id]
    if not np.isfinite(lens.params).all() or min(lens.pinhole[:2]) <= 0 or min(lens.width, lens.height) < 1:
        raise UserError(f"Camera {pose.camera_id} of the COLMAP model has impossible intrinsics.", REDO,
                        "colmap.intrinsics", camera=pose.camera_id)
    size = max(map(abs, pose.quat))
    if not (np.isfinite((*pose.quat, *pose.translation)).all() and 1e-3 < size < 1e3):
        raise UserError(f"{pose.name} has a pose with NaN or infinite values.", REDO, "colmap.pose", image=pose.name)
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = rotation_matrices(np.array([pose.quat]))[0]
    world_to_camera[:3, 3] = pose.translation
    pinhole, distortion = opencv_lens(lens)
    return Camera(lens.width, lens.height, *pinhole, PLY_TO_BLENDER @ np.linalg.inv(world_to_camera) @ FLIP_YZ, distortion)


def _cleaned(points: Points | None) -> PointCloud | None:
    """Points in Blender's world, float64, without those beyond float32 and badly reconstructed ones."""
    if points is None:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        ours = points.positions @ PLY_TO_BLENDER[:3, :3].T
        held = np.isfinite(ours.astype(np.float32)).all(axis=1)
    good = held & ~(points.errors > LARGEST_ERROR)
    return PointCloud(ours[good], points.colors[good])
