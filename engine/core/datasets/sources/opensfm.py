"""OpenSfM's reconstruction.json, which WebODM and ODM keep in their folder opensfm.

A shot's rotation (an axis times its angle) and translation lead from the world, Z up, to the camera (x right, y down, z forward). Lengths
in images are shares of the longer side, from the middle (OpenSfM's documentation, "Geometric Models").
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...cameras.camera import FLIP_YZ
from ...cameras.lenses import Lens, brown_lens, opencv_lens
from ...errors import UserError
from ..dataset import Dataset, PointCloud
from .assemble import CameraFile, PosedImage, SourceLens, assemble, pose_of
from .json_list import begins_a_list, read_list

FILE = "reconstruction.json"
FOLDER = "opensfm"
KEYS = ("cameras", "shots", "reference_lla")
MEND = "Run OpenSfM's reconstruction again."
SPHERICAL = ("spherical", "equirectangular")
BROWN = ("perspective", "simple_radial", "radial", "brown")
FISHEYE = ("fisheye", "fisheye_opencv")


def find_reconstruction(path: Path) -> Path | None:
    """The reconstruction that a path is, or that lies in a folder or its folder opensfm; None when there is none."""
    files = [path / FILE, path / FOLDER / FILE] if path.is_dir() else [path]
    return next((file for file in files if file.suffix.lower() == ".json" and file.is_file() and begins_a_list(file, *KEYS)), None)


def read_reconstruction(path: Path) -> Dataset:
    """Read the reconstruction with most shots. A shot of which no camera can be made is left out and named."""
    model = max(read_list(path, "reconstruction", MEND), key=lambda each: len(_part(each, "shots")))
    shots = _part(model, "shots")
    root = path.parent.parent if path.parent.name == FOLDER else path.parent
    cameras = _part(model, "cameras")
    return assemble(CameraFile.of(path, root, shots), lambda name, _: _shot(name, shots[name], cameras, path),
                    _points(_part(model, "points"), path))


def axis_angle_matrix(vector: np.ndarray) -> np.ndarray:
    """The turn [3, 3] about a vector [3] by its length in radians (Rodrigues 1840)."""
    angle = float(np.linalg.norm(vector))
    x, y, z = vector / angle if angle > 0 else vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _shot(name: str, values: Any, cameras: dict[str, Any], path: Path) -> PosedImage:
    try:
        key = values["camera"]
        described = cameras[key]
        turn = axis_angle_matrix(np.array(values["rotation"], float).reshape(3))
        shift = np.array(values["translation"], float).reshape(3)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{name} in {path.name} lacks its camera, rotation or translation: {error}.", MEND, "opensfm.shot", image=name,
                        problem=error, file=path.name) from None
    lens = _lens(described, f"Camera {key} of {path.name}")
    return lens.posed(pose_of(turn.T, -turn.T @ shift) @ FLIP_YZ)


def _lens(values: Any, where: str) -> SourceLens:
    try:
        kind, width, height = str(values.get("projection_type", "perspective")), int(values["width"]), int(values["height"])
        if kind in SPHERICAL:
            return SourceLens(width, height, panorama=True)
        n = {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
        longer = max(width, height)
        fl_x, fl_y = n.get("focal_x", n.get("focal", 0.0)), n.get("focal_y", n.get("focal", 0.0))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(f"{where} lacks its size, or holds what is no number.", MEND, "opensfm.camera", where=where) from None
    pinhole = (fl_x * longer, fl_y * longer, width / 2 + n.get("c_x", 0.0) * longer, height / 2 + n.get("c_y", 0.0) * longer)
    radial = tuple(n.get(f"k{i}", 0.0) for i in range(1, 5))
    if kind in BROWN:
        found = brown_lens((width, height), pinhole, radial[:3], (n.get("p1", 0.0), n.get("p2", 0.0)))
    elif kind in FISHEYE:
        found = opencv_lens(Lens("OPENCV_FISHEYE", width, height, (*pinhole, *radial)))
    else:
        raise UserError(f"{where} is of the kind {kind}, which is not read.", "Export undistorted images: opensfm undistort.",
                        "opensfm.lens", where=where, kind=kind)
    return SourceLens(width, height, False, *found)


def _points(points: dict[str, Any], path: Path) -> PointCloud | None:
    try:
        positions = np.array([point["coordinates"] for point in points.values()], float).reshape(-1, 3)
        colors = np.array([point["color"] for point in points.values()], float).reshape(-1, 3)
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path} holds points without coordinates or colours.", MEND, "opensfm.points", path=path) from None
    good = np.isfinite(positions).all(axis=1) & np.isfinite(colors).all(axis=1)
    return PointCloud(positions[good], colors[good].clip(0, 255).astype(np.uint8)) if good.any() else None


def _part(model: dict[str, Any], name: str) -> dict[str, Any]:
    found = model.get(name)
    return found if isinstance(found, dict) else {}
