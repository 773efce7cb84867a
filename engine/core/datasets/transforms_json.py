"""nerfstudio's dataset format: transforms.json beside images and start points. The world is Blender's (Z up, metres)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..cameras.camera import Camera
from ..confinement import may_open
from ..errors import UserError
from ..files import read_json, write_text
from ..splats.offset import NO_OFFSET, Offset, offset_from_words
from ..text import named
from .capture_journal import append_frame, forget_journal, with_journal
from .dataset import Dataset, LeftOut, PointCloud, View, held_out_names
from .folder_index import FolderIndex
from .map_search import find_maps
from .model_points import points_of_model
from .name_spelling import plain_name, readable
from .photo_search import FoundPhotos, find_photos
from .points_ply import read_points, write_points
from .recentring import recentred, restored
from .start_points import points_beside
from .transforms_frame import DISTORTION, MAP_KEYS, MEND, ORTHOGRAPHIC, RawFrame

FILE = "transforms.json"
POINTS = "points3d.ply"
EVAL_LISTS = ("val_filenames", "test_filenames")
TRAIN_LIST = "train_filenames"
LABELS_KEY = "labels_path"


def write_transforms(dataset: Dataset) -> Path:
    """Write the dataset's transforms.json, and points3d.ply when it has points; returns the JSON's path.

    nerfstudio reads it too: it wants all three lists of names, so the held-out views are both val and test. The offset of survey
    coordinates is given back, and noted, so that reading takes the same one.
    """
    own: dict[str, Any] = {"complete": dataset.complete, "rendered": dataset.rendered}
    if dataset.offset != NO_OFFSET:
        own["offset"] = list(dataset.offset)
    dataset = restored(dataset)
    rational = any(any(view.camera.distortion[5:]) for view in dataset.views)
    values: dict[str, Any] = {"camera_model": "FULL_OPENCV" if rational else "OPENCV", "splatwright": own}
    if dataset.points is not None:
        write_points(dataset.folder / POINTS, dataset.points)
        values["ply_file_path"] = POINTS
    if dataset.labels_file is not None:
        values[LABELS_KEY] = _relative(dataset.labels_file, dataset.folder)
    values[TRAIN_LIST] = [_relative(view.image, dataset.folder) for view in dataset.train_views]
    for name in EVAL_LISTS:
        values[name] = [_relative(view.image, dataset.folder) for view in dataset.eval_views]
    values["frames"] = [_frame(view, dataset.folder) for view in dataset.views]
    path = dataset.folder / FILE
    write_text(path, json.dumps(values, indent=1, ensure_ascii=False))
    forget_journal(dataset.folder)
    return path


def add_view(view: View, folder: Path) -> None:
    """Note a view of a dataset that is being captured in `folder`, whose transforms.json is written when all is there."""
    append_frame(folder, _frame(view, folder))


def _frame(view: View, folder: Path) -> dict[str, Any]:
    camera = view.camera
    frame: dict[str, Any] = {"file_path": _relative(view.image, folder), "w": int(camera.width), "h": int(camera.height)}
    frame |= {name: float(getattr(camera, name)) for name in ("fl_x", "fl_y", "cx", "cy")}
    frame |= {name: float(value) for name, value in zip(DISTORTION, camera.distortion, strict=False)}
    if camera.orthographic:
        frame["camera_model"] = ORTHOGRAPHIC
    frame |= {key: _relative(path, folder) for kind, key in MAP_KEYS.items() if (path := getattr(view, kind)) is not None}
    frame["transform_matrix"] = np.asarray(camera.camera_to_world, float).tolist()
    return frame


def _relative(path: Path, folder: Path) -> str:
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return path.as_posix()


def read_transforms(path: Path) -> Dataset:
    """Read a folder with transforms.json, or the file itself.

    Frames whose image is not there are left out and named in Dataset.missing, those whose pose or lens cannot be used in
    Dataset.left_out with file, frame and value; UserError when none is left. Intrinsics may be global or each frame's own, a
    camera_angle_x or x_fov, or follow from the image's size. A view is held out when val_filenames or test_filenames name it and
    train_filenames do not; without any list every eighth of all frames is.
    """
    file = path / FILE if path.is_dir() else path
    return read_values(with_journal(read_json(file, "dataset", MEND, foreign=True), file.parent), file)


def read_values(values: dict[str, Any], file: Path) -> Dataset:
    """Read what a file of this format holds, as read_transforms does."""
    frames = _frames(values, file)
    paths = [_path_of(frame, index) for index, frame in enumerate(frames)]
    named_paths = [path for path, frame in zip(paths, frames, strict=True) if _has_path(frame)]
    index = FolderIndex(file.parent)
    found = find_photos(index, named_paths)
    if named_paths and not found.paths:
        raise _no_image(found, file)
    raw, unsound = _usable(values, frames, paths, file, found.paths)
    held_out = _held_out(values, list(dict.fromkeys(paths)))
    maps = find_maps(index, {frame.path: frame.image for frame in raw}, {frame.path: frame.named_maps for frame in raw})
    names = _names([frame.image for frame in raw])
    views = tuple(view for name, frame in zip(names, raw, strict=True)
                  for view in frame.views(name, frame.path in held_out, maps.of(frame.path)))
    points, notes = _points(values, file.parent, views)
    dataset = Dataset(file.parent, views, points, _complete(values), tuple(map(readable, found.missing)), (*unsound, *maps.notes, *notes),
                      rendered=_own(values).get("rendered") is True, labels_file=_labels_file(values, file.parent))
    noted = _noted_offset(values)
    return dataset if noted is None else recentred(dataset, noted)


def read_cameras(file: Path) -> list[tuple[str, Camera]]:
    """Name and camera of every frame, in the order of the file, whether the images are there or not. UserError as in read_transforms, and
    for a frame without a camera: the others would not be the same shot."""
    values = with_journal(read_json(file, "dataset", MEND, foreign=True), file.parent)
    frames = _frames(values, file)
    paths = [_path_of(frame, index) for index, frame in enumerate(frames)]
    raw = [RawFrame.read(values, frame, index, file, file.parent / paths[index]) for index, frame in enumerate(frames)]
    return [(Path(frame.path).stem, frame.camera()) for frame in raw]


def _frames(values: dict[str, Any], file: Path) -> list[Any]:
    """The entries of the list of frames; UserError when there is none."""
    frames = values.get("frames")
    if not isinstance(frames, list):
        raise UserError(f"{file} has no list of frames.", MEND, "transforms.no_frames", path=file)
    if not frames:
        why = "the capture was interrupted before its first image" if not _complete(values) else "its list of frames is empty"
        raise UserError(f"{file} names no images: {why}.", "Capture the dataset again.", "transforms.no_images", path=file, problem=why)
    return frames


def _has_path(frame: Any) -> bool:
    return isinstance(frame, dict) and isinstance(frame.get("file_path"), str) and bool(frame["file_path"])


def _path_of(frame: Any, index: int) -> str:
    """The image's path as in the file, without ./; for a frame that has none what it is called in sentences."""
    return plain_name(frame["file_path"]) if _has_path(frame) else f"frame {index + 1}"


def _no_image(found: FoundPhotos, file: Path) -> UserError:
    names = [readable(name) for name in found.names]
    return UserError(f"{len(names)} of {len(names)} images are named in {file.name} but not there: {named(names)}. {found.looked_for}. "
                     f"{found.lies_there}.", f"Copy the missing images into {file.parent}, or remove their frames.",
                     "transforms.images_missing", count=len(names), path=file, looked_for=found.looked_for, found=found.lies_there,
                     file=file.name, names=named(names), parent=file.parent)


def _usable(values: dict[str, Any], frames: list[Any], paths: list[str], file: Path,
            images: Mapping[str, Path]) -> tuple[list[RawFrame], list[LeftOut]]:
    """The frames whose image is there and of which a camera can be made, and what is wrong with others; UserError when none is left."""
    raw: dict[str, RawFrame] = {}
    errors: list[tuple[str, UserError]] = []
    for index, (frame, path) in enumerate(zip(frames, paths, strict=True)):
        if _has_path(frame) and path not in images:
            continue
        try:
            if path in raw:
                raise UserError(f"Frame {index + 1} of {file.name} is an image that an earlier frame has; the first one is used.", MEND,
                                "transforms.twice", index=index + 1, file=file.name)
            raw[path] = RawFrame.read(values, frame, index, file, images.get(path, file))
        except UserError as error:
            errors.append((readable(path), error))
    if not raw:
        raise errors[0][1]
    return list(raw.values()), [LeftOut(name, error.message) for name, error in errors]


def _held_out(values: dict[str, Any], paths: list[str]) -> set[str]:
    """Held-out views by the lists of the file; without lists every eighth."""
    lists = {name: {plain_name(str(path)) for path in values[name]} for name in (*EVAL_LISTS, TRAIN_LIST)
             if isinstance(values.get(name), list)}
    trained = lists.pop(TRAIN_LIST, None)
    if lists:
        return set().union(*lists.values()) - (trained or set())
    return held_out_names(paths) if trained is None else set(paths) - trained


def _names(images: list[Path]) -> list[str]:
    """Short names of the images: their paths below the folder that they share, or with the letter of their drive on Windows."""
    if len({image.absolute().drive for image in images}) > 1:
        return [str(image.absolute()).replace(":", "").replace("\\", "/").strip("/") for image in images]
    shared = os.path.commonpath([image.parent.absolute() for image in images])
    return [image.absolute().relative_to(shared).as_posix() for image in images]


def _points(values: dict[str, Any], folder: Path, views: Sequence[View]) -> tuple[PointCloud | None, list[LeftOut]]:
    """The start points that the file names, or those that lie beside it: a PLY in its own frame, or a COLMAP model of the same images.

    Files of our own name what they have.
    """
    name, notes = values.get("ply_file_path"), list[LeftOut]()
    if isinstance(name, str) and name:
        path = folder / plain_name(name)
        if may_open(path):
            return read_points(path, exact=True), notes
        notes.append(LeftOut(path.name, f"The start points {path.name}, named in {FILE}, are not there", "points"))
    elif "splatwright" in values:
        return None, notes
    points, problem = points_beside([folder]), ""
    if points is None:
        points, problem = points_of_model(folder, {view.name: view.camera for view in views})
    return points, [*notes, *([LeftOut("sparse", problem, "points")] if problem else [])]


def _labels_file(values: dict[str, Any], folder: Path) -> Path | None:
    """The file that says what labels are, where the dataset names one that is there."""
    name = values.get(LABELS_KEY)
    path = folder / plain_name(name) if isinstance(name, str) and name else None
    return path if path is not None and may_open(path) else None


def _complete(values: dict[str, Any]) -> bool:
    return _own(values).get("complete") is not False


def _noted_offset(values: dict[str, Any]) -> Offset | None:
    """The offset that write_transforms noted; None where it noted none that can be read."""
    noted = _own(values).get("offset")
    return offset_from_words(" ".join(map(str, noted))) if isinstance(noted, list) else None


def _own(values: dict[str, Any]) -> dict[str, Any]:
    """What Splatwright writes beside the format's own fields."""
    own = values.get("splatwright")
    return own if isinstance(own, dict) else {}
