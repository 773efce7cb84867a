"""Pictures of held-out views for the page: the truth, the rendering, and where they differ."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.images.png import encode_png
from ..evaluation.held_out import HeldOut
from ..evaluation.scene import opened, to_bytes
from ..training.data.images import area_average
from ..training.evaluate import ViewScore, compared

LONGEST_SIDE = 480
MOST_STRIPS = 12
FULL_ERROR = 0.25
"""Mean difference of the colours, black to white being 1, that the error map shows in its last colour."""

HEAT = np.array([[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]], np.float32)
"""Black over purple and orange to pale yellow; even steps look even, also to the colour-blind."""


@dataclass(frozen=True)
class Strip:
    """One held-out view: its score, and the three pictures as PNG."""

    score: ViewScore
    truth: bytes
    render: bytes
    error: bytes


def strips_of(path: Path, held_out: HeldOut, most: int = MOST_STRIPS, tick: Callable[[], None] = lambda: None) -> list[Strip]:
    """Strips of at most so many views, spread evenly over them, worst first; the splats are read from the file."""
    chosen = np.unique(np.linspace(0, len(held_out.views) - 1, min(most, len(held_out.views))).round().astype(int))
    some = HeldOut(tuple(held_out.views[index] for index in chosen), held_out.config)
    made = []
    with opened(path, held_out.config) as scene:
        for name, target in some.targets():
            tick()
            if target.mask is None or target.mask.any():
                degree = scene.gaussians.sh_degree
                made.append(strip(ViewScore(name, *scene.model.score(target, degree)), *compared(scene.model, target, degree)))
    return sorted(made, key=lambda made_strip: made_strip.score.psnr)


def strip(score: ViewScore, render: np.ndarray, truth: np.ndarray) -> Strip:
    """The strip of a view from what is seen and what is true, [H, W, 3] in [0, 1]."""
    pictures = (to_bytes(truth), to_bytes(render), heat(np.abs(render - truth).mean(axis=2)))
    return Strip(score, *(encode_png(reduced(picture)) for picture in pictures))


def heat(error: np.ndarray) -> np.ndarray:
    """Differences [H, W] -> colours uint8 [H, W, 3]."""
    places = (error / FULL_ERROR).clip(0, 1) * (len(HEAT) - 1)
    return np.stack([np.interp(places, range(len(HEAT)), HEAT[:, channel]) for channel in range(3)], axis=2).astype(np.uint8)


def reduced(picture: np.ndarray) -> np.ndarray:
    """No more than LONGEST_SIDE pixels on a side, uint8."""
    height, width = picture.shape[:2]
    factor = min(1.0, LONGEST_SIDE / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return picture if factor == 1.0 else (area_average(picture, *size) + 0.5).astype(np.uint8)


def data_uri(png: bytes) -> str:
    """A PNG as a page holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
