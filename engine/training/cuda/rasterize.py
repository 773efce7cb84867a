"""The one call into gsplat. Kerbl et al. 2023; Ye et al., "gsplat: An Open-Source Library for Gaussian Splatting", 2024."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..low_pass import LowPass
from .geometry import view_directions
from .tensors import Drawn, Footprint, Parameters, RenderRequest, TensorCamera

Mode = Literal["classic", "antialiased"]

PACKED_FROM = 3_000_000
"""From so many Gaussians on, those outside the view get no memory of their own; costs a little time."""


def draw(parameters: Parameters, camera: TensorCamera, request: RenderRequest) -> Drawn:
    """Draw with gsplat; see tensors.Rasterize. gsplat waits for the device once, to learn how many tiles are touched."""
    from gsplat import rasterization

    means = parameters["means"]
    scales, added, mode = filtered(parameters, camera, request.low_pass)
    channels = colors(parameters, camera, request.sh_degree)
    if request.features is not None:
        channels = torch.cat([channels, request.features], dim=1)
    image, alpha, meta = rasterization(
        means, parameters["quats"], scales, parameters["opacities"].sigmoid(), channels,
        camera.viewmat[None], camera.K[None], camera.width, camera.height,
        near_plane=camera.near, eps2d=added, packed=len(means) >= PACKED_FROM, absgrad=request.absolute, rasterize_mode=mode,
        camera_model="ortho" if camera.orthographic else "pinhole")
    return Drawn(image[0, ..., :3], alpha[0, ..., 0], image[0, ..., 3:], footprint(meta))


def filtered(parameters: Parameters, camera: TensorCamera, low_pass: LowPass) -> tuple[Tensor, float, Mode]:
    """Axes [N, 3], and what gsplat adds to the covariance on the image in which of its modes.

    gsplat dilates or blurs. For both, as photos at a part of their size need it, the axes themselves are made longer by what
    the dilation is at each Gaussian's distance.
    """
    axes = parameters["scales"].exp()
    if not low_pass.blur:
        return axes, low_pass.dilation, "classic"
    if low_pass.dilation:
        pixel = (camera.K[0, 0] * camera.K[1, 1]).rsqrt()  # one pixel at distance 1, or in an orthographic view
        if not camera.orthographic:
            pixel = pixel * camera.depth(parameters["means"]).detach().clamp_min(camera.near)[:, None]
        axes = (axes.square() + low_pass.dilation * pixel.square()).sqrt()
    return axes, low_pass.blur, "antialiased"


def colors(parameters: Parameters, camera: TensorCamera, degree: int) -> Tensor:
    """RGB [N, 3] as seen from the camera.

    gsplat's own way from harmonics to colours inverts the camera's matrix and so waits for the device; this one does not.
    """
    from gsplat import spherical_harmonics

    sh0, shN = parameters["sh0"], parameters["shN"]
    coefficients = torch.cat([sh0, shN], dim=1) if degree else sh0
    directions = view_directions(parameters["means"], camera)
    return (spherical_harmonics(degree, directions, coefficients) + 0.5).clamp_min(0.0)


def footprint(meta: dict) -> Footprint:
    """The Footprint of all projected Gaussians, or of the visible ones when packed."""
    centers, radii = meta["means2d"], meta["radii"]  # [1, N, 2] or [M, 2]
    return Footprint(meta["gaussian_ids"], radii.amax(dim=-1).flatten().float(), lambda: centers.absgrad.reshape(-1, 2))
