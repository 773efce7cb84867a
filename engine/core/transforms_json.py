"""nerfstudio's dataset format: transforms.json beside images and start points. The world is Blender's (Z up, metres)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .camera import Camera
from .dataset import Dataset, PointCloud, View, held_out_names
from .errors import UserError
from .files import disk_error, write_text

FILE = "transforms.json"
POINTS = "points3d.ply"
DISTORTION = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".JPG", ".JPEG", ".PNG", ".webp", ".tif", ".tiff")
EVAL_LISTS = ("val_filenames", "test_filenames")
MEND = "Mend transforms.json, or make the dataset again."


def write_transforms(dataset: Dataset) -> Path:
    """Write the dataset's transforms.json, and points3d.ply when it has points; returns the JSON's path."""
    from .ply import write_points

    values: dict[str, Any] = {"camera_model": "OPENCV", "splatwright": {"complete": dataset.complete}}
    if dataset.points is not None:
        write_points(dataset.folder / POINTS, dataset.points)
        values["ply_file_path"] = POINTS
    values["train_filenames"] = [_relative(view.image, dataset.folder) for view in dataset.train_views]
    for name in EVAL_LISTS:
        values[name] = [_relative(view.image, dataset.folder) for view in dataset.eval_views]
    values["frames"] = [_frame(view, dataset.folder) for view in dataset.views]
    path = dataset.folder / FILE
    write_text(path, json.dumps(values, indent=1, ensure_ascii=False))
    return path


def _frame(view: View, folder: Path) -> dict[str, Any]:
    camera = view.camera
    frame: dict[str, Any] = {
        "file_path": _relative(view.image, folder), "w": camera.width, "h": camera.height,
        "fl_x": camera.fl_x, "fl_y": camera.fl_y, "cx": camera.cx, "cy": camera.cy,
    }
    frame |= dict(zip(DISTORTION, camera.distortion, strict=False))
    if view.depth:
        frame["depth_file_path"] = _relative(view.depth, folder)
    if view.mask:
        frame["mask_path"] = _relative(view.mask, folder)
    frame["transform_matrix"] = np.asarray(camera.camera_to_world, float).tolist()
    return frame


def _relative(path: Path, folder: Path) -> str:
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return path.as_posix()


def read_transforms(path: Path) -> Dataset:
    """Read a folder with transforms.json, or the file itself. UserError names the frames and what is wrong with them."""
    file = path / FILE if path.is_dir() else path
    values = _load(file)
    frames = values.get("frames")
    if not isinstance(frames, list) or not frames:
        raise UserError(f"{file} names no images.", "Choose a dataset with at least one frame.")
    raw = [_RawFrame.read(values, frame, index, file) for index, frame in enumerate(frames)]
    _refuse([frame.name for frame in raw if not frame.image.exists()], "is named in transforms.json and not there",
            f"Copy the missing images into {file.parent}, or remove their frames.")
    _refuse([frame.name for frame in raw if not frame.pose_is_sound()], "has a pose that is no proper rotation and place",
            "Remove these frames, or make the poses again.")
    _refuse([frame.name for frame in raw if not frame.lens_is_sound()], "has impossible intrinsics",
            "Give fl_x, fl_y, w and h as positive numbers.")
    held_out = _held_out(values, [frame.name for frame in raw])
    views = tuple(frame.view(frame.name in held_out) for frame in raw)
    return Dataset(file.parent, views, _points(values, file.parent), _complete(values))


def _load(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise disk_error(file, error) from error
    except ValueError as error:
        raise UserError(f"{file} is not valid JSON: {error}.", MEND) from None
    if not isinstance(values, dict):
        raise UserError(f"{file} holds no dataset.", MEND)
    return values


@dataclass(frozen=True)
class _RawFrame:
    """One frame before it is known to be sound."""

    name: str
    image: Path
    depth: Path | None
    mask: Path | None
    numbers: dict[str, float]
    distortion: tuple[float, ...]
    pose: np.ndarray

    @staticmethod
    def read(values: dict[str, Any], frame: Any, index: int, file: Path) -> _RawFrame:
        try:
            name = str(frame["file_path"]).removeprefix("./")
            numbers = {key: float(frame.get(key, values.get(key, math.nan))) for key in ("w", "h", "fl_x", "fl_y", "cx", "cy")}
            angle = frame.get("camera_angle_x", values.get("camera_angle_x"))
            distortion = [float(frame.get(key, values.get(key, 0.0))) for key in DISTORTION]
            pose = np.array(frame["transform_matrix"], float)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise UserError(f"Frame {index} of {file} lacks its file_path or transform_matrix, or holds text where numbers belong.", MEND) from None
        image = _existing(file.parent / name)
        _complete_lens(numbers, angle, image)
        while distortion and not distortion[-1]:
            distortion.pop()
        return _RawFrame(name, image, _optional(file.parent, frame.get("depth_file_path")), _optional(file.parent, frame.get("mask_path")),
                         numbers, tuple(distortion), pose)

    def pose_is_sound(self) -> bool:
        if self.pose.shape != (4, 4) or not np.isfinite(self.pose).all():
            return False
        rotation = self.pose[:3, :3]
        size = np.linalg.det(rotation)
        return bool(size > 1e-9 and np.allclose(rotation @ rotation.T, size ** (2 / 3) * np.eye(3), atol=1e-2 * size ** (2 / 3)))

    def lens_is_sound(self) -> bool:
        return all(math.isfinite(value) for value in self.numbers.values()) and all(
            self.numbers[key] > 0 for key in ("w", "h", "fl_x", "fl_y"))

    def view(self, held_out: bool) -> View:
        n = self.numbers
        pose = self.pose.copy()
        pose[:3, :3] /= np.cbrt(np.linalg.det(pose[:3, :3]))
        camera = Camera(int(n["w"]), int(n["h"]), n["fl_x"], n["fl_y"], n["cx"], n["cy"], pose, self.distortion)
        return View(self.image.name, self.image, camera, held_out, self.depth, self.mask)


def _complete_lens(numbers: dict[str, float], angle: Any, image: Path) -> None:
    """Fill in what a frame leaves out: size from the PNG, focal length from the angle, centre from the size."""
    if math.isnan(numbers["w"]) or math.isnan(numbers["h"]):
        numbers["w"], numbers["h"] = _png_size(image)
    if math.isnan(numbers["fl_x"]) and isinstance(angle, (int, float)) and 0 < angle < math.pi:
        numbers["fl_x"] = 0.5 * numbers["w"] / math.tan(0.5 * angle)
    for key, fallback in (("fl_y", numbers["fl_x"]), ("cx", numbers["w"] / 2), ("cy", numbers["h"] / 2)):
        if math.isnan(numbers[key]):
            numbers[key] = fallback


def _png_size(image: Path) -> tuple[float, float]:
    try:
        head = image.open("rb").read(24)
    except OSError:
        return math.nan, math.nan
    if head[12:16] != b"IHDR":
        return math.nan, math.nan
    return float(int.from_bytes(head[16:20], "big")), float(int.from_bytes(head[20:24], "big"))


def _existing(path: Path) -> Path:
    """The image, with the ending that its path leaves out."""
    if path.suffix and path.exists():
        return path
    return next((found for ending in IMAGE_ENDINGS if (found := path.with_name(path.name + ending)).exists()), path)


def _optional(folder: Path, name: Any) -> Path | None:
    return folder / name if isinstance(name, str) and name else None


def _refuse(names: list[str], what: str, hint: str) -> None:
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise UserError(f"{', '.join(names[:3])}{more} {what}.", hint)


def _held_out(values: dict[str, Any], names: list[str]) -> set[str]:
    """Held-out views by the lists of the file; without lists every eighth."""
    lists = [values[key] for key in EVAL_LISTS if isinstance(values.get(key), list)]
    if not lists:
        return held_out_names(names)
    return {str(name).removeprefix("./") for found in lists for name in found}


def _points(values: dict[str, Any], folder: Path) -> PointCloud | None:
    from .ply import read_points

    name = values.get("ply_file_path")
    return read_points(folder / name) if isinstance(name, str) and name and (folder / name).exists() else None


def _complete(values: dict[str, Any]) -> bool:
    own = values.get("splatwright")
    return not (isinstance(own, dict) and own.get("complete") is False)
