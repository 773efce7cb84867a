"""What every reader of another program's cameras ends with: images found, views named and split, one bad camera said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...cameras.camera import Camera
from ...cameras.panorama import FACES, face_camera, face_name
from ...errors import UserError
from ...text import named
from ..dataset import Dataset, PointCloud, View, held_out_names
from ..photo_search import find_photos, plain_name

ORTHONORMAL = 1e-2
"""How far from a rotation the rounded numbers of other programs may be."""


@dataclass(frozen=True)
class Shot:
    """An image with its camera, before it is known to be sound.

    Of a panorama `camera` has the pose and the size; its focal lengths mean nothing.
    """

    name: str  # as in the file
    image: Path
    camera: Camera
    panorama: bool = False
    depth: Path | None = None


def the_one(folder: Path, files: Sequence[Path], usual: str = "") -> Path | None:
    """The only one of the camera files in a folder, or the one of the usual name; None of none. UserError of several."""
    found = [file for file in files if file.name.lower() == usual] or list(files)
    if len(found) > 1:
        raise UserError(f"{folder} holds {len(found)} files of cameras: {named(file.name for file in found)}.", "Choose one of the files.",
                        "source.several", path=folder, count=len(found))
    return found[0] if found else None


def locate(folder: Path, names: Sequence[str], what: str) -> dict[str, Path]:
    """Where the images of these names lie below a folder. UserError when none is there; `what` names the file that asks for them."""
    if not names:
        raise UserError(f"{what} holds no cameras.", "Align the photos first, then export the cameras again.", "source.no_cameras", what=what)
    found = find_photos(folder, list(dict.fromkeys(names)))
    if not found:
        raise UserError(f"None of the {len(names)} images that {what} names lies in {folder}.",
                        f"Put them beside it or into {folder / 'images'}; the first one is called {names[0]}.",
                        "source.images_missing", count=len(names), what=what, path=folder)
    return found


def assemble(folder: Path, what: str, names: Sequence[str], shots: Sequence[Shot], points: PointCloud | None = None) -> Dataset:
    """The dataset of all shots that are there; `names` are all that the file names, by which views are held out.

    UserError for poses and lenses that are none.
    """
    _refuse_unsound(shots, what)
    held_out = held_out_names(sorted({plain_name(name) for name in names}))
    views = tuple(view for shot in sorted(shots, key=lambda shot: shot.name) for view in _views(shot, plain_name(shot.name) in held_out))
    present = {shot.name for shot in shots}
    return Dataset(folder, views, points, missing=tuple(name for name in sorted(set(names)) if name not in present))


def views_of_panorama(view: View) -> tuple[View, ...]:
    """The six cuts of a view whose image is a panorama of its camera's size, with its pose."""
    camera = view.camera
    return tuple(View(face_name(view.name, face), view.image, face_camera(camera.camera_to_world, face, camera.width), view.held_out,
                      mask=view.mask, face=face) for face in FACES)


def is_rotation(matrix: np.ndarray) -> bool:
    """Whether a matrix [3, 3] is finite and turns without mirror or scale."""
    return bool(np.isfinite(matrix).all() and np.abs(matrix @ matrix.T - np.eye(3)).max() < ORTHONORMAL and np.linalg.det(matrix) > 0)


def pose_of(rotation: np.ndarray, position: np.ndarray) -> np.ndarray:
    """camera_to_world [4, 4] of a turn [3, 3] from the camera to the world and a place [3]."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, position
    return pose


def _views(shot: Shot, held_out: bool) -> tuple[View, ...]:
    view = View(plain_name(shot.name), shot.image, shot.camera, held_out, shot.depth)
    return views_of_panorama(view) if shot.panorama else (view,)


def _refuse_unsound(shots: Sequence[Shot], what: str) -> None:
    poses = [shot.name for shot in shots if not _has_pose(shot.camera)]
    lenses = [shot.name for shot in shots if not _has_lens(shot)]
    for names, problem in ((poses, "without a valid pose"), (lenses, "with impossible intrinsics")):
        if names:
            raise UserError(f"{len(names)} of {len(shots)} images in {what} are {problem}: {named(names)}.",
                            "Align the photos again, and export only the cameras that were found.", "source.unsound",
                            count=len(names), what=what, problem=problem)


def _has_pose(camera: Camera) -> bool:
    return is_rotation(camera.camera_to_world[:3, :3]) and bool(np.isfinite(camera.camera_to_world).all())


def _has_lens(shot: Shot) -> bool:
    camera = shot.camera
    if min(camera.width, camera.height) < 1:
        return False
    numbers = (camera.fl_x, camera.fl_y, camera.cx, camera.cy, *camera.distortion)
    return shot.panorama or (bool(np.isfinite(numbers).all()) and min(camera.fl_x, camera.fl_y) > 0)
