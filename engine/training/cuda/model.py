"""The full engine's model: Gaussians and their Adam moments as tensors. A step never waits for the device."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

from ...core.cameras.camera import Camera
from ...core.protocol.config import TrainConfig
from ...core.splats.gaussians import Gaussians
from ..backend import Contribution, Model, ParameterHealth, Rendering, Statistics, StepSettings, Target, sampled_rows
from ..group import SOLO, Group
from ..low_pass import ANTIALIASED, CLASSIC
from .compose import RenderedFeatures, compose, features
from .failures import plain_errors
from .geometry import explore_, order_of_places
from .losses import shape_loss, view_loss
from .memory import GIGABYTE, plan_memory
from .optimise import Adam, from_numpy, to_numpy
from .photo_terms import PHOTO_NAMES, PhotoTerms, photo_rates
from .quality import quality
from .residency import DevicePhotos, ground_truth
from .statistics import Gathered
from .tensors import Drawn, Parameters, Rasterize, RenderRequest, TensorCamera, tensor_camera, upload

NAMES = ("means", "quats", "scales", "opacities", "sh0", "shN")
"""Parameters of Gaussians, as in core.gaussians."""

FREE_SHARE = 0.9
"""Of the free memory that is used unless the settings say how much."""


class TorchModel(Model):
    """Gaussians under training with torch; see backend.Model for what each method does.

    `rasterize` draws: cuda.rasterize.draw on a GPU. `cameras` are those of the photos, for exposures and poses of their own;
    `photo_budget` bytes of photos stay on the device. `group`: the processes that train together, each on other views.
    """

    def __init__(self, gaussians: Gaussians, device: torch.device, rasterize: Rasterize, *, antialiased: bool = False,
                 cameras: Sequence[Camera] = (), photo_budget: int = 0, group: Group = SOLO):
        self._device = device
        self._rasterize = rasterize
        self._low_pass = ANTIALIASED if antialiased else CLASSIC
        self._group = group
        self._learned = Adam(batch=group.size)
        for name, array in gaussians.arrays().items():
            self._learned.add(name, torch.tensor(np.asarray(array, np.float32), device=device))
        self._terms = PhotoTerms(self._learned, list(cameras), device)
        self._photos = DevicePhotos(device, photo_budget)
        self._gathered: Gathered | None = None  # since a step first gathered
        self._generator = torch.Generator(device)

    @property
    def count(self) -> int:
        return len(self._learned.tensors["means"])

    @property
    def parameters(self) -> Parameters:
        """The Gaussians' tensors by name."""
        return {name: self._learned.tensors[name] for name in NAMES}

    def expect(self, target: Target) -> None:
        self._photos.expect(target)

    def step(self, target: Target, settings: StepSettings) -> Tensor:
        self._learned.drop_gradients()
        with plain_errors():
            loss = self._learn_from(target, settings)
            self._group.average([*self._learned.gradients(), loss])
            self._learned.step({**settings.learning_rates, **photo_rates(settings)}, unusable=(~loss.isfinite()).float())
            self._terms.settle(settings)
            if settings.noise > 0:
                explore_(self.parameters, settings.noise, self._generator.manual_seed(settings.noise_seed))
        return loss

    def render(self, camera: Camera, sh_degree: int, background: tuple[float, float, float], reduction: int = 1) -> Rendering:
        wanted = RenderedFeatures(depth=True)
        with torch.no_grad(), plain_errors():
            drawn = self._draw(tensor_camera(camera, self._device), sh_degree, wanted, reduction)
            seen = compose(drawn, torch.tensor(background, device=self._device), wanted)
            assert seen.depth is not None
            return Rendering(to_numpy(seen.rgb), to_numpy(seen.alpha), to_numpy(seen.depth))

    def score(self, target: Target, sh_degree: int) -> tuple[float, float]:
        with torch.no_grad(), plain_errors():
            drawn = self._draw(tensor_camera(target.camera, self._device), sh_degree, RenderedFeatures())
            truth = ground_truth(self._photos.get(target), torch.zeros(3, device=self._device))
            return quality(drawn.rgb, truth.image, truth.mask)

    def contribution(self, views: Iterable[tuple[Camera, np.ndarray]], channels: int = 0, reduction: int = 1) -> Contribution:
        """See backend.Model: the sums are the gradient of drawn features by the features."""
        features = torch.zeros(self.count, 1 + channels, device=self._device, requires_grad=True)
        still = {name: tensor.detach() for name, tensor in self.parameters.items()}
        with plain_errors():
            for camera, buffers in views:
                request = RenderRequest(0, self._low_pass.reduced(reduction), features)
                drawn = self._rasterize(still, tensor_camera(camera, self._device), request).features  # [H, W, 1 + K]
                weights = torch.cat([torch.ones_like(drawn[..., :1]), from_numpy(buffers, self._device).permute(1, 2, 0)], dim=2)
                (drawn * weights).sum().backward()
        sums = torch.zeros_like(features) if features.grad is None else features.grad
        return Contribution(to_numpy(sums[:, 0]), None, to_numpy(sums[:, 1:]))

    def read(self, name: str) -> np.ndarray:
        with plain_errors():
            return to_numpy(self._learned.tensors[name])

    @torch.no_grad()
    def write(self, name: str, rows: np.ndarray, values: np.ndarray) -> None:
        found = torch.tensor(np.asarray(values, np.float32), device=self._device)
        self._learned.tensors[name].index_copy_(0, self._rows(rows), found)

    def rebuild(self, source_rows: np.ndarray, reset_rows: np.ndarray) -> None:
        self._learned.drop_gradients()
        with plain_errors():
            rows, fresh = self._rows(source_rows), self._rows(reset_rows)
            self._learned.take(NAMES, rows, fresh)
            self._gathered = None

    def arrange(self) -> None:
        self._learned.drop_gradients()
        with plain_errors():
            rows = order_of_places(self._learned.tensors["means"])
            self._learned.take(NAMES, rows, rows[:0])
            if self._gathered is not None:
                self._gathered.take(rows)

    def forget(self, name: str) -> None:
        self._learned.forget(name)

    def take_statistics(self) -> Statistics:
        gathered, self._gathered = self._gathered or Gathered(self.count, self._device), None
        return gathered.result(self._group)

    def parameter_health(self) -> dict[str, ParameterHealth]:
        with plain_errors():
            return self._learned.parameter_health(NAMES)

    def gaussians(self) -> Gaussians:
        return Gaussians(**{name: self.read(name) for name in NAMES})

    def sample(self, most: int) -> Gaussians:
        """See backend.Model; only the sampled rows are copied from the device."""
        with torch.no_grad(), plain_errors():
            rows = self._rows(sampled_rows(self.count, most))
            arrays = {name: to_numpy(self._learned.tensors[name].index_select(0, rows)) for name in NAMES if name != "shN"}
        return Gaussians(**arrays, shN=np.zeros((len(rows), 0, 3), np.float32))

    def state(self) -> dict[str, np.ndarray]:
        with plain_errors():
            visibility_stats = {} if self._gathered is None else {"sights": self._gathered.visibility_stats()}
            return {**self._learned.state(), **visibility_stats}

    def broken(self) -> list[str]:
        with plain_errors():
            return self._learned.broken()

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        with plain_errors():
            self._learned.load_state(state, NAMES + PHOTO_NAMES, self._device)
            mine = "sights" in state and self._group.leads  # the others would count them again
            self._gathered = Gathered.restored(state["sights"], self._device) if mine else None

    def release(self) -> None:
        self._learned.drop_gradients()
        self._photos.release()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def close(self) -> None:
        self._photos.close()
        self._learned.clear()
        if self._device.type == "cuda":
            with suppress(RuntimeError):  # the card may be lost
                torch.cuda.empty_cache()

    def _rows(self, rows: np.ndarray) -> Tensor:
        return torch.tensor(np.asarray(rows, np.int64), device=self._device)

    def _draw(self, camera: TensorCamera, sh_degree: int, wanted: RenderedFeatures, reduction: int = 1, absolute: bool = False) -> Drawn:
        request = RenderRequest(sh_degree, self._low_pass.reduced(reduction), features(self.parameters, camera, wanted), absolute)
        return self._rasterize(self.parameters, camera, request)

    def _learn_from(self, target: Target, settings: StepSettings) -> Tensor:
        """The difference between the photo and what is drawn through its camera; every tensor gets its gradient."""
        self._terms.begin(settings)
        camera = self._terms.posed(tensor_camera(target.camera, self._device), target, settings)
        wanted = RenderedFeatures.by(settings)
        drawn = self._draw(camera, settings.sh_degree, wanted, settings.reduction, settings.gather)
        background = upload(torch.tensor(settings.background), self._device)
        seen = compose(self._terms.exposed(drawn, target, settings), background, wanted)
        loss = view_loss(seen, ground_truth(self._photos.get(target), background), settings)
        (loss + shape_loss(self.parameters, settings)).backward()
        if settings.gather:
            self._gathered = self._gathered or Gathered(self.count, self._device)
            self._gathered.add(drawn.footprint, target.camera)
        return loss.detach()


def cuda_model(gaussians: Gaussians, config: TrainConfig, cameras: Sequence[Camera], group: Group) -> TorchModel:
    """The model on this process's NVIDIA GPU, within the memory that the settings allow; UserError when it does not suffice."""
    from .rasterize import draw

    torch.backends.cudnn.allow_tf32 = False  # SSIM is a difference of squares and needs all digits
    device = torch.device("cuda", torch.cuda.current_device())
    with plain_errors():
        limit, total = usable_memory(config)
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total), device)
        most = max(config.max_gaussians, len(gaussians))
        plan = plan_memory(limit, most, config.sh_degree, largest_picture(cameras, config.resolution))
        return TorchModel(gaussians, device, draw, antialiased=config.antialiased, cameras=cameras, photo_budget=plan.photos, group=group)


def usable_memory(config: TrainConfig) -> tuple[int, int]:
    """Bytes of the current graphics card that the settings allow to use, and all that it has."""
    free, total = torch.cuda.mem_get_info()
    return (min(free, int(config.gpu_memory * GIGABYTE)) if config.gpu_memory else int(FREE_SHARE * free)), total


def largest_picture(cameras: Sequence[Camera], resolution: int) -> int:
    """Pixels of the largest photo that is trained on."""
    sizes = [(camera, min(1.0, resolution / max(camera.width, camera.height))) for camera in cameras]
    return max((round(camera.width * factor) * round(camera.height * factor) for camera, factor in sizes), default=0)
