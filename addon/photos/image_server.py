"""Reads images for the engine, in a Blender of its own without a window: `blender --background --python image_server.py -- FOLDER`.

A line of standard input names an image; its pixels are written into FOLDER as a .npy file, and a line of standard output says which.
It ends when standard input does, and so with the engine. It is run as a script and imports nothing of the extension.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import bpy as blender
import numpy as np

bpy: Any = blender  # the stubs lack what sequences can do

ANSWER = "splatwright-image "
LIGHT = ("OPEN_EXR", "OPEN_EXR_MULTILAYER", "HDR")
"""Kinds of files whose numbers are linear light."""


def main(folder: Path) -> None:
    """Answer until nobody asks any more."""
    tell({})
    for number, line in enumerate(sys.stdin):
        asked = json.loads(line)
        try:
            tell(answer(asked["path"], asked["most"], folder / f"{number}.npy"))
        except Exception as error:
            tell({"problem": f"{type(error).__name__}: {error}"})


def tell(said: dict[str, Any]) -> None:
    """One line."""
    print(ANSWER + json.dumps(said), flush=True)


def answer(path: str, most: int, target: Path) -> dict[str, Any]:
    """Write an image's pixels, top row first: light as float32, others as uint16, of which 65535 is white."""
    image = bpy.data.images.load(path)
    try:
        image.colorspace_settings.name = "Non-Color"
        image.alpha_mode = "CHANNEL_PACKED"
        width, height = image.size
        if not width or not height:
            return {"problem": "no pixels"}
        if width * height > most:
            return {"problem": "too large"}
        floats = np.empty(width * height * 4, np.float32)
        image.pixels.foreach_get(floats)
        light = image.file_format in LIGHT
    finally:
        bpy.data.images.remove(image)
    pixels = floats.reshape(height, width, 4)[::-1]
    pixels = pixels if (pixels[..., 3] < 1).any() else pixels[..., :3]
    np.save(target, np.ascontiguousarray(pixels) if light else (pixels.clip(0, 1) * 65535 + 0.5).astype(np.uint16))
    return {"pixels": str(target), "light": light}


if __name__ == "__main__":
    main(Path(sys.argv[sys.argv.index("--") + 1]))
