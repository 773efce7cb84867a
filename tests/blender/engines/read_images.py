"""Reads images as a worker does, where Pillow is not there: `python read_images.py OUTPUT.npz IMAGE...` on the engine's import path."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

import numpy as np

sys.modules["PIL"] = None  # type: ignore[assignment]


def main(package: str, output: Path, paths: list[Path]) -> None:
    """Save the pixels of each image by its name, and print what reads them, where numpy lies, the sizes, and what went wrong."""
    images = importlib.import_module(f"{package}.training.data.images")
    sizes = importlib.import_module(f"{package}.core.images.image_size")
    read, said = {}, {}
    for path in paths:
        try:
            read[path.name] = images.read_image(path)
        except Exception as error:
            said[path.name] = f"{type(error).__name__}: {error}"
    np.savez(output, **read)
    print(json.dumps({"reader": images.image_reader(), "numpy": np.__file__, "said": said, "path": sys.path,
                      "sizes": {path.name: sizes.image_size(path) for path in paths}}))


if __name__ == "__main__":
    main(os.environ["ENGINE_PACKAGE"], Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
