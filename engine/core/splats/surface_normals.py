"""Normals that stand beside splats as the properties nx, ny and nz: they turn with what they belong to."""

from __future__ import annotations

import numpy as np

NORMAL = ("nx", "ny", "nz")


def turned_normals(extra: np.ndarray | None, matrix: np.ndarray, rows: np.ndarray | slice = slice(None)) -> np.ndarray | None:
    """A table [N] of properties whose normals were turned by the inverse transpose of a matrix [4, 4], at some rows or all.

    They keep their lengths: what was a unit vector is one, and rows without a normal stay zero. The same table where it has no normals.
    """
    if extra is None or not {*NORMAL} <= {*(extra.dtype.names or ())} or np.array_equal(matrix[:3, :3], np.eye(3)):
        return extra
    normals = np.stack([extra[name][rows] for name in NORMAL], axis=1).astype(np.float64)
    turned = normals @ np.linalg.inv(np.asarray(matrix, np.float64)[:3, :3])
    lengths, now = (np.linalg.norm(found, axis=1, keepdims=True) for found in (normals, turned))
    turned *= lengths / np.where(now > 0, now, 1.0)
    changed = extra.copy()
    for name, column in zip(NORMAL, turned.T, strict=True):
        changed[name][rows] = column
    return changed
