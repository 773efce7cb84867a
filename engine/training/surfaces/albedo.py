"""Each Gaussian's colour without light: that whose drawing fits the albedo maps best, by least squares.

Drawing is linear in the colours, D c, and summing a map with the Gaussians' weights is its transpose. So conjugate gradients on
Dᵀ D c = Dᵀ a need nothing but both passes (Hestenes and Stiefel 1952). Plain means blur what overlaps: 23.4 dB, five rounds 28.7 dB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from ...core.cameras.camera import Camera
from ...core.splats.gaussians import rgb_to_sh0
from ..backend import Model
from ..evaluate import BLACK
from .view_maps import ViewMaps
from .votes import filled

ROUNDS = 5
COVERED = 0.99
"""Pixels of which less is covered show something beside their surface: they tell means, and are no equations."""

LEAST_LIGHT = 1e-3
"""Sum of a Gaussian's weights below which it says nothing about a colour."""


@dataclass(frozen=True)
class _Equations:
    """One view of the least squares: which pixels [H, W] count, packed into bits."""

    camera: Camera
    packed: np.ndarray

    @staticmethod
    def of(view: ViewMaps, coverage: np.ndarray) -> _Equations:
        return _Equations(view.camera, np.packbits(coverage >= COVERED))

    def counted(self, image: np.ndarray) -> np.ndarray:
        """An image [C, H, W] without the pixels that do not count."""
        height, width = self.camera.height, self.camera.width
        inside = np.unpackbits(self.packed, count=height * width).reshape(height, width)
        return np.ascontiguousarray(image * inside, np.float32)


class ColorDrawing:
    """Draws the geometry of a model in any colours. The model's own stand in it again when painting() ends."""

    def __init__(self, model: Model):
        self._model, self._rows = model, np.arange(model.count)
        self._low = np.zeros(3, np.float32)

    def take(self, colors: np.ndarray) -> None:
        """What is drawn from now on: colours [N, 3] of any sign; a model cuts off those below 0, so they are drawn above it."""
        self._low = colors.min(axis=0, initial=0).astype(np.float32)
        self._model.write("sh0", self._rows, rgb_to_sh0(colors - self._low)[:, None])

    def draw(self, camera: Camera) -> np.ndarray:
        """float32 [3, H, W]."""
        seen = self._model.render(camera, 0, BLACK)
        return (seen.rgb + self._low * seen.alpha[..., None]).transpose(2, 0, 1)


@contextmanager
def painting(model: Model) -> Iterator[ColorDrawing]:
    """A painter with the model; its own base colours are put back, bit for bit, however the block ends."""
    own = model.read("sh0")
    try:
        yield ColorDrawing(model)
    finally:
        model.write("sh0", np.arange(model.count), own)


def fit_albedo(model: Model, views: Callable[[], Iterable[ViewMaps]], means: np.ndarray, tick: Callable[[], None],
               rounds: int = ROUNDS) -> np.ndarray:
    """Linear albedo [N, 3] in 0 to 1 of a model's Gaussians, which stand at `means` [N, 3].

    `views` gives the views that have albedo, once for the means and once for the equations; `tick` is called for each view that is drawn.
    """
    start, seen = _means(model, views())
    start = filled(start, seen, means)
    with painting(model) as painter:
        return _solved(model, painter, views(), start, tick, rounds).clip(0, 1)


def _means(model: Model, views: Iterable[ViewMaps]) -> tuple[np.ndarray, np.ndarray]:
    """Mean colours [N, 3] by light, and which Gaussians [N] have one. By coverage, not all light: or edges darken."""
    found = model.contribution(((view.camera, np.concatenate([view.albedo(), view.coverage()[None]])) for view in views), 4).channels
    seen = found[:, 3] > LEAST_LIGHT
    return found[:, :3] / np.maximum(found[:, 3:], LEAST_LIGHT), seen


def _solved(model: Model, painter: ColorDrawing, views: Iterable[ViewMaps], start: np.ndarray, tick: Callable[[], None],
            rounds: int) -> np.ndarray:
    """Conjugate gradients from `start` [N, 3], each channel for itself, scaled by what each Gaussian sums of ones."""
    equations: list[_Equations] = []

    def first() -> Iterator[tuple[Camera, np.ndarray]]:
        for view in views:
            equation = _Equations.of(view, view.coverage())
            equations.append(equation)
            missing = equation.counted(view.albedo() - painter.draw(view.camera))
            yield view.camera, np.concatenate([missing, equation.counted(np.ones((1, *missing.shape[1:]), np.float32))])

    painter.take(start)
    found = model.contribution(first(), 4).channels.astype(np.float64)
    missing, scale = found[:, :3], 1 / np.maximum(found[:, 3:], LEAST_LIGHT)
    colors, direction = start.astype(np.float64), scale * missing
    size = (missing * direction).sum(axis=0)
    for _ in range(rounds):
        curved = _back_and_forth(model, painter, equations, direction, tick)
        length = size / np.maximum((direction * curved).sum(axis=0), 1e-30)
        colors += length * direction
        missing = missing - length * curved
        before, size = size, (missing * scale * missing).sum(axis=0)
        direction = scale * missing + size / np.maximum(before, 1e-30) * direction
    return colors.astype(np.float32)


def _back_and_forth(model: Model, painter: ColorDrawing, equations: Sequence[_Equations], colors: np.ndarray,
                    tick: Callable[[], None]) -> np.ndarray:
    """Dᵀ D of colours [N, 3]."""
    painter.take(colors.astype(np.float32))

    def drawn() -> Iterator[tuple[Camera, np.ndarray]]:
        for equation in equations:
            tick()
            yield equation.camera, equation.counted(painter.draw(equation.camera))

    return model.contribution(drawn(), 3).channels.astype(np.float64)
