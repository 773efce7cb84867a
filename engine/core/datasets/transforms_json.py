"""nerfstudio's dataset format: transforms.json beside images and start points. The world is Blender's (Z up, metres)."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..cameras.camera import Camera
from ..cameras.lenses import Coefficients, Lens, Pinhole, brown_lens, opencv_lens, trimmed
from ..cameras.panorama import is_whole_sphere
from ..errors import UserError
from ..files import read_json, write_text
from ..images.image_size import image_size
from ..images.orientation import LYING, orientation
from ..text import named
from .capture_journal import append_frame, forget_journal, with_journal
from .dataset import Dataset, LeftOut, PointCloud, View, held_out_names
from .folder_index import FolderIndex
from .map_search import MapKind, find_maps
from .model_points import points_of_model
from .name_spelling import plain_name, readable
from .panoramas import views_of_panorama
from .photo_search import FoundPhotos, find_photos, is_there
from .points_ply import read_points, write_points
from .recentring import restored
from .start_points import points_beside

FILE = "transforms.json"
POINTS = "points3d.ply"
LENS = ("w", "h", "fl_x", "fl_y", "cx", "cy")
DISTORTION = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
RATIONAL = ("k5", "k6")
"""Only FULL_OPENCV has these. It divides by k4 too, which in other lenses is the fourth of Brown's radial terms (nerfstudio's
camera_utils, instant-ngp)."""

ORTHOGRAPHIC = "ORTHOGRAPHIC"
"""Ours: parallel rays, fl_x and fl_y in pixels for each metre."""

EQUIRECTANGULAR = "EQUIRECTANGULAR"
"""A panorama of the whole sphere; nerfstudio's."""

FISHEYE = "OPENCV_FISHEYE"
FISHEYE_DISTORTION = ("k1", "k2", "k3", "k4")
MODELS = (FISHEYE, "OPENCV", "FULL_OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "RADIAL", "SIMPLE_RADIAL", "PERSPECTIVE", ORTHOGRAPHIC,
          EQUIRECTANGULAR)
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".JPG", ".JPEG", ".PNG", ".webp", ".tif", ".tiff", ".exr")
EVAL_LISTS = ("val_filenames", "test_filenames")
TRAIN_LIST = "train_filenames"
MAP_KEYS: dict[MapKind, str] = {"mask": "mask_path", "depth": "depth_file_path", "normals": "normal_file_path"}
MEND = "Fix transforms.json, or make the dataset again."


def write_transforms(dataset: Dataset) -> Path:
    """Write the dataset's transforms.json, and points3d.ply when it has points; returns the JSON's path.

    nerfstudio reads it too: it wants all three lists of names, so the held-out views are both val and test. The offset of survey
    coordinates is given back.
    """
    dataset = restored(dataset)
    rational = any(any(view.camera.distortion[5:]) for view in dataset.views)
    values: dict[str, Any] = {"camera_model": "FULL_OPENCV" if rational else "OPENCV", "splatwright": {"complete": dataset.complete}}
    if dataset.points is not None:
        write_points(dataset.folder / POINTS, dataset.points)
        values["ply_file_path"] = POINTS
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
    if view.depth:
        frame["depth_file_path"] = _relative(view.depth, folder)
    if view.mask:
        frame["mask_path"] = _relative(view.mask, folder)
    if view.normals:
        frame["normal_file_path"] = _relative(view.normals, folder)
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
    return Dataset(file.parent, views, points, _complete(values), tuple(map(readable, found.missing)), (*unsound, *maps.notes, *notes))


def read_cameras(file: Path) -> list[tuple[str, Camera]]:
    """Name and camera of every frame, in the order of the file, whether the images are there or not. UserError as in read_transforms, and
    for a frame without a camera: the others would not be the same shot."""
    values = with_journal(read_json(file, "dataset", MEND, foreign=True), file.parent)
    frames = _frames(values, file)
    paths = [_path_of(frame, index) for index, frame in enumerate(frames)]
    raw = [_RawFrame.read(values, frame, index, file, file.parent / paths[index]) for index, frame in enumerate(frames)]
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
                     "transforms.images_missing", count=len(names), path=file, looked_for=found.looked_for, found=found.lies_there)


def _usable(values: dict[str, Any], frames: list[Any], paths: list[str], file: Path,
            images: Mapping[str, Path]) -> tuple[list[_RawFrame], list[LeftOut]]:
    """The frames whose image is there and of which a camera can be made, and what is wrong with others; UserError when none is left."""
    raw: dict[str, _RawFrame] = {}
    errors: list[tuple[str, UserError]] = []
    for index, (frame, path) in enumerate(zip(frames, paths, strict=True)):
        if _has_path(frame) and path not in images:
            continue
        try:
            if path in raw:
                raise UserError(f"Frame {index + 1} of {file.name} is an image that an earlier frame has; the first one is used.", MEND)
            raw[path] = _RawFrame.read(values, frame, index, file, images.get(path, file))
        except UserError as error:
            errors.append((readable(path), error))
    if not raw:
        raise errors[0][1]
    return list(raw.values()), [LeftOut(name, error.message) for name, error in errors]


def _refuse_other_lens(merged: dict[str, Any], where: str) -> None:
    """UserError for a lens that OpenCV's pinhole model does not describe."""
    model = _model(merged)
    if model not in MODELS:
        raise UserError(f"{where} has an image of the lens model {model}, which is not supported.", "Undistort the images first.",
                        "transforms.lens", where=where, model=model)
    if model == ORTHOGRAPHIC and any(merged.get(name) for name in DISTORTION):
        raise UserError(f"{where} has orthographic images with lens distortion.", "Undistort the images first.",
                        "transforms.orthographic_distortion", where=where)
    if model not in ("FULL_OPENCV", FISHEYE, EQUIRECTANGULAR) and any(merged.get(name) for name in RATIONAL):
        raise UserError(f"{where} gives distortion beyond k4, which only the lens model FULL_OPENCV has.",
                        'Undistort the images first, or set "camera_model" if the numbers are OpenCV\'s.',
                        "transforms.distortion", where=where)


def _model(merged: dict[str, Any]) -> Any:
    """The lens model of a frame; instant-ngp's files say is_fisheye instead."""
    model = merged.get("camera_model", "OPENCV")
    return FISHEYE if merged.get("is_fisheye") else model.upper() if isinstance(model, str) else model


@dataclass(frozen=True)
class _RawFrame:
    """One frame of which a camera can be made."""

    path: str  # as in the file, without ./
    image: Path
    named_maps: dict[MapKind, str]
    numbers: dict[str, float]  # LENS
    distortion: tuple[float, ...]
    model: str
    pose: np.ndarray  # [4, 4]

    @staticmethod
    def read(values: dict[str, Any], frame: Any, index: int, file: Path, image: Path) -> _RawFrame:
        """UserError with file, frame and value for what no camera can be made of."""
        where = f"Frame {index + 1} of {file.name}"
        try:
            path = plain_name(frame["file_path"])
            merged = {**values, **frame}
            numbers = {key: float(merged.get(key, math.nan)) for key in LENS}
            angles = {side: float(merged.get(f"camera_angle_{side}") or math.radians(float(merged.get(f"{side}_fov") or 0.0)))
                      for side in ("x", "y")}
            model = _model(merged)
            distortion = tuple(float(merged.get(key, 0.0)) for key in (FISHEYE_DISTORTION if model == FISHEYE else DISTORTION))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{where} lacks its file_path, or holds text where numbers belong: {error}.", MEND,
                            "transforms.frame", frame=index + 1, path=file, problem=error) from None
        _refuse_other_lens(merged, where)
        strange = [f"{key} {numbers[key]:g}" for key in LENS if key in merged and not math.isfinite(numbers[key])]
        if strange:
            raise _impossible_lens(where, path, ", ".join(strange))
        _complete_lens(numbers, angles, image)
        maps: dict[MapKind, str] = {kind: name for kind, key in MAP_KEYS.items() if isinstance(name := frame.get(key), str) and name}
        raw = _RawFrame(path, image, maps, numbers, trimmed(distortion), model, _matrix(frame.get("transform_matrix")))
        raw.refuse_unsound(where, frame.get("transform_matrix"))
        return raw

    def refuse_unsound(self, where: str, matrix: Any) -> None:
        """UserError when no camera can be made of it; `matrix` is the pose as the file has it."""
        if not self.pose_is_sound():
            raise UserError(f"{where} ({readable(self.path)}) is without a valid pose (a rotation and a position): {_shown(matrix)}.",
                            "Remove these frames, or make the poses again.", "transforms.pose", image=readable(self.path), where=where)
        if self.model == EQUIRECTANGULAR and not is_whole_sphere(self.numbers["w"], self.numbers["h"]):
            size = f"{self.numbers['w']:g} x {self.numbers['h']:g}"
            raise UserError(f"{where} ({readable(self.path)}) is a panorama of {size} pixels; one of the whole sphere is twice as wide as "
                            "high.", "Fill up the panorama above and below, or leave its frame out.",
                            "transforms.panorama", image=readable(self.path), where=where)
        if not self.lens_is_sound():
            numbers = [f"{key} {value:g}" for key, value in (*self.numbers.items(), *(("distortion", value) for value in self.distortion))]
            raise _impossible_lens(where, self.path, ", ".join(numbers))
        self.opencv()

    def opencv(self) -> tuple[Pinhole, Coefficients]:
        """Pinhole and distortion as OpenCV has them; UserError for a lens that its rational model does not follow."""
        n, (k1, k2, p1, p2, k3, k4, *_) = self.numbers, (*self.distortion, *(0.0,) * 6)
        size, pinhole = (round(n["w"]), round(n["h"])), (n["fl_x"], n["fl_y"], n["cx"], n["cy"])
        match self.model:
            case "OPENCV_FISHEYE":
                return opencv_lens(Lens(FISHEYE, *size, (*pinhole, k1, k2, p1, p2)))  # whose four are k1 to k4
            case "FULL_OPENCV" | "EQUIRECTANGULAR":
                return pinhole, self.distortion
            case _:
                return brown_lens(size, pinhole, (k1, k2, k3, k4), (p1, p2))

    def pose_is_sound(self) -> bool:
        """Whether the pose is a rotation, a place and perhaps a scale."""
        if self.pose.shape != (4, 4) or not np.isfinite(self.pose).all():
            return False
        rotation = self.pose[:3, :3]
        volume = np.linalg.det(rotation)
        area = abs(volume) ** (2 / 3)
        return bool(volume > 1e-9 and np.allclose(rotation @ rotation.T, area * np.eye(3), atol=1e-2 * area)
                    and np.allclose(self.pose[3], [0, 0, 0, 1]))

    def lens_is_sound(self) -> bool:
        """Whether all intrinsics are numbers, and sizes and focal lengths positive. Of a panorama the size is all."""
        if self.model == EQUIRECTANGULAR:
            return True
        return (all(math.isfinite(value) for value in (*self.numbers.values(), *self.distortion))
                and min(self.numbers["w"], self.numbers["h"]) >= 1 and min(self.numbers["fl_x"], self.numbers["fl_y"]) > 0)

    def views(self, name: str, held_out: bool, maps: Mapping[MapKind, Path]) -> tuple[View, ...]:
        """The view of the frame with the maps beside it, or the six of a panorama."""
        view = View(name, self.image, self.camera(), held_out, maps.get("depth"), maps.get("mask"), maps.get("normals"))
        return views_of_panorama(view) if self.model == EQUIRECTANGULAR else (view,)

    def camera(self) -> Camera:
        """A scale in the pose is dropped. Of a panorama only size and pose count."""
        n = self.numbers
        pose = self.pose.copy()
        pose[:3, :3] /= np.cbrt(np.linalg.det(pose[:3, :3]))
        width, height = round(n["w"]), round(n["h"])
        if self.model == EQUIRECTANGULAR:
            return Camera(width, height, 1.0, 1.0, width / 2, height / 2, pose)
        pinhole, distortion = self.opencv()
        return Camera(width, height, *pinhole, pose, distortion, self.model == ORTHOGRAPHIC)


def _shown(matrix: Any) -> str:
    """A pose of the file, in short."""
    numbers = _matrix(matrix)
    return " ".join(f"{number:g}" for number in numbers.ravel()[:16]) if numbers.ndim == 2 else str(matrix)[:100]


def _impossible_lens(where: str, path: str, numbers: str) -> UserError:
    return UserError(f"{where} ({readable(path)}) has impossible intrinsics: {numbers}.", "Give w, h, fl_x and fl_y as positive numbers.",
                     "transforms.intrinsics", image=readable(path), where=where)


def _matrix(rows: Any) -> np.ndarray:
    """The numbers of a pose, of whatever shape, 3 x 4 with its last row; empty when they are no numbers."""
    try:
        numbers = np.array(rows, float)
    except (TypeError, ValueError):
        return np.empty(0)
    return np.vstack([numbers, [0, 0, 0, 1]]) if numbers.shape == (3, 4) else numbers


def _complete_lens(numbers: dict[str, float], angles: dict[str, float], image: Path) -> None:
    """Fill in what a frame leaves out: size from the image, focal lengths from the angles, centre from the size."""
    if math.isnan(numbers["w"]) or math.isnan(numbers["h"]):
        numbers["w"], numbers["h"] = _size_for(image, numbers["cx"], numbers["cy"])
    for key, side, angle in (("fl_x", "w", angles["x"]), ("fl_y", "h", angles["y"])):
        if math.isnan(numbers[key]) and 0 < angle < math.pi:
            numbers[key] = 0.5 * numbers[side] / math.tan(0.5 * angle)
    for key, fallback in (("fl_y", numbers["fl_x"]), ("fl_x", numbers["fl_y"]), ("cx", numbers["w"] / 2), ("cy", numbers["h"] / 2)):
        if math.isnan(numbers[key]):
            numbers[key] = fallback


def _size_for(image: Path, cx: float, cy: float) -> tuple[float, float]:
    """Width and height of an image, after its EXIF turn where the principal point is nearer to the middle then; NaN where unknown."""
    width, height = image_size(image) or (math.nan, math.nan)
    stored, turned = (math.hypot(cx - w / 2, cy - h / 2) for w, h in ((width, height), (height, width)))
    return (height, width) if turned < stored and orientation(image) in LYING else (width, height)


def _held_out(values: dict[str, Any], paths: list[str]) -> set[str]:
    """Held-out views by the lists of the file; without lists every eighth."""
    lists = {name: {plain_name(str(path)) for path in values[name]} for name in (*EVAL_LISTS, TRAIN_LIST)
             if isinstance(values.get(name), list)}
    trained = lists.pop(TRAIN_LIST, None)
    if lists:
        return set().union(*lists.values()) - (trained or set())
    return held_out_names(paths) if trained is None else set(paths) - trained


def _names(images: list[Path]) -> list[str]:
    """Short names of the images: their paths below the folder that they share."""
    shared = os.path.commonpath([image.parent.absolute() for image in images])
    return [image.absolute().relative_to(shared).as_posix() for image in images]


def _points(values: dict[str, Any], folder: Path, views: Sequence[View]) -> tuple[PointCloud | None, list[LeftOut]]:
    """The start points that the file names, or those that lie beside it: a PLY in its own frame, or a COLMAP model of the same images.

    Files of our own name what they have.
    """
    name, notes = values.get("ply_file_path"), list[LeftOut]()
    if isinstance(name, str) and name:
        path = folder / plain_name(name)
        if is_there(path):
            return read_points(path, exact=True), notes
        notes.append(LeftOut(path.name, f"The start points {path.name}, named in {FILE}, are not there", "points"))
    elif "splatwright" in values:
        return None, notes
    points, problem = points_beside([folder]), ""
    if points is None:
        points, problem = points_of_model(folder, {view.name: view.camera for view in views})
    return points, [*notes, *([LeftOut("sparse", problem, "points")] if problem else [])]


def _complete(values: dict[str, Any]) -> bool:
    own = values.get("splatwright")
    return not (isinstance(own, dict) and own.get("complete") is False)
