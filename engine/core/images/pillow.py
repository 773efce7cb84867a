"""Image files through Pillow, where it is installed: of the kinds that photos, masks and maps have."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, cast

from PIL import Image

from ..confinement import admitted

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "HEIF", "AVIF", "TGA", "GIF", "PPM", "JPEG2000")
"""What a file may be taken for. Of Pillow's other formats some start a program, as EPS does, or are hardly ever tried out."""


def open_image(source: Path | BinaryIO) -> Image.Image:
    """The header of an image, whose pixels are read when they are asked for. Pillow's errors, and PermissionError as admitted()."""
    return Image.open(admitted(source) if isinstance(source, Path) else source, "r", _formats())


def _formats() -> tuple[str, ...]:
    """Those that this Pillow has; HEIF comes with a package of its own."""
    Image.init()
    known = cast("dict[str, object]", Image.OPEN)
    return tuple(name for name in FORMATS if name in known)
