"""Start points that lie beside a dataset's poses, under the names that other programs give them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from ..formats.ply_container import POSITION, read_ply_header, vertices
from .dataset import PointCloud
from .points_ply import read_points

POINT_FILES = ("points3d.ply", "sparse_pc.ply", "pointcloud.ply", "point_cloud.ply", "points.ply", "sparse.ply")
"""In lower case, the likely ones first: ours and COLMAP's, nerfstudio's, LichtFeld's, others'."""


def points_beside(folders: Sequence[Path]) -> PointCloud | None:
    """The points of the first file of POINT_FILES in the folders, in any case, that holds some; None where none does.

    They are in the frame of the file. Splats that are called so are no start points.
    """
    for folder in folders:
        for path in _point_files(folder):
            points = _points_of(path)
            if points is not None and len(points):
                return points
    return None


def _point_files(folder: Path) -> list[Path]:
    try:
        names = {name.casefold(): name for name in sorted(os.listdir(folder))}
    except OSError:
        return []
    return [folder / names[name] for name in POINT_FILES if name in names]


def _points_of(path: Path) -> PointCloud | None:
    """None for files that hold splats, or nothing that can be read."""
    try:
        names = vertices(path, read_ply_header(path)).names
        return read_points(path, exact=True) if set(POSITION) <= set(names) and "f_dc_0" not in names else None
    except UserError:
        return None
