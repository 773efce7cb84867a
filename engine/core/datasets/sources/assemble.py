"""What every reader of another program's cameras ends with: images found, views named and split, bad cameras left out and named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...cameras.camera import Camera
from ...cameras.lenses import Coefficients, Pinhole
from ...errors import UserError
from ...text import named
from ..dataset import Dataset, LeftOut, PointCloud, View, held_out_names
from ..folder_index import FolderIndex
from ..mask_search import find_masks
from ..name_spelling import plain_name, readable
from ..panoramas import views_of_panorama
from ..photo_search import FoundPhotos, find_photos

IMAGE_FOLDERS = ("images", ".", "input", "photos")
ORTHONORMAL = 1e-2
"""How far from a rotation the rounded numbers of other programs may be."""


@dataclass(frozen=True)
class PosedImage:
    """A camera before it is known to be sound; of a panorama it has the pose and the size, its focal lengths mean nothing."""

    camera: Camera
    panorama: bool = False
    depth: Path | None = None


@dataclass(frozen=True)
class SourceLens:
    """A lens that other cameras of the file may share; one of panorama photos has no numbers."""

    width: int
    height: int
    panorama: bool
    pinhole: Pinhole = (1.0, 1.0, 0.0, 0.0)
    distortion: Coefficients = ()

    def posed(self, camera_to_world: np.ndarray) -> PosedImage:
        """An image that it took from a pose [4, 4]."""
        camera = Camera(self.width, self.height, *self.pinhole, camera_to_world, self.distortion)
        return PosedImage(camera, self.panorama)


@dataclass(frozen=True)
class CameraFile:
    """A file of cameras, and what it names."""

    file: Path
    root: Path
    """the folder that its images lie below"""
    names: tuple[str, ...]
    bad: tuple[LeftOut, ...] = ()
    """entries that name no image, or one that another names"""

    @staticmethod
    def of(file: Path, root: Path, names: Iterable[str], bad: Iterable[LeftOut] = ()) -> CameraFile:
        """UserError when it names nothing."""
        listed, twins = list(names), list(bad)
        if not listed:
            raise UserError(f"{file.name} holds no cameras.", "Align the photos first, then export the cameras again.", "source.no_cameras",
                            what=file.name)
        seen: set[str] = set()
        for name in listed:
            if name in seen:
                twins.append(LeftOut(readable(name), f"{file.name} names it twice; its first camera is used"))
            seen.add(name)
        return CameraFile(file, root, tuple(dict.fromkeys(listed)), tuple(twins))


def the_one(folder: Path, files: Sequence[Path], usual: str = "") -> Path | None:
    """The only one of the camera files in a folder, or the one of the usual name; None of none. UserError of several."""
    found = [file for file in files if file.name.lower() == usual] or list(files)
    if len(found) > 1:
        raise UserError(f"{folder} holds {len(found)} files of cameras: {named(file.name for file in found)}.", "Choose one of the files.",
                        "source.several", path=folder, count=len(found), found=named(file.name for file in found))
    return found[0] if found else None


def assemble(source: CameraFile, camera_of: Callable[[str, Path], PosedImage], points: PointCloud | None = None) -> Dataset:
    """The dataset of all images that are there and of whose entries a camera can be made; `camera_of` takes a name and where it lies.

    Views are held out by all names of the file. UserError when no image is there, and when no camera is left.
    """
    found = _locate(source)
    held_out = held_out_names(sorted(map(plain_name, source.names)))
    masks = find_masks(source.root, list(found.paths.values()))
    views: list[View] = []
    errors: list[tuple[str, UserError]] = []
    for name in sorted(found.paths):
        path = found.paths[name]
        try:
            shot = _sound(_read(camera_of, name, path, source.file.name), name, source.file.name)
            view = View(_shown(name, path), path, shot.camera, plain_name(name) in held_out, shot.depth, masks.paths.get(path))
            views += views_of_panorama(view) if shot.panorama else (view,)
        except UserError as error:
            errors.append((readable(name), error))
    if not views:
        raise errors[0][1]
    left_out = (*source.bad, *(LeftOut(name, error.message) for name, error in errors), *masks.notes)
    return Dataset(source.root, tuple(views), points, missing=tuple(map(readable, found.missing)), left_out=left_out)


def _read(camera_of: Callable[[str, Path], PosedImage], name: str, path: Path, what: str) -> PosedImage:
    """The camera of an entry; UserError for all that its values may lead to, as numbers that no array holds."""
    try:
        return camera_of(name, path)
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise UserError(f"{readable(name)} in {what} has a camera with a value that cannot be used: {error}.",
                        "Align the photos again, or leave this one out.", "source.value", image=readable(name), what=what,
                        problem=error) from None


def pose_of(rotation: np.ndarray, position: np.ndarray) -> np.ndarray:
    """camera_to_world [4, 4] of a turn [3, 3] from the camera to the world and a place [3]."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, position
    return pose


def _locate(source: CameraFile) -> FoundPhotos:
    bases = [source.root / name for name in IMAGE_FOLDERS]
    found = find_photos(FolderIndex(source.root), source.names, bases)
    if not found.paths:
        raise UserError(f"None of the {len(source.names)} images that {source.file.name} names lies in {source.root}. {found.looked_for}. "
                        f"{found.lies_there}.", f"Put them beside it or into {source.root / 'images'}.", "source.images_missing",
                        count=len(source.names), what=source.file.name, path=source.root, looked_for=found.looked_for,
                        found=found.lies_there, root=source.root / 'images')
    return found


def _shown(name: str, path: Path) -> str:
    """The name of a view: as the file has it, with the ending that it may leave out; the disk's where it is in an unknown code page."""
    plain = plain_name(name)
    if readable(name) != name:
        return path.name
    return plain if Path(plain).suffix.lower() == path.suffix.lower() or Path(plain).suffix else plain + path.suffix


def _sound(shot: PosedImage, name: str, what: str) -> PosedImage:
    """The shot itself; UserError for a pose or a lens that is none."""
    camera = shot.camera
    pose = camera.camera_to_world
    if not np.isfinite(pose).all() or not _is_rotation(pose[:3, :3]):
        numbers = " ".join(f"{number:g}" for number in pose[:3].ravel())
        raise UserError(f"{readable(name)} in {what} is without a valid pose: {numbers}.", "Align the photos again.", "source.pose",
                        image=readable(name), what=what, numbers=numbers)
    lens = (camera.fl_x, camera.fl_y, camera.cx, camera.cy, *camera.distortion)
    if min(camera.width, camera.height) < 1 or not (shot.panorama or (np.isfinite(lens).all() and min(camera.fl_x, camera.fl_y) > 0)):
        numbers = " ".join(f"{number:g}" for number in (camera.width, camera.height, *lens))
        raise UserError(f"{readable(name)} in {what} has impossible intrinsics: {numbers}.", "Align the photos again.", "source.intrinsics",
                        image=readable(name), what=what, numbers=numbers)
    return shot


def _is_rotation(matrix: np.ndarray) -> bool:
    return bool(np.abs(matrix @ matrix.T - np.eye(3)).max() < ORTHONORMAL and np.linalg.det(matrix) > 0)
