"""gsplat's example trainer, written out from its documented defaults: the recipe that we are measured against.

Its loop is kept as it is, with the loss asked for at every step. In its favour: photos lie decoded in memory (it reads
files), and SSIM is our fused kernel. Photos are composed over black, because it drops their transparency. Left out is what
changes nothing that is measured: its viewer, its logs, and the frame that it normalises the world to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from engine.core.cameras.camera import Camera
from engine.core.datasets.dataset import Dataset
from engine.core.splats.gaussians import rgb_to_sh0
from engine.training.backend import Target
from engine.training.cuda.ssim import ssim
from engine.training.evaluate import BLACK, composed

Rasterization = Callable[..., tuple[Tensor, Tensor, dict[str, Any]]]
"""gsplat.rasterization, or what behaves alike."""


@dataclass(frozen=True)
class PeerDefaults:
    """The example trainer's settings."""

    max_steps: int = 30_000
    sh_degree: int = 3
    sh_degree_interval: int = 1000
    init_opacity: float = 0.1
    init_scale: float = 1.0
    ssim_lambda: float = 0.2
    means_lr: float = 1.6e-4
    scales_lr: float = 5e-3
    opacities_lr: float = 5e-2
    quats_lr: float = 1e-3
    sh0_lr: float = 2.5e-3
    shN_lr: float = 2.5e-3 / 20
    seed: int = 42

    def at_length(self, steps: int) -> PeerDefaults:
        """As its option steps_scaler does: everything that counts steps shrinks with the run."""
        factor = steps / self.max_steps
        return PeerDefaults(max_steps=steps, sh_degree_interval=max(1, round(self.sh_degree_interval * factor)))


def shortened(strategy: Any, factor: float) -> Any:
    """gsplat's strategy for a run of another length, by the same option."""
    for name in ("refine_start_iter", "refine_stop_iter", "reset_every", "refine_every"):
        if hasattr(strategy, name):
            setattr(strategy, name, max(1, int(getattr(strategy, name) * factor)))
    return strategy


class Peer:
    """One training by the recipe."""

    def __init__(self, dataset: Dataset, targets: Sequence[Target], settings: PeerDefaults, rasterization: Rasterization, strategy: Any,
                 device: torch.device):
        torch.manual_seed(settings.seed)
        self._settings, self._rasterization, self._strategy, self._device = settings, rasterization, strategy, device
        self._photos = [torch.from_numpy((composed(target.image, BLACK) * 255 + 0.5).astype(np.uint8)) for target in targets]
        self._cameras = [target.camera for target in targets]
        self._order: list[int] = []
        scale = scene_scale(self._cameras)
        self.parameters = torch.nn.ParameterDict(initial(dataset, settings)).to(device)
        rates = {"means": settings.means_lr * scale, "scales": settings.scales_lr, "quats": settings.quats_lr,
                 "opacities": settings.opacities_lr, "sh0": settings.sh0_lr, "shN": settings.shN_lr}
        self._optimizers = {name: torch.optim.Adam([{"params": self.parameters[name], "lr": rate, "name": name}], eps=1e-15, fused=True)
                            for name, rate in rates.items()}
        self._decay = torch.optim.lr_scheduler.ExponentialLR(self._optimizers["means"], 0.01 ** (1.0 / settings.max_steps))
        strategy.check_sanity(self.parameters, self._optimizers)
        self._state = strategy.initialize_state(scene_scale=scale)

    def __len__(self) -> int:
        return len(self.parameters["means"])

    def step(self, number: int) -> float:
        """Learn from one photo; the loss."""
        if not self._order:
            self._order = torch.randperm(len(self._photos)).tolist()
        view = self._order.pop()
        truth = self._photos[view].to(self._device) / 255.0
        degree = min(number // self._settings.sh_degree_interval, self._settings.sh_degree)
        image, info = self._draw(self._cameras[view], degree, absgrad=bool(getattr(self._strategy, "absgrad", False)))
        self._strategy.step_pre_backward(self.parameters, self._optimizers, self._state, number, info)
        part = self._settings.ssim_lambda
        loss = (1 - part) * (image - truth).abs().mean() + part * (1 - ssim(image, truth))
        loss.backward()
        told = loss.item()
        for optimizer in self._optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self._decay.step()
        self._strategy.step_post_backward(self.parameters, self._optimizers, self._state, number, info, packed=False)
        return told

    @torch.no_grad()
    def render(self, camera: Camera) -> Tensor:
        """What a camera sees over black [H, W, 3]."""
        return self._draw(camera, self._settings.sh_degree)[0]

    def _draw(self, camera: Camera, degree: int, absgrad: bool = False) -> tuple[Tensor, dict[str, Any]]:
        found = self.parameters
        viewmat, K = (torch.tensor(matrix, dtype=torch.float32, device=self._device)[None] for matrix in (camera.viewmat, camera.K))
        image, _, info = self._rasterization(
            found["means"], found["quats"], found["scales"].exp(), found["opacities"].sigmoid(), torch.cat([found["sh0"], found["shN"]], 1),
            viewmat, K, camera.width, camera.height, sh_degree=degree, packed=False, absgrad=absgrad, near_plane=0.01, far_plane=1e10)
        return image[0], info


def initial(dataset: Dataset, settings: PeerDefaults) -> dict[str, torch.nn.Parameter]:
    """A Gaussian on every start point, as large as the root mean square distance to its three nearest neighbours."""
    assert dataset.points is not None, "the recipe begins with points"
    points, count = dataset.points.positions.astype(np.float32), len(dataset.points)
    distances = KDTree(points).query(points, 4)[0][:, 1:]
    size = np.sqrt((distances**2).mean(axis=1)).clip(1e-7)
    rgb = rgb_to_sh0(dataset.points.colors.astype(np.float32) / 255)
    values = {
        "means": torch.from_numpy(points.copy()),
        "scales": torch.from_numpy(np.log(size * settings.init_scale).astype(np.float32))[:, None].repeat(1, 3),
        "quats": torch.rand(count, 4),
        "opacities": torch.full((count,), math.log(settings.init_opacity / (1 - settings.init_opacity))),
        "sh0": torch.from_numpy(rgb)[:, None],
        "shN": torch.zeros(count, (settings.sh_degree + 1) ** 2 - 1, 3),
    }
    return {name: torch.nn.Parameter(value) for name, value in values.items()}


def scene_scale(cameras: Sequence[Camera]) -> float:
    """1.1 times the distance of the farthest camera from their middle."""
    positions = np.stack([camera.position for camera in cameras])
    return 1.1 * float(np.linalg.norm(positions - positions.mean(axis=0), axis=1).max())
