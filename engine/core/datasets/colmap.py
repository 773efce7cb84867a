"""COLMAP models with the images beside them, as COLMAP itself and as RealityScan and Metashape write them.

COLMAP's world is Y-down like the PLY files of trainers, so reading turns it into Blender's by the same rotation, and a PLY
in SuperSplat's axes lies in COLMAP's own frame. Rigs and frames (rigs.bin, frames.bin) may be there: images carry their poses all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from ..cameras.camera import FLIP_YZ, Camera
from ..cameras.lenses import Lens, opencv_lens
from ..cameras.panorama import is_whole_sphere
from ..errors import UserError
from ..splats.transform import PLY_TO_BLENDER, rotation_matrices
from .colmap_files import REDO, BadPose, Points, Pose, file_of, image_count, read_lenses, read_points, read_poses
from .dataset import Dataset, LeftOut, PointCloud, View, held_out_names
from .folder_index import FolderIndex, stem_of
from .mask_search import find_masks
from .name_spelling import plain_name, readable
from .panoramas import views_of_panorama
from .photo_search import FoundPhotos, find_photos
from .start_points import points_beside

LARGEST_ERROR = 20.0
"""Points whose reprojection error (px) is larger are noise."""

MODEL_PLACES = ("sparse/*", "sparse", "colmap/sparse/*", "colmap/sparse", "dense/sparse", "dense/*/sparse", ".")
LAST_PLACES = ("distorted/sparse/*", "distorted/sparse")
"""The model of the photos as they were taken, which lie in `input`, before they were undistorted into the folder above."""
IMAGE_FOLDERS = ("images", "input", "photos", ".")


def find_model(folder: Path) -> Path | None:
    """The folder that holds a model, as COLMAP, its undistorter and other programs lay it out; of several the one with most images."""
    return _fullest(folder, MODEL_PLACES) or _fullest(folder, LAST_PLACES)


def _fullest(folder: Path, places: Sequence[str]) -> Path | None:
    candidates = [path for place in places for path in (sorted(folder.glob(place)) if place != "." else [folder])]
    found = [path for path in candidates if file_of(path, "cameras") and file_of(path, "images")]
    return max(found, key=image_count, default=None)


def read_colmap(folder: Path) -> Dataset:
    """Read a COLMAP model and the images beside it. `missing` names images of the model that are not there, `left_out` those whose pose
    or lens cannot be used; held-out views are chosen among all that the model names.

    UserError for damaged files, lenses that are not supported, and when no image is there.
    """
    model = find_model(folder)
    if model is None:
        raise UserError(f"{folder} holds no COLMAP model.", "Choose the folder that holds images and sparse/0.",
                        "colmap.none", path=folder)
    poses = sorted(read_poses(model), key=lambda pose: pose.name)
    held_out = held_out_names([pose.name for pose in poses])
    readable_poses = [pose for pose in poses if isinstance(pose, Pose)]
    found = _images(folder, model, [pose.name for pose in readable_poses])
    if readable_poses and not found.paths:
        raise UserError(f"None of the {len(poses)} images of the COLMAP model lies in {folder}. {found.looked_for}. {found.lies_there}.",
                        f"Put them into {folder / 'images'}.", "colmap.images_missing", count=len(poses), path=folder,
                        looked_for=found.looked_for, found=found.lies_there, folder=folder / 'images')
    there = [pose for pose in poses if isinstance(pose, BadPose) or pose.name in found.paths]
    lenses = read_lenses(model)
    cameras, unsound = _cameras(lenses, there)
    whole = {pose.name for pose in there if isinstance(pose, Pose) and _is_panorama(lenses.get(pose.camera_id))}
    paths = {name: found.paths[name] for name in cameras}
    masks = find_masks(folder, list(paths.values()))
    images = {name: View(_shown(name, path), path, cameras[name], name in held_out, mask=masks.paths.get(path))
              for name, path in paths.items()}
    views = tuple(view for name, image in images.items() for view in (views_of_panorama(image) if name in whole else (image,)))
    points, notes = model_points(model, folder)
    return Dataset(folder, views, points, missing=tuple(map(readable, found.missing)), left_out=(*unsound, *masks.notes, *notes))


def _images(folder: Path, model: Path, names: Sequence[str]) -> FoundPhotos:
    """Where the images lie: below the folder that holds most of them, what is not there anywhere below the chosen folder."""
    above = [path for path in model.parents if path.is_relative_to(folder)] if model != folder else list(model.parents[:2])
    return find_photos(FolderIndex(folder), names, [root / name for root in dict.fromkeys((folder, *above)) for name in IMAGE_FOLDERS])


def _shown(name: str, path: Path) -> str:
    """The name of a view: as the model has it, or as the disk has it where the model's is in another code page."""
    plain = PurePosixPath(plain_name(name))
    return str(plain if stem_of(name) == stem_of(path.name) else PurePosixPath(readable(str(plain.parent))) / path.name)


def _cameras(lenses: dict[int, Lens | UserError], poses: Sequence[Pose | BadPose]) -> tuple[dict[str, Camera], list[LeftOut]]:
    """Cameras by the names of their images, and what is wrong with the others; UserError when none is left."""
    cameras: dict[str, Camera] = {}
    errors: list[tuple[str, UserError]] = []
    for pose in poses:
        try:
            if pose.name in cameras:
                raise UserError(f"{readable(pose.name)} is in the model twice; its first pose is used.", REDO, "colmap.twice",
                                pose=readable(pose.name))
            cameras[pose.name] = _camera(lenses, pose)
        except UserError as error:
            errors.append((readable(pose.name), error))
    if errors and not cameras:
        raise errors[0][1]
    return cameras, [LeftOut(name, error.message) for name, error in errors]


def _camera(lenses: dict[int, Lens | UserError], pose: Pose | BadPose) -> Camera:
    """UserError where the pose or its lens cannot be used."""
    if isinstance(pose, BadPose):
        raise pose.error
    lens = lenses.get(pose.camera_id)
    if lens is None:
        raise UserError(f"{pose.where}: {readable(pose.name)} refers to camera {pose.camera_id}, which the COLMAP model does not have.",
                        "Export the model again.", "colmap.camera_missing", image=readable(pose.name), camera=pose.camera_id,
                        where=pose.where)
    if isinstance(lens, UserError):
        raise lens
    size = max(map(abs, pose.quat))
    if not (np.isfinite((*pose.quat, *pose.translation)).all() and 1e-3 < size < 1e3):
        numbers = " ".join(f"{number:g}" for number in (*pose.quat, *pose.translation))
        raise UserError(f"{pose.where}: {readable(pose.name)} has a pose with NaN or infinite values, or none at all: {numbers}.", REDO,
                        "colmap.pose", image=readable(pose.name), where=pose.where, numbers=numbers)
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = rotation_matrices(np.array([pose.quat]))[0]
    world_to_camera[:3, 3] = pose.translation
    to_world = PLY_TO_BLENDER @ np.linalg.inv(world_to_camera) @ FLIP_YZ
    if _is_panorama(lens):
        return Camera(lens.width, lens.height, 1.0, 1.0, lens.width / 2, lens.height / 2, to_world)
    pinhole, distortion = opencv_lens(lens)
    return Camera(lens.width, lens.height, *pinhole, to_world, distortion)


def _is_panorama(lens: Lens | UserError | None) -> bool:
    """Whether a lens sees the whole sphere; COLMAP's convention is that of cameras.panorama."""
    return isinstance(lens, Lens) and lens.model == "EQUIRECTANGULAR" and is_whole_sphere(lens.width, lens.height)


def model_cameras(model: Path) -> dict[str, Camera]:
    """The cameras of a model by the names of their images, without those that cannot be used. UserError for damaged files."""
    return _cameras(read_lenses(model), read_poses(model))[0]


def model_points(model: Path, folder: Path) -> tuple[PointCloud | None, list[LeftOut]]:
    """The start points in Blender's world: the model's, or where it has none those of a PLY beside it, in the model's frame."""
    points = read_points(model)
    notes = [LeftOut("points3D", note, "points") for note in (points.notes if points else ())]
    if points is None or not len(points.positions):
        above = [path for path in model.parents if path.is_relative_to(folder)]
        beside = points_beside([model, *above])
        points = Points(beside.positions, beside.colors, np.full(len(beside), -1.0)) if beside else points
    return _cleaned(points), notes


def _cleaned(points: Points | None) -> PointCloud | None:
    """Points in Blender's world, float64, without those beyond float32 and badly reconstructed ones."""
    if points is None:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        ours = points.positions @ PLY_TO_BLENDER[:3, :3].T
        held = np.isfinite(ours.astype(np.float32)).all(axis=1)
    good = held & ~(points.errors > LARGEST_ERROR)
    return PointCloud(ours[good], points.colors[good])
