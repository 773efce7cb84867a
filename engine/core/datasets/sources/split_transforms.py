"""NeRF-synthetic folders and those of BlenderNeRF: transforms_train.json beside transforms_test.json or transforms_val.json.

Each is a transforms.json of its own. Images of the test are held out, those of the validation only where there is no test. A file whose
images were never rendered, as BlenderNeRF leaves them, counts as not there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import UserError
from ...files import read_json
from ..dataset import Dataset
from ..folder_index import FolderIndex
from ..photo_search import find_photos
from ..transforms_frame import MEND
from ..transforms_json import TRAIN_LIST, read_values

TRAIN = "transforms_train.json"
HELD_OUT = ("transforms_test.json", "transforms_val.json")
POINTS = ("points3d.ply", "sparse_pc.ply")


def find_split(path: Path) -> Path | None:
    """A folder with transforms_train.json."""
    return path if path.is_dir() and (path / TRAIN).is_file() else None


def read_split(folder: Path) -> Dataset:
    """Read the frames of all files as one dataset with their split. UserError as in read_transforms."""
    trained = _frames(folder / TRAIN)
    others = (_frames(folder / name) for name in HELD_OUT if (folder / name).is_file())
    tested = next((frames for frames in others if find_photos(FolderIndex(folder), _paths(frames)).paths), [])
    values: dict[str, Any] = {"frames": [*trained, *tested]}
    if tested:
        values |= {TRAIN_LIST: _paths(trained), "test_filenames": _paths(tested)}
    points = next((name for name in POINTS if (folder / name).is_file()), None)
    if points:
        values["ply_file_path"] = points
    return read_values(values, folder / TRAIN)


def _frames(file: Path) -> list[dict[str, Any]]:
    """The frames, each with what the file says of all of them."""
    values = read_json(file, "dataset", MEND, foreign=True)
    frames = values.pop("frames", None)
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise UserError(f"{file} has no list of frames.", MEND, "transforms.no_frames", path=file)
    return [{**values, **frame} for frame in frames]


def _paths(frames: list[dict[str, Any]]) -> list[str]:
    return [str(frame.get("file_path")) for frame in frames]
