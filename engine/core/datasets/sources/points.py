"""Start points that lie beside the cameras of another program, exported under whatever name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import UserError
from ...formats.ply_container import POSITION, read_ply_header, vertices
from ..dataset import PointCloud
from ..points_ply import read_points
from ..start_points import points_beside


def exported_points(folder: Path, turn: np.ndarray | None = None) -> PointCloud | None:
    """The points of the PLY with a usual name in a folder, or of its only one that holds points; `turn` [3, 3] leads to Blender's world."""
    points = points_beside([folder])
    if points is None:
        others = [path for path in sorted(folder.glob("*.[pP][lL][yY]")) if not path.name.startswith(".") and _holds_points(path)]
        points = read_points(others[0], exact=True) if len(others) == 1 else None
    if points is None or turn is None:
        return points
    return PointCloud((points.positions @ turn.T).astype(points.positions.dtype), points.colors)


def _holds_points(path: Path) -> bool:
    """Whether a PLY holds points, and no splats."""
    try:
        names = vertices(path, read_ply_header(path)).names
    except (UserError, ValueError):
        return False
    return set(POSITION) <= set(names) and "f_dc_0" not in names
