"""Types that the parts of the torch backend exchange.  Images are channel-last float32 on one device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ...core.cameras.camera import NEAREST, Camera
from ..low_pass import CLASSIC, LowPass

Parameters = dict[str, Tensor]
"""Arrays of Gaussians by name, stored as in core.gaussians: log scales, logit opacities."""


@dataclass(frozen=True)
class TensorCamera:
    """A camera on the device. `orthographic`: fl_x and fl_y are pixels for each metre. Nothing nearer than `near` is drawn."""

    viewmat: Tensor  # [4, 4], world to OpenCV camera
    K: Tensor  # [3, 3]
    width: int
    height: int
    orthographic: bool = False
    near: float = NEAREST

    @property
    def position(self) -> Tensor:
        """Centre in the world [3]; differentiable."""
        return -self.viewmat[:3, :3].T @ self.viewmat[:3, 3]

    def depth(self, means: Tensor) -> Tensor:
        """Distance [N] of points [N, 3] along the camera's axis."""
        return means @ self.viewmat[2, :3] + self.viewmat[2, 3]


@dataclass(frozen=True)
class RenderRequest:
    """How to draw. `features` are drawn like colours; `absolute` asks for the footprint's gradient."""

    sh_degree: int
    low_pass: LowPass = CLASSIC
    features: Tensor | None = None  # [N, F]
    absolute: bool = False


@dataclass(frozen=True)
class Footprint:
    """Where Gaussians lie on the image, for densification."""

    rows: Tensor | None  # [M] which Gaussians; None: all of them
    radius: Tensor  # [M] in pixels, 0: not drawn
    gradient: Callable[[], Tensor]  # after the way back: [M, 2] sum over pixels of |loss gradient by the centre in pixels|


@dataclass(frozen=True)
class Drawn:
    """Output of a rasterizer, over black."""

    rgb: Tensor  # [H, W, 3]
    alpha: Tensor  # [H, W]
    features: Tensor  # [H, W, F], sums weighted like the colours
    footprint: Footprint


class Rasterize(Protocol):
    """Draws Gaussians, differentiable by the parameters, the features and the camera's viewmat."""

    def __call__(self, parameters: Parameters, camera: TensorCamera, request: RenderRequest) -> Drawn: ...


@dataclass(frozen=True)
class Composite:
    """The rendering that the loss compares with a photo."""

    rgb: Tensor  # [H, W, 3], composed over the background, exposed as the photo
    alpha: Tensor  # [H, W]
    depth: Tensor | None = None  # [H, W], expected along the camera's axis, 0 where nothing is
    spread: Tensor | None = None  # [H, W], variance of depth along each ray times alpha squared
    normals: Tensor | None = None  # [H, W, 3], weighted sum of unit normals in Blender's world


@dataclass(frozen=True)
class GroundTruth:
    """One photo with its mask, depth and normals."""

    image: Tensor  # [H, W, 3], composed over the same background
    alpha: Tensor | None = None  # [H, W]
    mask: Tensor | None = None  # [H, W], 1: learn from it, 0: not
    depth: Tensor | None = None  # [H, W], 0: unknown
    normals: Tensor | None = None  # [H, W, 3], 0: unknown


def upload(values: Tensor, device: torch.device) -> Tensor:
    """To the device without waiting for it."""
    if device.type == "cpu":
        return values
    return values.pin_memory().to(device, non_blocking=True)


def tensor_camera(camera: Camera, device: torch.device) -> TensorCamera:
    """The camera on the device, by one copy."""
    rows = torch.cat([torch.from_numpy(camera.viewmat).float().flatten(), torch.from_numpy(camera.K).float().flatten()])
    values = upload(rows, device)
    return TensorCamera(values[:16].view(4, 4), values[16:].view(3, 3), camera.width, camera.height, camera.orthographic,
                        camera.near)
