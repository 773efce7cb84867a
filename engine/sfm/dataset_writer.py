"""The dataset that training reads: undistorted photos, their cameras, start points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from ..core.cameras.camera import Camera
from ..core.cameras.distortion import forget_samples, undistort_image, undistorted_camera
from ..core.cameras.sampling import premultiplied
from ..core.datasets.dataset import Dataset, PointCloud, View, held_out_names
from ..core.datasets.file_types import MASKS
from ..core.datasets.poses_report import FILE
from ..core.datasets.transforms_json import FILE as TRANSFORMS
from ..core.datasets.transforms_json import write_transforms
from ..core.files import discard_folder, make_folder, remove_file, replacing
from ..core.protocol.progress import OnProgress, Step
from .photos import Photo, open_mask, open_photo
from .pool import threads

IMAGES = "images"
QUALITY = 95


@dataclass(frozen=True)
class RegisteredPhoto:
    """A photo and the camera that was found for it, at the size of the working copy."""

    photo: Photo
    camera: Camera


def write_dataset(shots: Sequence[RegisteredPhoto], points: PointCloud | None, folder: Path, size: int, on_progress: OnProgress) -> Dataset:
    """Undistort every photo to at most `size` pixels (0: as large as it is) and write the dataset. transforms.json comes last."""
    _clear(folder)
    names = file_names([shot.photo for shot in shots])
    held_out = held_out_names(list(names.values()))
    views = []
    with threads() as pool:
        for view in pool.map(partial(_write_view, names=names, folder=folder, size=size), shots):
            views.append(View(view.name, view.image, view.camera, view.name in held_out, mask=view.mask))
            on_progress(Step("undistorting photos", len(views), len(shots)))
    forget_samples()
    dataset = Dataset(folder, tuple(sorted(views, key=lambda view: view.name)), points)
    write_transforms(dataset)
    return dataset


def _clear(folder: Path) -> None:
    """Remove an earlier dataset: first the files that mark it as complete, then its images and masks."""
    for name in (FILE, TRANSFORMS):
        remove_file(folder / name)
    for name in (IMAGES, MASKS):
        discard_folder(folder / name)


def file_names(photos: Sequence[Photo]) -> dict[str, str]:
    """A file name for each photo's name: its own, with the ending it is saved under; the whole old name where two would be one."""
    names: dict[str, str] = {}
    for photo in photos:
        path = PurePosixPath(photo.name)
        wanted = path.with_suffix(".jpg").as_posix()
        names[photo.name] = wanted if wanted.casefold() not in map(str.casefold, names.values()) else f"{photo.name}.jpg"
    return names


def _write_view(shot: RegisteredPhoto, names: dict[str, str], folder: Path, size: int) -> View:
    image = open_photo(shot.photo.path)
    camera = shot.camera.resized(*image.size)
    factor = min(1.0, size / max(image.size)) if size else 1.0
    target = undistorted_camera(camera).resized(max(1, round(camera.width * factor)), max(1, round(camera.height * factor)))
    name = names[shot.photo.name] if image.mode == "RGB" else PurePosixPath(names[shot.photo.name]).with_suffix(".png").as_posix()
    path = folder / IMAGES / name
    _save(Image.fromarray(_undistorted(np.asarray(image), camera, target)), path)
    return View(name, path, target, mask=_write_mask(shot.photo, camera, target, folder / MASKS / name))


def _undistorted(image: np.ndarray, camera: Camera, target: Camera) -> np.ndarray:
    """uint8 [H, W, C] -> uint8 [h, w, C]; the colour of transparent pixels does not bleed."""
    if image.shape[2] < 4:
        return np.rint(undistort_image(image, camera, target)).astype(np.uint8)
    seen = undistort_image(premultiplied(image), camera, target)
    opacity = seen[..., 3:] / 255
    return np.rint(np.concatenate([seen[..., :3] / np.maximum(opacity, 1e-6), opacity], axis=2)).clip(0, 255).astype(np.uint8)


def _write_mask(photo: Photo, camera: Camera, target: Camera, path: Path) -> Path | None:
    if photo.mask is None:
        return None
    mask = np.asarray(open_mask(photo, (camera.width, camera.height)))[..., None]
    path = path.with_name(path.name + ".png") if path.suffix != ".png" else path
    _save(Image.fromarray(np.where(undistort_image(mask, camera, target)[..., 0] > 127, 255, 0).astype(np.uint8)), path)
    return path


def _save(image: Image.Image, path: Path) -> None:
    make_folder(path.parent)
    with replacing(path) as temporary:
        if path.suffix == ".png":
            image.save(temporary, "PNG")
        else:
            image.save(temporary, "JPEG", quality=QUALITY, subsampling=0)
