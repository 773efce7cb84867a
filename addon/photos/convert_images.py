"""Images of any format that Blender reads, written as the PNG that every engine reads: for a Blender without OpenImageIO for Python."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np

from ...engine.core.cameras.panorama import cut_face
from ...engine.core.datasets.dataset import Dataset, LeftOut, View
from ...engine.core.errors import UserError
from ...engine.core.files import make_folder
from ...engine.core.images.decoding import display_values
from ...engine.core.images.orientation import as_seen
from ...engine.core.images.png import write_png
from ..typed import untyped

LIGHT = ("OPEN_EXR", "OPEN_EXR_MULTILAYER", "HDR")
SUFFIX = "_png"


def convert_to_png(dataset: Dataset) -> Dataset:
    """The same dataset in a folder beside it, every image a PNG; the originals stay as they are.

    Images that Blender cannot read are left out and named; UserError when it can read none.
    """
    folder = dataset.folder.with_name(dataset.folder.name + SUFFIX)
    images = make_folder(folder / "images")
    views: list[View] = []
    errors: list[tuple[str, UserError]] = []
    for index, view in enumerate(dataset.views):
        try:
            pixels = _pixels(view.image)
        except UserError as error:
            errors.append((view.name, error))
        else:
            views.append(_converted(view, pixels, images / f"{index:05d}.png"))
    if errors and not views:
        raise errors[0][1]
    left_out = (*dataset.left_out, *(LeftOut(name, error.message) for name, error in errors))
    return replace(dataset, folder=folder, views=tuple(views), left_out=left_out)


def _converted(view: View, pixels: np.ndarray, target: Path) -> View:
    write_png(target, cut_face(pixels, view.face) if view.face else as_seen(pixels, view.camera.width, view.camera.height, view.image))
    return replace(view, name=target.name, image=target, depth=None, mask=None, face="")


def _pixels(path: Path) -> np.ndarray:
    """uint8 [H, W, 3 or 4], top row first, colours as they are in the file; linear light as sRGB, clipped at white."""
    try:
        image = bpy.data.images.load(str(path))
    except RuntimeError:
        raise UserError(f"Blender cannot read {path.name}.", "Replace the image, or remove it from the dataset.",
                        "image.blender_cannot", file=path.name) from None
    try:
        untyped(image.colorspace_settings).name = "Non-Color"
        image.alpha_mode = "CHANNEL_PACKED"
        width, height = image.size
        if not width or not height:
            raise UserError(f"{path.name} is damaged and cannot be read.", "Replace the image, or remove it from the dataset.",
                            "image.damaged", file=path.name)
        floats = np.empty(width * height * 4, np.float32)
        untyped(image).pixels.foreach_get(floats)
        channels, light = 4 if image.depth in (32, 64, 128) else 3, image.file_format in LIGHT
    finally:
        bpy.data.images.remove(image)
    pixels = floats.reshape(height, width, 4)[::-1, :, :channels]
    return display_values(pixels) if light else np.ascontiguousarray((pixels.clip(0, 1) * 255 + 0.5).astype(np.uint8))
