"""Image files as arrays: decoded, checked against their cameras, reduced."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from ...core.cameras.camera import Camera
from ...core.cameras.sampling import IN_NUMPY, Sampling
from ...core.confinement import admitted
from ...core.datasets.dataset import View
from ...core.errors import UserError
from ...core.files import disk_error
from ...core.images.decoding import decode
from ...core.images.openimageio import openimageio
from ...core.images.orientation import same_shape
from ...core.images.png import SIGNATURE, Unfilter, decode_png, too_large
from ...core.images.through_blender import blender_reader

T = TypeVar("T")
R = TypeVar("R")

JPEG = b"\xff\xd8"
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
MOST_READERS = 4
"""Images decoded at a time: each may need some hundred megabytes."""

DAMAGED = (ValueError, OSError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError, struct.error, zlib.error)
"""What decoders raise about files that are not what they claim to be."""


def each_in_threads(work: Callable[[T], R], items: Sequence[T]) -> Generator[R, None, None]:
    """The results in order. Decoders and numpy leave Python's lock to others. An error ends the rest."""
    with ThreadPoolExecutor(min(MOST_READERS, os.cpu_count() or 1)) as pool:
        yield from pool.map(work, items)


def read_image(path: Path) -> np.ndarray:
    """uint8 [H, W, 3 or 4] of an image file as it is stored (cameras count stored pixels, so no EXIF turn is applied).

    By OpenImageIO, which Blender brings along; where it is not there by Pillow; PNG of the common kinds without either, and other files
    through Blender itself. UserError names the file.
    """
    try:
        return _decoded(path)
    except UserError as error:
        raise UserError(error.message if path.name in error.message else f"{path.name}: {error.message}", error.hint,
                        error.code, **{**dict(error.values), "path": path.name}) from None
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise disk_error(path, error) from error
        raise UserError(f"{path.name} is damaged and cannot be read.", "Replace the image, or remove it from the dataset.",
                        "images.damaged", path=path.name) from None


def image_reader() -> Literal["OpenImageIO", "Pillow", "Blender", "PNG"]:
    """What reads images here; PNG: nothing but our own code for that."""
    if openimageio() is not None:
        return "OpenImageIO"
    return "Pillow" if _pillow_is_there() else "Blender" if blender_reader() is not None else "PNG"


def _decoded(path: Path) -> np.ndarray:
    """The first reader that knows the kind of file decides."""
    if openimageio() is not None:
        with open(admitted(path), "rb"):  # tells a file that is not there from one of an unknown kind
            image = decode(path)
        if image is not None:
            return image
    data = admitted(path).read_bytes()
    if _pillow_is_there():
        image = _with_pillow(data)
    else:
        image = _plain_png(data) if data.startswith(SIGNATURE) else None
    reader = blender_reader()
    if image is None and reader is not None and not is_heif(data):
        image = reader.read(path)
    if image is None:
        raise _refusal(path, data)
    return image


def _plain_png(data: bytes) -> np.ndarray | None:
    """A PNG by our own code; None for the rare kinds where Blender reads them instead."""
    try:
        return decode_png(data, fast_unfilter())
    except UserError:
        if blender_reader() is None:
            raise
        return None


def _refusal(path: Path, data: bytes) -> UserError:
    """Why a file is not read by any of what is here, and what would read it."""
    if is_heif(data):
        return UserError(f"{path.name} is a HEIC photo, which the built-in engine does not read.",
                         "Install the full engine (Install Full Engine), or save the photos as JPEG.", "images.heic",
                         path=path.name)
    if openimageio() is not None or _pillow_is_there() or blender_reader() is not None:
        return UserError("It is no image of a kind that is read.", "Save it as PNG or JPEG, or remove it from the dataset.",
                         "images.unreadable")
    return UserError(f"{_kind(path, data)}, and nothing here reads more than PNG.",
                     "Train from Blender, which reads it, or install the full engine (Install Full Engine).", "images.png_only",
                     kind=_kind(path, data))


def is_heif(data: bytes) -> bool:
    """Whether a file's first bytes are those of HEIC, as phones write it (ISO 14496-12, 4.3)."""
    return data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS


def _pillow_is_there() -> bool:
    """Whether Pillow is; it reads HEIC too where pillow-heif is beside it."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        return False
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    return True


def _with_pillow(data: bytes) -> np.ndarray | None:
    """None for what Pillow does not know."""
    from PIL import Image, UnidentifiedImageError

    from ...core.images.pillow import open_image

    try:
        with open_image(io.BytesIO(data)) as opened:
            if opened.mode.startswith(("I", "F")):
                return _from_wide(np.asarray(opened))
            transparent = opened.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in opened.info
            mode = "RGBA" if transparent else "RGB"
            return np.asarray(opened if opened.mode == mode else opened.convert(mode))
    except UnidentifiedImageError:
        return None
    except Image.DecompressionBombError:
        raise too_large() from None


def _from_wide(values: np.ndarray) -> np.ndarray:
    """Grey values of 16 bits [H, W] -> uint8 [H, W, 3]; UserError for floating point, which has no white."""
    if values.dtype.kind == "f" or values.ndim != 2:
        raise UserError("Images with floating-point values are not read.", "Save them as 8-bit PNG or JPEG.", "images.floating_point")
    return np.repeat((values.clip(0, 65535) >> 8).astype(np.uint8)[..., None], 3, axis=2)


def _kind(path: Path, data: bytes) -> str:
    return f"{path.name} is {'a JPEG' if data.startswith(JPEG) else 'no PNG'}"


def fast_unfilter() -> Unfilter | None:
    """The kernels' PNG unfilter; None (plain Python) where there are no kernels."""
    if not _kernels_are_there():
        return None
    from ..cpu.library import png_unfilter

    return png_unfilter


def fast_sampling() -> Sampling:
    """What averages and samples images: the kernels, or numpy where there are none."""
    if not _kernels_are_there():
        return IN_NUMPY
    from ..cpu.sampling import KERNELS

    return KERNELS


def _kernels_are_there() -> bool:
    try:
        from ..cpu.library import load

        load()
    except (ImportError, UserError):
        return False
    return True


def fitted_camera(view: View, image: np.ndarray) -> Camera:
    """The view's camera at the size of its image [H, W, C]; UserError when the proportions differ by more than a pixel."""
    height, width = image.shape[:2]
    camera = view.camera
    if (width, height) == (camera.width, camera.height):
        return camera
    if not same_shape(width, height, camera.width, camera.height):
        raise UserError(f"{view.image.name} is {width} x {height} pixels, its camera says {camera.width} x {camera.height}.",
                        "Use the images that the poses were made with, neither cropped nor turned.",
                        "images.size", path=view.image.name, width=width, height=height,
                        camera_width=camera.width, camera_height=camera.height)
    return camera.resized(width, height)


def area_average(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Average [H, W, C] over the area of each pixel of a smaller size, fractions of pixels included: float32 [height, width, C]."""
    return fast_sampling().area_average(image, width, height)
