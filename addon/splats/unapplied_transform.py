"""Splat objects of which points were moved together while their rotations, scales and harmonics stayed: by Blender's own
Apply Transform or Join, or by turning and scaling in Edit Mode. Found by comparing each point with where it was written.
"""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np

from ...engine.core.errors import UserError
from ...engine.core.splats.gaussians import Gaussians
from ...engine.core.splats.placing import fit_affine
from ...engine.core.splats.transform import transform_gaussians
from ..typed import point_cloud, untyped
from .attributes import read_layer
from .splat_object import POSITION, REST, gaussians_from_object, is_splat_object, update_splat_object

SAMPLE = 64
FEWEST = 8
"""Fewest moved points that a map is fitted to: four points always fit one."""

SAME = 1e-5
"""Relative difference that rounding makes."""


@dataclass(frozen=True)
class UnappliedTransform:
    """An affine map [4, 4] that the points within the mask [N] made without their Gaussians."""

    matrix: np.ndarray
    rows: np.ndarray


def has_unapplied_transform(target: bpy.types.Object) -> bool:
    """Whether the points were transformed without their splats; judged by a sample of SAMPLE points, fast enough for panels."""
    if not is_splat_object(target) or REST not in point_cloud(target).attributes or not len(point_cloud(target).points):
        return False
    rows = np.unique(np.linspace(0, len(point_cloud(target).points) - 1, SAMPLE).astype(int)).tolist()
    rest, moved = (np.array([untyped(point_cloud(target).attributes[name]).data[row].vector for row in rows]) for name in (REST, POSITION))
    return _common_map(rest, moved) is not None


def unapplied_transform_sentence(target: bpy.types.Object) -> str:
    """The warning about an object whose transform is not applied to its splats."""
    return f"The points of {target.name} were moved without turning their splats, as Blender's own Apply Transform and Join do."


def find_unapplied_transform(points: bpy.types.PointCloud) -> UnappliedTransform | None:
    """The affine map that was applied to the points alone; None where there is none, where points were moved one by one,
    or where they were only shifted, which needs no fix.
    """
    rest, moved = read_layer(points, REST), read_layer(points, POSITION)
    if rest is None or moved is None or rest.shape[1] != 3:
        return None
    return _common_map(rest, moved)


def fix_unapplied_transform(target: bpy.types.Object) -> None:
    """Turn, scale and shear the Gaussians as their points were. Pushes no undo step.

    UserError when there is nothing to fix, or the points were flattened.
    """
    missed = find_unapplied_transform(point_cloud(target))
    if missed is None:
        raise UserError(f"The splats of {target.name} fit their points.", "There is nothing to fix.")
    if np.linalg.svd(missed.matrix[:3, :3], compute_uv=False).min() < SAME:
        raise UserError(f"{target.name} was flattened: its splats cannot be recovered.", "Undo, or import it again.")
    arrays = gaussians_from_object(target).arrays()
    turned = transform_gaussians(Gaussians(**arrays).take(missed.rows), missed.matrix).arrays()
    for name in ("quats", "scales", "shN"):
        arrays[name][missed.rows] = turned[name]
    update_splat_object(target, Gaussians(**arrays))


def _common_map(rest: np.ndarray, moved: np.ndarray) -> UnappliedTransform | None:
    """The map from `rest` to `moved` [N, 3] that all points fit, or all that have moved; None where no map fits or it only shifts."""
    good = np.isfinite(rest).all(axis=1) & np.isfinite(moved).all(axis=1)
    elsewhere = good & (rest != moved).any(axis=1)
    if elsewhere.sum() < FEWEST:
        return None
    for rows in (good, elsewhere):
        matrix, left = fit_affine(rest[rows], moved[rows])
        if left <= SAME * (1.0 + np.abs(moved[rows]).max()) * 10:
            return UnappliedTransform(matrix, rows) if np.abs(matrix[:3, :3] - np.eye(3)).max() > 10 * SAME else None
    return None
