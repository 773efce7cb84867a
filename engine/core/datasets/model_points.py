"""Start points of a COLMAP model that lies beside poses of another file, moved into the frame of these poses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..cameras.camera import Camera
from ..errors import UserError
from .colmap import find_model, model_cameras, model_points
from .dataset import PointCloud
from .folder_index import stem_of

FEWEST_SHARED = 3
MISFIT = 0.02
"""How far cameras may lie apart after the model was moved, as a share of their spread, and how much they may be turned, in radians."""


def points_of_model(folder: Path, cameras: Mapping[str, Camera]) -> tuple[PointCloud | None, str]:
    """The points of a model below `folder` in the frame of `cameras`, by their images' names.

    Both may differ by a turn, a shift and a scale, which follow from the cameras that both have. Without points, a sentence says why,
    where there is a model.
    """
    try:
        model = find_model(folder)
        points = model_points(model, folder)[0] if model else None
        if model is None or points is None or not len(points):
            return None, ""
        theirs = {stem_of(name): camera for name, camera in model_cameras(model).items()}
    except UserError as error:
        return None, f"The start points of the COLMAP model are not used: {error.message.rstrip('.')}"
    shared = [(theirs[stem_of(name)], camera) for name, camera in cameras.items() if stem_of(name) in theirs]
    motion = _motion(shared) if len(shared) >= FEWEST_SHARED else None
    if motion is None:
        return None, f"The start points of {model.relative_to(folder).as_posix()} are not used: its cameras are not those of the images"
    scale, rotation, shift = motion
    return PointCloud((scale * points.positions.astype(np.float64) @ rotation.T + shift), points.colors), ""


def _motion(pairs: Sequence[tuple[Camera, Camera]]) -> tuple[float, np.ndarray, np.ndarray] | None:
    """Scale, rotation [3, 3] and shift [3] from the first cameras to the second ones; None where no motion fits."""
    first, second = (np.stack([pair[side].camera_to_world for pair in pairs]) for side in (0, 1))  # [N, 4, 4]
    u, _, v = np.linalg.svd(np.einsum("nij,nkj->ik", second[:, :3, :3], first[:, :3, :3]))
    rotation = u @ np.diag([1.0, 1.0, np.linalg.det(u @ v)]) @ v
    a, b = first[:, :3, 3], second[:, :3, 3]
    spread_a, spread_b = (float(np.sqrt(np.square(at - at.mean(axis=0)).sum(axis=1).mean())) for at in (a, b))
    if not spread_a > 0:
        return None
    scale = spread_b / spread_a
    shift = b.mean(axis=0) - scale * rotation @ a.mean(axis=0)
    apart = np.linalg.norm(scale * a @ rotation.T + shift - b, axis=1) / max(spread_b, 1e-30)
    turned = np.linalg.norm(rotation @ first[:, :3, :3] - second[:, :3, :3], axis=(1, 2))
    return (scale, rotation, shift) if max(float(np.median(apart)), float(np.median(turned))) < MISFIT else None
