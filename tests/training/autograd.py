"""The kernels as a torch operation, so that any loss of torch can be compared with theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine.training.cpu.blocks import NAMES
from engine.training.cpu.library import Kernels, KernelScene, ViewStruct
from engine.training.cpu.model import packed


class _Rasterize(torch.autograd.Function):
    """Every call has kernels of its own: they keep what the way back needs of one frame alone."""

    @staticmethod
    def forward(ctx: Any, view: ViewStruct, sh_degree: int, *parameters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.kernels = Kernels(1)
        gaussians = packed({name: _array(values) for name, values in zip(NAMES, parameters, strict=True)})
        images = ctx.kernels.forward(KernelScene(gaussians, sh_degree), view)
        return torch.from_numpy(images.rgb).to(parameters[0]), torch.from_numpy(images.transmittance).to(parameters[0])

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradients = ctx.kernels.backward(_array(upstream[0]), _array(upstream[1])).gaussians.unpack()
        ctx.kernels.close()
        return None, None, *(torch.from_numpy(gradients[name]).to(upstream[0]) for name in NAMES)


def rasterize(parameters: dict[str, torch.Tensor], view: ViewStruct, sh_degree: int) -> tuple[torch.Tensor, torch.Tensor]:
    """RGB [3, H, W] and transmittance [H, W], differentiable once with respect to every parameter."""
    return _Rasterize.apply(view, sh_degree, *(parameters[name] for name in NAMES))


def _array(values: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(values.detach().numpy(), np.float32)
