"""The full engine's model on CPU tensors, drawn by the reference."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from engine.core.cameras.camera import Camera
from engine.core.protocol.config import TrainConfig
from engine.core.splats.gaussians import Gaussians
from engine.training.backend import BackendName
from engine.training.cuda.model import TorchModel
from engine.training.group import SOLO, Group
from tests.training.cuda import torch_rasterizer

CPU = torch.device("cpu")
PHOTO_BUDGET = 10**9


def torch_model(gaussians: Gaussians, config: TrainConfig = TrainConfig(), engine: BackendName = "cuda",  # noqa: B008 (a frozen default)
                cameras: Sequence[Camera] = (), group: Group = SOLO) -> TorchModel:
    """In the place of backend.create_model."""
    return TorchModel(gaussians, CPU, torch_rasterizer.draw, antialiased=config.antialiased, cameras=cameras,
                      photo_budget=PHOTO_BUDGET, group=group)
