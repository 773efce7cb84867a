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
"""Moved points that one map must explain: any four follow some map."""

SAME = 1e-5
"""Relative difference that rounding makes."""


@dataclass(frozen=True)
class Missed:
    """An affine map [4, 4] that the points within the mask [N] made without their Gaussians."""

    matrix: np.ndarray
    rows: np.ndarray


def is_stale(target: bpy.types.Object) -> bool:
    """Whether the splats look as if something moved their points alone; from a few points, quick enough for a panel."""
    if not is_splat_object(target) or REST not in point_cloud(target).attributes or not len(point_cloud(target).points):
        return False
    rows = np.unique(np.linspace(0, len(point_cloud(target).points) - 1, SAMPLE).astype(int)).tolist()
    rest, moved = (np.array([untyped(point_cloud(target).attributes[name]).data[row].vector for row in rows]) for name in (REST, POSITION))
    return _common_map(rest, moved) is not None


def stale_sentence(target: bpy.types.Object) -> str:
    """What is wrong with a stale object."""
    return f"The points of {target.name} were moved without turning their splats, as Blender's own Apply Transform and Join do."


def missed_map(points: bpy.types.PointCloud) -> Missed | None:
    """The map that points made and their Gaussians did not; None where there is none, or where points were moved one by one,
    or only shifted, which needs nothing.
    """
    rest, moved = read_layer(points, REST), read_layer(points, POSITION)
    if rest is None or moved is None or rest.shape[1] != 3:
        return None
    return _common_map(rest, moved)


def mend(target: bpy.types.Object) -> None:
    """Turn, scale and shear the Gaussians as their points were. Pushes no undo step.

    UserError when nothing is stale, or the points were flattened.
    """
    missed = missed_map(point_cloud(target))
    if missed is None:
        raise UserError(f"The splats of {target.name} fit their points.", "There is nothing to mend.")
    if np.linalg.svd(missed.matrix[:3, :3], compute_uv=False).min() < SAME:
        raise UserError(f"{target.name} was flattened: its splats cannot be mended.", "Undo, or import it again.")
    arrays = gaussians_from_object(target).arrays()
    turned = transform_gaussians(Gaussians(**arrays).take(missed.rows), missed.matrix).arrays()
    for name in ("quats", "scales", "shN"):
        arrays[name][missed.rows] = turned[name]
    update_splat_object(target, Gaussians(**arrays))


def _common_map(rest: np.ndarray, moved: np.ndarray) -> Missed | None:
    """What all points [N, 3] made, or those of them that are elsewhere than they were."""
    good = np.isfinite(rest).all(axis=1) & np.isfinite(moved).all(axis=1)
    elsewhere = good & (rest != moved).any(axis=1)
    if elsewhere.sum() < FEWEST:
        return None
    for rows in (good, elsewhere):
        matrix, left = fit_affine(rest[rows], moved[rows])
        if left <= SAME * (1.0 + np.abs(moved[rows]).max()) * 10:
            return Missed(matrix, rows) if np.abs(matrix[:3, :3] - np.eye(3)).max() > 10 * SAME else None
    return None
