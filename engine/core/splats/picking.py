"""Which splat lies under the mouse."""

from __future__ import annotations

import numpy as np

OPAQUE = 0.3
"""Fainter splats are picked only where there is nothing else."""


def pick_splat(
    means: np.ndarray, opacities: np.ndarray, projection: np.ndarray, mouse: tuple[float, float], reach: np.ndarray,
) -> int | None:
    """Row of the foremost splat near the mouse; None where there is none.

    means [N, 3] and logits [N]; `projection` [4, 4] takes the same space to clip space; `mouse` in clip coordinates (-1 to 1),
    `reach` [2] in the same unit, to the sides and up.
    """
    clip = means.astype(np.float64) @ projection[:, :3].T + projection[:, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = clip[:, :3] / clip[:, 3:]
        near = (clip[:, 3] > 0) & (np.abs(seen[:, 2]) <= 1) & (np.linalg.norm((seen[:, :2] - mouse) / reach, axis=1) <= 1)
    solid = near & (opacities > np.log(OPAQUE / (1 - OPAQUE)))
    rows = np.flatnonzero(solid if solid.any() else near)
    return int(rows[seen[rows, 2].argmin()]) if len(rows) else None
