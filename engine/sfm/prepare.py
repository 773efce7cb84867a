"""Working copies: every photo upright, in 8 bits, no larger than features need, under a name that any program can read.

A copy's name is a digest of the photo's path, size and time, so whatever is kept under that name (features, matches) stays
valid from run to run, and a changed photo is a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2s
from pathlib import Path

import numpy as np
from PIL import Image

from ..core.datasets.file_types import MASKS
from ..core.datasets.poses_report import UnregisteredPhoto
from ..core.errors import UserError
from ..core.files import disk_error, make_folder, replacing
from ..core.protocol.progress import OnProgress, Step
from .photos import Photo, black_below, open_mask, open_photo
from .pool import threads

COPIES = "photos"
THUMBNAIL = 32
SAME = 0.6
"""Mean difference of grey levels between the thumbnails of two photos that show the same."""
OPAQUE = 128


@dataclass(frozen=True)
class WorkingCopy:
    """The working copy of a photo below work/photos."""

    photo: Photo
    name: str  # group/digest.jpg
    width: int
    height: int

    @property
    def group(self) -> str:
        """Copies of one group were taken by one camera."""
        return self.name.partition("/")[0]

    @property
    def focal(self) -> float | None:
        """EXIF's focal length in the copy's pixels."""
        return self.photo.focal and self.photo.focal * self.width / self.photo.width


def prepare(photos: Sequence[Photo], work: Path, size: int, on_progress: OnProgress) -> tuple[list[WorkingCopy], list[UnregisteredPhoto]]:
    """Copies of all photos, those of earlier runs included, and the photos that turned out damaged, or to be repetitions."""
    copies, excluded, seen = [], [], _Thumbnails()
    with threads() as pool:
        for done, (photo, made) in enumerate(zip(photos, pool.map(partial(_prepared, work=work, size=size), photos), strict=True), 1):
            on_progress(Step("reading photos", done, len(photos)))
            twin = seen.twin(photo.name, made[1]) if isinstance(made, tuple) and not photo.face else None
            if isinstance(made, UserError):
                excluded.append(UnregisteredPhoto(photo.name, made.message))
            elif twin:
                excluded.append(UnregisteredPhoto(photo.name, f"It is the same image as {twin}, so it adds nothing.", twin))
            else:
                copies.append(made[0])
    return copies, excluded


def _prepared(photo: Photo, work: Path, size: int) -> tuple[WorkingCopy, np.ndarray] | UserError:
    """The copy and its thumbnail, or why there is none. A full disk is no fault of the photo and raises UserError."""
    copy = _copy_of(photo, size)
    path = work / COPIES / copy.name
    try:
        image = open_photo(path) if path.is_file() else open_photo(photo.path, size)
        mask = open_mask(photo, (copy.width, copy.height)) if photo.mask else None
    except UserError as error:
        return error
    if not path.is_file():
        _write(copy, image, mask, work)
    return copy, np.asarray(image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX), np.float32)


def _copy_of(photo: Photo, size: int) -> WorkingCopy:
    factor = min(1.0, size / max(photo.width, photo.height))
    width, height = max(1, round(photo.width * factor)), max(1, round(photo.height * factor))
    group = f"{width}x{height}-{_digest(photo.lens, photo.width, photo.height)[:6]}"
    name = photo.frame or _digest(photo.path.resolve(), *_stamp(photo.path), *_stamp(photo.mask))
    return WorkingCopy(photo, f"{group}/{name}.jpg", width, height)


def _stamp(path: Path | None) -> tuple[int, int]:
    if path is None:
        return 0, 0
    try:
        status = path.stat()
    except OSError as error:
        raise disk_error(path, error) from error
    return status.st_size, status.st_mtime_ns


def _digest(*parts: object) -> str:
    return blake2s("\0".join(map(str, parts)).encode("utf-8", "surrogateescape"), digest_size=10).hexdigest()


def _write(copy: WorkingCopy, image: Image.Image, mask: Image.Image | None, work: Path) -> None:
    """The copy, and its mask under the name that COLMAP looks for. Transparent pixels are masked too."""
    size = (copy.width, copy.height)
    image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    if image.mode == "RGBA":
        opaque = image.getchannel("A").point(black_below(OPAQUE))
        mask = Image.fromarray(np.minimum(np.asarray(opaque), np.asarray(mask))) if mask else opaque
        image = Image.alpha_composite(Image.new("RGBA", size, (0, 0, 0, 255)), image).convert("RGB")
    if mask:
        make_folder((work / MASKS / copy.name).parent)
        with replacing(work / MASKS / f"{copy.name}.png") as temporary:
            mask.save(temporary, "PNG")
    make_folder((work / COPIES / copy.name).parent)
    with replacing(work / COPIES / copy.name) as temporary:
        image.save(temporary, "JPEG", quality=95, subsampling=0)


class _Thumbnails:
    """Thumbnails so far, to find photos that repeat an earlier one."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.thumbnails: list[np.ndarray] = []

    def twin(self, name: str, thumbnail: np.ndarray) -> str | None:
        """Name of an earlier photo with the same content, else None. Photos without contrast are never compared."""
        if thumbnail.std() > 4 * SAME and self.thumbnails:
            difference = np.abs(np.stack(self.thumbnails) - thumbnail).mean(axis=(1, 2))
            if difference.min() < SAME:
                return self.names[int(difference.argmin())]
        self.names.append(name)
        self.thumbnails.append(thumbnail)
        return None
