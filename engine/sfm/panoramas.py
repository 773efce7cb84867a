"""Equirectangular photos, and frames of equirectangular videos, as cubes of pinhole photos that one rig took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from hashlib import blake2s
from pathlib import Path

import numpy as np
from PIL import Image

from ..core.cameras.panorama import FACES, cut_face, face_name, face_size
from ..core.confinement import admitted
from ..core.datasets.poses_report import UnregisteredPhoto
from ..core.errors import UserError
from ..core.files import make_folder, replacing
from ..core.protocol.progress import OnProgress, Step
from .photos import Photo, open_mask, open_photo
from .pool import threads

CUTS = "cuts"
LOOKED_AT = 512
"""Width in pixels at which an image is compared with itself."""

HEAD = 1 << 16
MARK = b"equirectangular"
"""What XMP says of panoramas (Google's Photo Sphere metadata, GPano:ProjectionType)."""

POLE = 0.3
"""The first and the last row of a panorama are points: pixels beside each other differ less there than elsewhere, by this share or less
(a rendered room: 0.04; photos: 0.5 and more)."""

SEAM = 2.0
"""Times the mean difference of neighbouring columns that the first and the last may differ (a rendered room: 0.5; photos: 2.3 and more)."""

FLAT = 0.1
"""Grey levels that pixels beside each other differ by in an image that shows something."""

MOST = 0.5
"""When more than this share of the images of one size are panoramas, all of them are."""

QUALITY = 95


def panoramas_of(photos: Sequence[Photo]) -> set[Path]:
    """Which photos are panoramas of the whole sphere: twice as wide as high, and marked so, or closed left and right and at their poles."""
    shaped = [photo for photo in photos if abs(photo.width - 2 * photo.height) <= 2]
    with threads() as pool:
        found = dict(zip(shaped, pool.map(_is_panorama, shaped), strict=True))
    sizes = {(photo.width, photo.height) for photo in shaped}
    votes = {size: [found[photo] for photo in shaped if (photo.width, photo.height) == size] for size in sizes}
    return {photo.path for photo in shaped if np.mean(votes[photo.width, photo.height]) > MOST}


def with_cuts(photos: Sequence[Photo], work: Path, on_progress: OnProgress) -> tuple[list[Photo], list[UnregisteredPhoto]]:
    """The photos with the cuts of panoramas in their place, which lie in the work folder, and the panoramas that are damaged."""
    whole = panoramas_of(photos)
    if not whole:
        return list(photos), []
    result: list[Photo] = []
    excluded: list[UnregisteredPhoto] = []
    folder = make_folder(work / CUTS)
    with threads() as pool:
        made = pool.map(partial(_cut, folder=folder), [photo for photo in photos if photo.path in whole])
        for done, photo in enumerate(photos, 1):
            on_progress(Step("cutting panoramas", done, len(photos)))
            cuts = next(made) if photo.path in whole else [photo]
            if isinstance(cuts, UserError):
                excluded.append(UnregisteredPhoto(photo.name, cuts.message))
            else:
                result += cuts
    return result, excluded


def searched_names(photos: Sequence[Photo]) -> set[str]:
    """What a report calls the photos: panoramas by their cuts."""
    whole = panoramas_of(photos)
    return {name for photo in photos for name in ([face_name(photo.name, face) for face in FACES] if photo.path in whole else [photo.name])}


def _is_panorama(photo: Photo) -> bool:
    try:
        with open(admitted(photo.path), "rb") as file:
            if MARK in file.read(HEAD):
                return True
        small = open_photo(photo.path, LOOKED_AT).convert("L").resize((LOOKED_AT, LOOKED_AT // 2), Image.Resampling.BOX)
    except (UserError, OSError):
        return False
    return is_closed(np.asarray(small, np.float32))


def is_closed(grey: np.ndarray) -> bool:
    """Whether a grey image [H, W] is a sphere: its borders left and right meet, its first and last rows are points."""
    steps = np.abs(np.diff(grey, axis=1)).mean(axis=1)
    seam, usual = float(np.abs(grey[:, 0] - grey[:, -1]).mean()), float(steps.mean())
    return usual > FLAT and max(steps[0], steps[-1]) < POLE * usual and seam < SEAM * usual


def _cut(photo: Photo, folder: Path) -> list[Photo] | UserError:
    """The six cuts, made where they are not there from an earlier run."""
    frame, size = _frame(photo), face_size(photo.width)
    cuts = {face: replace(photo, path=folder / f"{frame}_{face}.jpg", name=face_name(photo.name, face), width=size, height=size,
                          focal=size / 2, lens=f"{photo.lens} panorama {photo.width} {face}", face=face, frame=frame,
                          mask=folder / f"{frame}_{face}.mask.png" if photo.mask else None) for face in FACES}
    wanted = [path for cut in cuts.values() for path in (cut.path, cut.mask) if path]
    if all(path.is_file() for path in wanted):
        return list(cuts.values())
    try:
        image = np.asarray(open_photo(photo.path).convert("RGB"))
        mask = np.asarray(open_mask(photo, (photo.width, photo.height))) if photo.mask else None
    except UserError as error:
        return error
    for face, cut in cuts.items():
        _save(Image.fromarray(cut_face(image, face)), cut.path)
        if mask is not None and cut.mask:
            _save(Image.fromarray(cut_face(mask[..., None], face)[..., 0]), cut.mask)
    return list(cuts.values())


def _frame(photo: Photo) -> str:
    """A name that all cuts of a panorama share, new for a changed file."""
    stamps = [(stamp.st_size, stamp.st_mtime_ns) for stamp in (path.stat() for path in (photo.path, photo.mask) if path)]
    return blake2s("\0".join(map(str, (photo.path.resolve(), *stamps))).encode("utf-8", "surrogateescape"), digest_size=10).hexdigest()


def _save(image: Image.Image, path: Path) -> None:
    with replacing(path) as temporary:
        if path.suffix == ".png":
            image.save(temporary, "PNG")
        else:
            image.save(temporary, "JPEG", quality=QUALITY, subsampling=0)
