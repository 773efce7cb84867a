"""The one door to every dataset format."""

from __future__ import annotations

from pathlib import Path

from .colmap import find_model, read_colmap
from .dataset import Dataset
from .errors import UserError
from .transforms_json import FILE, read_transforms


def read_dataset(path: Path) -> Dataset:
    """Read a folder with transforms.json or a COLMAP model, or a transforms.json itself; UserError names what is missing."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} does not exist.", "Choose the folder of a dataset.")
    if path.is_file() and path.suffix == ".json" or (path / FILE).is_file():
        return read_transforms(path)
    if path.is_dir() and find_model(path):
        return read_colmap(path)
    raise UserError(f"{path} holds no dataset: there is neither transforms.json nor a COLMAP model (sparse/0).",
                    "Capture a dataset in Blender, or choose the folder that holds images and poses.")
