"""Coloured points as PLY files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import UserError
from ..formats.ply_columns import COLOR_NAMES
from ..formats.ply_container import POSITION, columns, read_part, read_ply_header, vertices, write_parts
from .dataset import PointCloud


def read_points(path: Path, exact: bool = False) -> PointCloud:
    """Read coloured points, binary or ASCII (nerfstudio writes that), in the frame they are in.

    Colours may be missing (grey), floats or 16-bit; NaN rows are left out. With `exact` positions are float64 where the file has doubles.
    """
    path = Path(path)
    header = read_ply_header(path)
    part = vertices(path, header)
    if any(name not in part.names for name in POSITION):
        raise UserError(f"{path.name} holds no points: it lacks x, y or z.", "Choose a point cloud PLY.", "points.none", path=path.name)
    table = read_part(path, header, part)
    doubles = exact and all(table.dtype[name].itemsize == 8 for name in POSITION)
    positions = np.stack([table[name] for name in POSITION], axis=1).astype(np.float64) if doubles else columns(table, POSITION)
    names = next((names for names in COLOR_NAMES if all(name in part.names for name in names)), None)
    colors = _bytes(np.stack([table[name] for name in names], axis=1)) if names else np.full(positions.shape, 128, np.uint8)
    good = np.isfinite(positions).all(axis=1)
    return PointCloud(positions[good], colors[good])


def write_points(path: Path, points: PointCloud) -> None:
    """Write coloured points as x y z red green blue, in the frame they are in; positions in their own precision."""
    colors = COLOR_NAMES[0]
    kind = points.positions.dtype.newbyteorder("<")
    table = np.empty(len(points), [*((name, kind) for name in POSITION), *((name, "u1") for name in colors)])
    for index, (position, color) in enumerate(zip(POSITION, colors, strict=True)):
        table[position] = points.positions[:, index]
        table[color] = points.colors[:, index]
    write_parts(Path(path), {"vertex": table}, ())


def _bytes(colors: np.ndarray) -> np.ndarray:
    """Colours as uint8: floats are in [0, 1], or in [0, 255] when one of them is larger than 1."""
    if colors.dtype.kind == "f":
        values = np.nan_to_num(colors.astype(np.float64), nan=0.5, posinf=1.0, neginf=0.0)
        return (values * (1.0 if values.max(initial=0) > 1 else 255.0) + 0.5).clip(0, 255).astype(np.uint8)
    return colors.astype(np.uint8) if colors.dtype.itemsize == 1 else (colors.astype(np.float64) / 257 + 0.5).clip(0, 255).astype(np.uint8)
