"""What a training backend does: it holds Gaussians with their optimiser state, renders them and learns from a view.

The trainer, schedule, strategies, checkpoints and evaluation are written once against this protocol. Heavy arrays stay
inside the backend; what crosses is numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..core.camera import Camera
from ..core.config import TrainConfig
from ..core.gaussians import Gaussians


@dataclass(frozen=True)
class Target:
    """One image to learn from. `camera` has the size of `image`, no distortion."""

    camera: Camera
    image: np.ndarray  # [H, W, 3] or [H, W, 4] uint8, straight alpha


@dataclass(frozen=True)
class Rendering:
    """What a camera sees."""

    rgb: np.ndarray  # [H, W, 3] float32, composed over the background, not clamped
    alpha: np.ndarray  # [H, W] float32
    depth: np.ndarray  # [H, W] float32, expected depth along the camera's axis, 0 where nothing is


@dataclass(frozen=True)
class StepSettings:
    """What one optimisation step needs to know beyond its target."""

    learning_rates: dict[str, float]  # by parameter name: means quats scales opacities sh0 shN
    sh_degree: int
    background: tuple[float, float, float]
    ssim_lambda: float
    opacity_regularisation: float
    scale_regularisation: float
    noise: float  # standard deviation factor of MCMC's exploration noise on the means, 0: none
    reduction: int  # how much smaller than the full image the target is, 1, 2 or 4
    noise_seed: int  # the noise of a step depends on this alone, so a resumed run repeats it


class Model(Protocol):
    """Gaussians under training, behind one backend."""

    @property
    def count(self) -> int:
        """Number of Gaussians."""
        ...

    def step(self, target: Target, settings: StepSettings) -> float:
        """Render, compare, go back, update every parameter. Returns the loss before the update."""
        ...

    def render(self, camera: Camera, sh_degree: int, background: tuple[float, float, float]) -> Rendering:
        """Render without learning."""
        ...

    def read(self, name: str) -> np.ndarray:
        """A copy of one parameter array, named as in Gaussians."""
        ...

    def write(self, name: str, rows: np.ndarray, values: np.ndarray) -> None:
        """Overwrite rows of one parameter."""
        ...

    def rebuild(self, source_rows: np.ndarray, reset_rows: np.ndarray) -> None:
        """Row i becomes a copy of old row source_rows[i] [M]; the moments of the new rows `reset_rows` start at zero."""
        ...

    def gaussians(self) -> Gaussians:
        """A copy of all Gaussians."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """Parameters, moments and step counts: all that load_state needs to go on as if never interrupted."""
        ...

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Go back to a state."""
        ...

    def close(self) -> None:
        """Free threads and memory."""
        ...


def affordable_gaussians(config: TrainConfig, pixels: int) -> int:
    """How many Gaussians suit the backend and images of so many pixels."""
    match config.backend:
        case "auto" | "cpu":
            from .cpu.model import affordable_gaussians, default_threads

            return affordable_gaussians(pixels, config.threads or default_threads())


def create_model(gaussians: Gaussians, config: TrainConfig) -> Model:
    """A model on the backend that the settings ask for."""
    match config.backend:
        case "auto" | "cpu":
            from .cpu.model import CpuModel

            return CpuModel(gaussians, config.threads)
