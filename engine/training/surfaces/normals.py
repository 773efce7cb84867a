"""Which way the surface looks that each Gaussian shows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..backend import Model
from .view_maps import ViewMaps
from .votes import filled

SHORTEST = 1e-6
"""Sums of normals that are shorter point nowhere."""


def gather_normals(model: Model, views: Iterable[ViewMaps], means: np.ndarray) -> np.ndarray:
    """Unit normals float32 [N, 3] in Blender's world, means by light of what the views show; those without light take the nearest's."""
    sums = model.contribution(((view.camera, view.normals()) for view in views), 3).channels
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    known = length[:, 0] > SHORTEST
    return filled(sums / np.maximum(length, SHORTEST), known, means).astype(np.float32)
