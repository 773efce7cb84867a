"""Splats in a picture of the screen, and what should be there."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.core.cameras.camera import Camera
from engine.core.images.png import decode_png
from engine.core.splats.gaussians import Gaussians
from engine.training.cpu.model import CpuModel

from .window import Desktop

INNER = (slice(40, -10), slice(20, -20))
"""Without the edges, where areas show their corners."""

GAMMA = 2.2
"""Blender mixes overlays with what is behind them in light of the display, and encodes the sum."""


def shot(desk: Desktop, name: str, place: dict[str, Any]) -> np.ndarray:
    """The viewport in a picture of the screen, uint8 [H, W, 3]."""
    x, y, width, height = place["region"]
    screen = decode_png(desk.picture(name).read_bytes())
    bottom = len(screen) - y
    return screen[bottom - height : bottom, x : x + width][INNER]


def expected(gaussians: Gaussians, place: dict[str, Any]) -> np.ndarray:
    """The trainer's picture of the same view, over black, as Blender lays overlays over the scene."""
    projection, (_, _, width, height) = np.array(place["projection"]), place["region"]
    focal = projection[[0, 1], [0, 1]] * [width / 2, height / 2]
    center = width * (1 - projection[0, 2]) / 2, height * (1 + projection[1, 2]) / 2
    model = CpuModel(gaussians, 1)
    camera = Camera(width, height, *focal, *center, np.linalg.inv(np.array(place["view"])))
    image = model.render(camera, gaussians.sh_degree, (0.0, 0.0, 0.0))
    model.close()
    alpha = image.alpha[..., None]
    return ((image.rgb / np.maximum(alpha, 1e-6)).clip(0, 1) * alpha ** (1 / GAMMA))[INNER]
