"""One frame of a transforms.json: its lens, its pose, and what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..cameras.camera import Camera
from ..cameras.lenses import Coefficients, Lens, Pinhole, brown_lens, opencv_lens, trimmed
from ..cameras.panorama import is_whole_sphere
from ..errors import UserError
from ..images.image_size import image_size
from ..images.orientation import LYING, orientation
from .dataset import View
from .map_search import MapKind
from .name_spelling import plain_name, readable
from .panoramas import views_of_panorama

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
MAP_KEYS: dict[MapKind, str] = {"depth": "depth_file_path", "mask": "mask_path", "normals": "normal_file_path", "labels": "label_path",
                                "albedo": "albedo_path", "weights": "weight_path"}
"""Where a frame names its maps, by the field of View that has them."""
MEND = "Fix transforms.json, or make the dataset again."


@dataclass(frozen=True)
class RawFrame:
    """One frame of which a camera can be made."""

    path: str  # as in the file, without ./
    image: Path
    named_maps: dict[MapKind, str]
    numbers: dict[str, float]  # LENS
    distortion: tuple[float, ...]
    model: str
    pose: np.ndarray  # [4, 4]

    @staticmethod
    def read(values: dict[str, Any], frame: Any, index: int, file: Path, image: Path) -> RawFrame:
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
                            "transforms.frame", frame=index + 1, path=file, problem=error, where=where) from None
        _refuse_other_lens(merged, where)
        strange = [f"{key} {numbers[key]:g}" for key in LENS if key in merged and not math.isfinite(numbers[key])]
        if strange:
            raise _impossible_lens(where, path, ", ".join(strange))
        _complete_lens(numbers, angles, image)
        maps: dict[MapKind, str] = {kind: name for kind, key in MAP_KEYS.items() if isinstance(name := frame.get(key), str) and name}
        raw = RawFrame(path, image, maps, numbers, trimmed(distortion), model, _matrix(frame.get("transform_matrix")))
        raw.refuse_unsound(where, frame.get("transform_matrix"))
        return raw

    def refuse_unsound(self, where: str, matrix: Any) -> None:
        """UserError when no camera can be made of it; `matrix` is the pose as the file has it."""
        if not self.pose_is_sound():
            raise UserError(f"{where} ({readable(self.path)}) is without a valid pose (a rotation and a position): {_shown(matrix)}.",
                            "Remove these frames, or make the poses again.", "transforms.pose", image=readable(self.path), where=where,
                            shown=_shown(matrix))
        if self.model == EQUIRECTANGULAR and not is_whole_sphere(self.numbers["w"], self.numbers["h"]):
            size = f"{self.numbers['w']:g} x {self.numbers['h']:g}"
            raise UserError(f"{where} ({readable(self.path)}) is a panorama of {size} pixels; one of the whole sphere is twice as wide as "
                            "high.", "Fill up the panorama above and below, or leave its frame out.",
                            "transforms.panorama", image=readable(self.path), where=where, size=size)
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
        view = View(name, self.image, self.camera(), held_out, **maps)
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


def _shown(matrix: Any) -> str:
    """A pose of the file, in short."""
    numbers = _matrix(matrix)
    return " ".join(f"{number:g}" for number in numbers.ravel()[:16]) if numbers.ndim == 2 else str(matrix)[:100]


def _impossible_lens(where: str, path: str, numbers: str) -> UserError:
    return UserError(f"{where} ({readable(path)}) has impossible intrinsics: {numbers}.", "Give w, h, fl_x and fl_y as positive numbers.",
                     "transforms.intrinsics", image=readable(path), where=where, numbers=numbers)


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
