"""The small picture by which people know a training again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core.images.png import write_png
from .backend import Model
from .data.image_store import Photos
from .data.images import area_average
from .evaluate import BLACK

LONGEST_SIDE = 128


def write_thumbnail(path: Path, model: Model, sh_degree: int, held_out: Photos, train: Photos) -> None:
    """What the first held-out view sees, or else the first one trained on, no more than LONGEST_SIDE pixels on a side."""
    views = held_out if len(held_out) else train
    camera = views.at(0, 1).camera
    reduction = next((smaller for smaller in (4, 2) if max(camera.width, camera.height) >= smaller * LONGEST_SIDE), 1)
    seen = model.render(views.at(0, reduction).camera, sh_degree, BLACK, reduction).rgb.clip(0.0, 1.0)  # [H, W, 3]
    height, width = seen.shape[:2]
    factor = min(1.0, LONGEST_SIDE / max(height, width))
    small = area_average(seen, max(1, round(width * factor)), max(1, round(height * factor)))
    write_png(path, (small * 255 + 0.5).astype(np.uint8))
