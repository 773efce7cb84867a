"""Start points that lie beside the cameras of another program."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import UserError
from ...formats.ply_container import read_ply_header, vertices
from ..dataset import PointCloud
from ..points_ply import read_points

USUAL = ("points3d.ply", "sparse_pc.ply", "points.ply", "pointcloud.ply", "point_cloud.ply", "sparse.ply", "input.ply")


def points_beside(folder: Path, turn: np.ndarray | None = None) -> PointCloud | None:
    """The points of the one PLY in a folder, or of the one with a usual name; None when there is none. `turn` [3, 3] is to Blender's world."""
    found = [path for path in sorted(folder.glob("*.[pP][lL][yY]")) if not path.name.startswith(".") and _holds_points(path)]
    usual = [path for name in USUAL for path in found if path.name.lower() == name]
    if not usual and len(found) != 1:
        return None
    points = read_points((usual or found)[0])
    return points if turn is None else PointCloud((points.positions @ turn.T).astype(points.positions.dtype), points.colors)


def _holds_points(path: Path) -> bool:
    """Whether a PLY holds points and neither splats nor a mesh."""
    try:
        header = read_ply_header(path)
        names = vertices(path, header).names
    except (UserError, OSError, ValueError):
        return False
    return {"x", "y", "z"} <= set(names) and "f_dc_0" not in names
