"""Parameters of each photo that are trained beside the Gaussians: exposure and pose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ...core.cameras.camera import Camera
from ...core.datasets.spread import strays
from ..backend import StepSettings, Target
from . import exposure, poses
from .optimise import Adam
from .tensors import Drawn, TensorCamera

PHOTO_NAMES = ("exposure", "poses")
"""Their tensors in the model's state. They are no part of the result."""


def photo_rates(settings: StepSettings) -> dict[str, float]:
    """Learning rate of each; 0: not learned."""
    return {"exposure": settings.exposure_rate, "poses": settings.pose_rate}


class PhotoTerms:
    """Applies exposures and pose corrections. Terms whose learning rate is 0 do nothing and have no tensor."""

    def __init__(self, learned: Adam, cameras: list[Camera], device: torch.device):
        self._learned = learned
        self._device = device
        self._views = len(cameras)
        positions = torch.tensor(np.array([camera.position for camera in cameras]).reshape(-1, 3), dtype=torch.float32)
        self._unit = poses.spread(positions[torch.from_numpy(~strays(positions.numpy()))]) if self._views else 1.0
        self._positions = (positions / self._unit).to(device)

    def begin(self, settings: StepSettings) -> None:
        """Make the tensors that this step needs."""
        if settings.exposure_rate > 0 and "exposure" not in self._learned.tensors:
            self._learned.add("exposure", exposure.neutral(self._views).to(self._device))
        if settings.pose_rate > 0 and "poses" not in self._learned.tensors:
            self._learned.add("poses", poses.unmoved(self._views).to(self._device))

    def posed(self, camera: TensorCamera, target: Target, settings: StepSettings) -> TensorCamera:
        """The camera with its pose correction."""
        if settings.pose_rate <= 0 or target.view < 0:
            return camera
        return replace(camera, viewmat=poses.refined(camera.viewmat, self._learned.tensors["poses"], target.view, self._unit))

    def exposed(self, drawn: Drawn, target: Target, settings: StepSettings) -> Drawn:
        """The drawn image with the photo's exposure."""
        if settings.exposure_rate <= 0 or target.view < 0:
            return drawn
        return replace(drawn, rgb=exposure.exposed(drawn.rgb, drawn.alpha, self._learned.tensors["exposure"], target.view))

    def settle(self, settings: StepSettings) -> None:
        """After an update: remove the mean of exposures and pose corrections."""
        if settings.exposure_rate > 0:
            exposure.center_(self._learned.tensors["exposure"])
        if settings.pose_rate > 0:
            poses.anchor_(self._learned.tensors["poses"], self._positions)
