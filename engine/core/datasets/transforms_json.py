"""nerfstudio's dataset format: transforms.json beside images and start points. The world is Blender's (Z up, metres)."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..cameras.camera import Camera
from ..cameras.lenses import Lens, opencv_lens, trimmed
from ..errors import UserError
from ..files import read_json, write_text
from ..images.image_size import image_size
from .capture_journal import append_frame, forget_journal, with_journal
from .dataset import Dataset, PointCloud, View, held_out_names
from .recentring import restored

FILE = "transforms.json"
POINTS = "points3d.ply"
LENS = ("w", "h", "fl_x", "fl_y", "cx", "cy")
DISTORTION = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
RATIONAL = ("k4", "k5", "k6")
"""Only FULL_OPENCV divides by these; nerfstudio's OPENCV has a k4 of another meaning."""

ORTHOGRAPHIC = "ORTHOGRAPHIC"
"""Ours: parallel rays, fl_x and fl_y in pixels for each metre."""

FISHEYE = "OPENCV_FISHEYE"
FISHEYE_DISTORTION = ("k1", "k2", "k3", "k4")
MODELS = (FISHEYE, "OPENCV", "FULL_OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "RADIAL", "SIMPLE_RADIAL", "PERSPECTIVE", ORTHOGRAPHIC)
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".JPG", ".JPEG", ".PNG", ".webp", ".tif", ".tiff", ".exr")
EVAL_LISTS = ("val_filenames", "test_filenames")
TRAIN_LIST = "train_filenames"
MEND = "Fix transforms.json, or make the dataset again."


def write_transforms(dataset: Dataset) -> Path:
    """Write the dataset's transforms.json, and points3d.ply when it has points; returns the JSON's path.

    nerfstudio reads it too: it wants all three lists of names, so the held-out views are both val and test. The offset of survey
    coordinates is given back.
    """
    from .points_ply import write_points

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
    """Read a folder with transforms.json, or the file itself. UserError names the frames and what is wrong with them.

    Frames whose image is not there are left out and named in Dataset.missing; UserError when none is there.
    Intrinsics may be global or each frame's own, a camera_angle_x, or follow from the image's size. A view is held out when
    val_filenames or test_filenames name it and train_filenames do not; without any list every eighth is.
    """
    file = path / FILE if path.is_dir() else path
    values = with_journal(read_json(file, "dataset", MEND), file.parent)
    _refuse_other_lenses(values, file)
    raw = _raw_frames(values, file)
    missing = tuple(frame.path for frame in raw if not frame.image.is_file())
    if len(missing) == len(raw):
        _refuse(list(missing), len(raw), "named in transforms.json but not there",
                f"Copy the missing images into {file.parent}, or remove their frames.")
    raw = [frame for frame in raw if frame.image.is_file()]
    _refuse_unsound(raw)
    held_out = _held_out(values, [frame.path for frame in raw])
    names = _names([frame.image for frame in raw])
    views = tuple(frame.view(name, frame.path in held_out) for name, frame in zip(names, raw, strict=True))
    return Dataset(file.parent, views, _points(values, file.parent), _complete(values), missing)


def read_cameras(file: Path) -> list[tuple[str, Camera]]:
    """Name and camera of every frame, in the order of the file, whether the images are there or not. UserError as in read_transforms."""
    values = with_journal(read_json(file, "dataset", MEND), file.parent)
    _refuse_other_lenses(values, file)
    raw = _raw_frames(values, file)
    _refuse_unsound(raw)
    return [(Path(frame.path).stem, frame.view(frame.path, False).camera) for frame in raw]


def _refuse_other_lenses(values: dict[str, Any], file: Path) -> None:
    """UserError for lenses that OpenCV's pinhole model does not describe."""
    frames = values.get("frames")
    parts = [values, *(frame for frame in (frames if isinstance(frames, list) else []) if isinstance(frame, dict))]
    for part in parts:
        model = _model({**values, **part})
        if model not in MODELS:
            raise UserError(f"{file} has images of the lens model {model}, which is not supported.", "Undistort the images first.",
                            "transforms.lens", path=file, model=model)
        if model == ORTHOGRAPHIC and any(part.get(name) for name in DISTORTION):
            raise UserError(f"{file} has orthographic images with lens distortion.", "Undistort the images first.",
                            "transforms.orthographic_distortion", path=file)
        if model not in ("FULL_OPENCV", FISHEYE) and any(part.get(name) for name in RATIONAL):
            raise UserError(f"{file} gives distortion beyond k3, which only the lens model FULL_OPENCV has.",
                            'Undistort the images first, or set "camera_model" if the numbers are OpenCV\'s.',
                            "transforms.distortion", path=file)


def _model(merged: dict[str, Any]) -> Any:
    """The lens model of a frame; instant-ngp's files say is_fisheye instead."""
    return FISHEYE if merged.get("is_fisheye") else merged.get("camera_model", "OPENCV")


def _refuse_unsound(raw: list[_RawFrame]) -> None:
    """UserError for frames that no camera can be made of."""
    _refuse([frame.path for frame in raw if not frame.pose_is_sound()], len(raw), "without a valid pose (a rotation and a position)",
            "Remove these frames, or make the poses again.")
    _refuse([frame.path for frame in raw if not frame.lens_is_sound()], len(raw), "with impossible intrinsics",
            "Give w, h, fl_x and fl_y as positive numbers.")


def _raw_frames(values: dict[str, Any], file: Path) -> list[_RawFrame]:
    frames = values.get("frames")
    if not isinstance(frames, list):
        raise UserError(f"{file} has no list of frames.", MEND, "transforms.no_frames", path=file)
    if not frames:
        why = "the capture was interrupted before its first image" if not _complete(values) else "its list of frames is empty"
        raise UserError(f"{file} names no images: {why}.", "Capture the dataset again.", "transforms.no_images", path=file, problem=why)
    return [_RawFrame.read(values, frame, index, file) for index, frame in enumerate(frames)]


@dataclass(frozen=True)
class _RawFrame:
    """One frame before it is known to be sound."""

    path: str  # as in the file, without ./
    image: Path
    depth: Path | None
    mask: Path | None
    normals: Path | None
    numbers: dict[str, float]  # LENS; NaN where the file says nothing
    distortion: tuple[float, ...]
    orthographic: bool
    fisheye: bool
    pose: np.ndarray  # [4, 4] when it is sound

    @staticmethod
    def read(values: dict[str, Any], frame: Any, index: int, file: Path) -> _RawFrame:
        try:
            path = _plain(frame["file_path"])
            merged = {**values, **frame}
            numbers = {key: float(merged.get(key, math.nan)) for key in LENS}
            angles = {key: float(merged.get(key) or 0.0) for key in ("camera_angle_x", "camera_angle_y")}
            fisheye = _model(merged) == FISHEYE
            distortion = tuple(float(merged.get(key, 0.0)) for key in (FISHEYE_DISTORTION if fisheye else DISTORTION))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise UserError(f"Frame {index + 1} of {file} lacks its file_path, or holds text where numbers belong.", MEND,
                            "transforms.frame", frame=index + 1, path=file) from None
        image = _existing(file.parent, path)
        _complete_lens(numbers, angles, image)
        distortion = trimmed(distortion)
        depth, mask, normals = (_optional(file.parent, frame.get(key)) for key in ("depth_file_path", "mask_path", "normal_file_path"))
        parallel = merged.get("camera_model") == ORTHOGRAPHIC
        pose = _matrix(frame.get("transform_matrix"))
        return _RawFrame(path, image, depth, mask, normals, numbers, distortion, parallel, fisheye, pose)

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
        """Whether all intrinsics are numbers, and sizes and focal lengths positive."""
        return (all(math.isfinite(value) for value in (*self.numbers.values(), *self.distortion))
                and min(self.numbers["w"], self.numbers["h"]) >= 1 and min(self.numbers["fl_x"], self.numbers["fl_y"]) > 0)

    def view(self, name: str, held_out: bool) -> View:
        """The view of a sound frame; a scale in the pose is dropped."""
        n = self.numbers
        pose = self.pose.copy()
        pose[:3, :3] /= np.cbrt(np.linalg.det(pose[:3, :3]))
        width, height, pinhole, distortion = round(n["w"]), round(n["h"]), (n["fl_x"], n["fl_y"], n["cx"], n["cy"]), self.distortion
        if self.fisheye:
            pinhole, distortion = opencv_lens(Lens(FISHEYE, width, height, (*pinhole, *(*distortion, *(0.0,) * 4)[:4])))
        camera = Camera(width, height, *pinhole, pose, distortion, self.orthographic)
        return View(name, self.image, camera, held_out, self.depth, self.mask, self.normals)


def _matrix(rows: Any) -> np.ndarray:
    """The numbers of a pose, of whatever shape; empty when they are no numbers."""
    try:
        return np.array(rows, float)
    except (TypeError, ValueError):
        return np.empty(0)


def _complete_lens(numbers: dict[str, float], angles: dict[str, float], image: Path) -> None:
    """Fill in what a frame leaves out: size from the image, focal lengths from the angles, centre from the size."""
    if math.isnan(numbers["w"]) or math.isnan(numbers["h"]):
        numbers["w"], numbers["h"] = image_size(image) or (math.nan, math.nan)
    for key, side, angle in (("fl_x", "w", angles["camera_angle_x"]), ("fl_y", "h", angles["camera_angle_y"])):
        if math.isnan(numbers[key]) and 0 < angle < math.pi:
            numbers[key] = 0.5 * numbers[side] / math.tan(0.5 * angle)
    for key, fallback in (("fl_y", numbers["fl_x"]), ("fl_x", numbers["fl_y"]), ("cx", numbers["w"] / 2), ("cy", numbers["h"] / 2)):
        if math.isnan(numbers[key]):
            numbers[key] = fallback


def _plain(path: str) -> str:
    """A path of the file in one spelling: forward slashes, no leading ./"""
    return path.replace("\\", "/").removeprefix("./")


def _existing(folder: Path, path: str) -> Path:
    """The image, with the ending that its path leaves out."""
    image = folder / path
    if image.is_file():
        return image
    return next((found for ending in IMAGE_ENDINGS if (found := image.with_name(image.name + ending)).is_file()), image)


def _optional(folder: Path, name: Any) -> Path | None:
    return folder / _plain(name) if isinstance(name, str) and name else None


def _refuse(names: list[str], total: int, what: str, hint: str) -> None:
    """UserError that says how many images are wrong and names the first three; nothing when none is."""
    if names:
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        raise UserError(f"{len(names)} of {total} images {'is' if len(names) == 1 else 'are'} {what}: {shown}.", hint)


def _held_out(values: dict[str, Any], paths: list[str]) -> set[str]:
    """Held-out views by the lists of the file; without lists every eighth."""
    lists = {name: {_plain(str(path)) for path in values[name]} for name in (*EVAL_LISTS, TRAIN_LIST) if isinstance(values.get(name), list)}
    trained = lists.pop(TRAIN_LIST, None)
    if lists:
        return set().union(*lists.values()) - (trained or set())
    return held_out_names(paths) if trained is None else set(paths) - trained


def _names(images: list[Path]) -> list[str]:
    """Short names of the images: their paths below the folder that they share."""
    shared = os.path.commonpath([image.parent.absolute() for image in images])
    return [image.absolute().relative_to(shared).as_posix() for image in images]


def _points(values: dict[str, Any], folder: Path) -> PointCloud | None:
    """The start points; UserError when they are named and not there."""
    from .points_ply import read_points

    path = _optional(folder, values.get("ply_file_path"))
    if path is None:
        return None
    if not path.is_file():
        raise UserError(f"The start points {path.name}, named in transforms.json, are not there.",
                        f"Copy the file into {folder}, or remove ply_file_path.", "transforms.points_missing", path=path.name)
    return read_points(path, exact=True)


def _complete(values: dict[str, Any]) -> bool:
    own = values.get("splatwright")
    return not (isinstance(own, dict) and own.get("complete") is False)
