"""Photos as they come from cameras: found, opened upright in 8 bits, and what EXIF says about the lens."""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ..core.datasets.file_types import MASK_FOLDERS, PHOTOS, RAW, VIDEOS
from ..core.datasets.mask_search import find_masks
from ..core.datasets.poses_report import UnregisteredPhoto
from ..core.errors import UserError
from ..core.files import disk_error
from ..core.images.pillow import open_image
from ..core.text import named

HEIF = (".heic", ".heif")
FULL_FRAME_DIAGONAL = 43.2666
"""Millimetres: what 35 mm equivalents refer to (CIPA DCG-001)."""

ORIENTATION, MAKER, MODEL, EXIF = 0x0112, 0x010F, 0x0110, 0x8769
FOCAL, FOCAL_35, TAKEN = 0x920A, 0xA405, 0x9003
DAMAGED = (OSError, ValueError, SyntaxError, EOFError, TypeError, ArithmeticError, LookupError, struct.error)
"""What decoders raise about files that are not what they claim to be."""


@contextmanager
def without_warnings() -> Iterator[None]:
    """Ignore the warnings of decoders inside. Not for use in threads: the filters belong to the process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


@dataclass(frozen=True)
class Photo:
    """One photo, measured upright (after its EXIF turn)."""

    path: Path
    name: str  # below the folder of photos, with forward slashes
    width: int
    height: int
    focal: float | None  # pixels, by EXIF; None where it says nothing
    lens: str  # what photos of one camera and zoom share
    taken: str  # EXIF's time, empty when unknown
    mask: Path | None
    face: str = ""  # of a cut of a panorama: which side it is, and what all of its cuts share
    frame: str = ""


def find_photos(folder: Path, skip: Iterable[Path] = ()) -> tuple[list[Photo], list[UnregisteredPhoto]]:
    """Every readable photo below a folder in natural order of names, and the unreadable ones with the reason.

    Folders of masks and those in `skip` are left out. UserError when no photo can be read.
    """
    files = _files(folder, {path.resolve() for path in skip})
    masks = find_masks(folder, [path for path in files if path.suffix.lower() in PHOTOS])
    stems = {path.with_suffix("") for path in files if path.suffix.lower() in PHOTOS}
    photos, excluded = [], []
    for path in files:
        name = path.relative_to(folder).as_posix()
        if path.suffix.lower() in RAW and path.with_suffix("") not in stems:
            excluded.append(UnregisteredPhoto(name, "It is a camera's RAW file. Develop it to JPEG or TIFF first."))
        elif path.suffix.lower() in PHOTOS:
            try:
                photos.append(_measured(path, name, masks.paths.get(path)))
            except UserError as error:
                excluded.append(UnregisteredPhoto(name, error.message))
    if not photos:
        raise _nothing(folder, files, excluded)
    return photos, excluded


def _files(folder: Path, skip: set[Path]) -> list[Path]:
    if not folder.is_dir():
        problem = "is no folder" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {problem}.", "Choose the folder that holds the photos.", "photos.folder", folder=folder,
                        problem=problem)
    try:
        return sorted(_walk(folder, skip), key=lambda path: natural(path.relative_to(folder).as_posix()))
    except OSError as error:
        raise disk_error(folder, error) from error


def _walk(folder: Path, skip: set[Path]) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if path.name.casefold() not in MASK_FOLDERS and path.resolve() not in skip:
                yield from _walk(path, skip)
        else:
            yield path


def natural(name: str) -> list[tuple[int, int | str]]:
    """Sort key by the numbers in a name: photo2 comes before photo10."""
    return [(0, int(part)) if part.isdecimal() else (1, part.casefold()) for part in re.split(r"(\d+)", name)]


def _nothing(folder: Path, files: list[Path], excluded: list[UnregisteredPhoto]) -> UserError:
    if excluded:
        explanation = f"{named(each.name for each in excluded)}: {excluded[0].reason}"
        return UserError(f"None of the files in {folder} is a readable photo. {explanation}", "Copy the photos from the camera again.",
                         "photos.unreadable", folder=folder, explanation=explanation)
    if any(path.suffix.lower() in VIDEOS for path in files):
        return UserError(f"{folder} holds videos but no photos.", "Extract the frames of a video first: splatwright frames VIDEO DIR.",
                         "photos.videos", folder=folder)
    return UserError(f"{folder} holds no photos.", f"Photos end in {', '.join(sorted(PHOTOS))}.", "photos.none", folder=folder,
                     photos=", ".join(sorted(PHOTOS)))


def _measured(path: Path, name: str, mask: Path | None) -> Photo:
    """A photo by its header; UserError when it has none."""
    with _opened(path) as image:
        exif = image.getexif()
        width, height = image.size
    if exif.get(ORIENTATION, 1) in (5, 6, 7, 8):
        width, height = height, width
    details = exif.get_ifd(EXIF)
    equivalent, millimetres = _number(details.get(FOCAL_35)), _number(details.get(FOCAL))
    focal = equivalent * float(np.hypot(width, height)) / FULL_FRAME_DIAGONAL if equivalent else None
    lens = f"{_text(exif.get(MAKER))} {_text(exif.get(MODEL))} {millimetres:.1f} {equivalent:.1f}"
    return Photo(path, name, width, height, focal, lens.strip(), _text(details.get(TAKEN)), mask)


def _number(value: Any) -> float:
    """EXIF's fractions as a number; 0 for what is none."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return number if 0 < number < 1e5 else 0.0


def _text(value: Any) -> str:
    return value.strip("\0 ") if isinstance(value, str) else ""


def _opened(path: Path) -> Image.Image:
    """The file's header; UserError with the reason when it is no image."""
    _register_heif()
    try:
        return open_image(path)
    except UnidentifiedImageError:
        raise UserError(_unknown(path)) from None
    except Image.DecompressionBombError:
        raise UserError("It is larger than 170 million pixels.", code="photo.too_large") from None
    except DAMAGED as error:
        raise UserError(f"It cannot be read: {error}.", code="photo.unreadable", error=error) from None


def _unknown(path: Path) -> str:
    if path.suffix.lower() in HEIF and not _register_heif():
        return "Reading it needs the package pillow-heif: pip install 'splatwright[photos]'."
    return "It is no image, or it is damaged from its first bytes on."


def _register_heif() -> bool:
    """Let Pillow read HEIC; False where the package pillow-heif is missing."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def open_photo(path: Path, size: int = 0) -> Image.Image:
    """A photo upright, RGB or RGBA of 8 bits; UserError with the reason when it is cut off or damaged.

    With `size` the decoder may reduce it, to no less than that on its longest side.
    """
    with _opened(path) as image:
        try:
            if size and image.format == "JPEG":
                scale = size / max(image.size)
                image.draft("RGB", (int(image.width * scale), int(image.height * scale)))
            return ImageOps.exif_transpose(_in_srgb(_eight_bits(image)))
        except DAMAGED as error:
            cut = "truncated" in str(error) or "too short" in str(error).lower()
            raise UserError("It is cut off: the end of the file is missing." if cut else f"It is damaged: {error}.") from None


def _eight_bits(image: Image.Image) -> Image.Image:
    """RGB or RGBA, keeping EXIF. Grey values of 16 bits keep their high byte; floating point from 0 to 1 is stretched."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image).astype(np.float64) * (255.0 if image.mode == "F" else 1 / 257)
        grey = Image.fromarray(np.rint(values).clip(0, 255).astype(np.uint8))
        grey.info.update(image.info)
        return grey.convert("RGB")
    transparent = image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info
    return image.convert("RGBA" if transparent else "RGB")


def _in_srgb(image: Image.Image) -> Image.Image:
    """The image in sRGB, converted from the colour space that its profile names."""
    profile = image.info.get("icc_profile")
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=image.mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    assert converted is not None
    converted.info = {name: value for name, value in image.info.items() if name != "icc_profile"}
    return converted


def open_mask(photo: Photo, size: tuple[int, int]) -> Image.Image:
    """A photo's mask at a size: 255 where the photo counts, 0 where it is to be ignored. UserError when it does not fit."""
    assert photo.mask is not None
    with _opened(photo.mask) as image:
        try:
            mask = (image.getchannel("A") if image.mode in ("RGBA", "LA") else image).convert("L")
        except DAMAGED as error:
            raise UserError(f"Its mask {photo.mask.name} is damaged: {error}.", code="photo.mask_damaged", mask=photo.mask.name,
                            error=error) from None
    mask = mask if _fits(mask.size, photo) else _turned_alike(mask, photo)
    if not _fits(mask.size, photo):
        raise UserError(f"Its mask {photo.mask.name} is {mask.width} x {mask.height} pixels, the photo {photo.width} x {photo.height}.",
                        code="photo.mask_size", mask=photo.mask.name, width=mask.width, height=mask.height, photo_width=photo.width,
                        photo_height=photo.height)
    return mask.resize(size, Image.Resampling.BILINEAR).point(black_below(128))


def black_below(level: int) -> list[int]:
    """A table for Image.point: white from `level` on."""
    return [0] * level + [255] * (256 - level)


def _fits(size: tuple[int, int], photo: Photo) -> bool:
    return abs(size[0] * photo.height / photo.width - size[1]) <= 1.5


def _turned_alike(mask: Image.Image, photo: Photo) -> Image.Image:
    """The mask with the photo's EXIF turn, for masks that were drawn on the pixels as stored."""
    with _opened(photo.path) as image:
        mask.getexif()[ORIENTATION] = image.getexif().get(ORIENTATION, 1)
    return ImageOps.exif_transpose(mask)
