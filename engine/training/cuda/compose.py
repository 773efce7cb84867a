"""Features of Gaussians that are rasterized beside colour (depth, normals), and composing the result for the loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..backend import StepSettings
from .geometry import facing_normals
from .tensors import Composite, Drawn, Parameters, TensorCamera

NOTHING = 1e-10
"""Alpha below which a pixel has no depth."""


@dataclass(frozen=True)
class RenderedFeatures:
    """Which features are rasterized beside colour and alpha. `spread` needs `depth`."""

    depth: bool = False
    spread: bool = False
    normals: bool = False

    @staticmethod
    def by(settings: StepSettings) -> RenderedFeatures:
        """What the terms of a step look at."""
        spread = settings.distortion_weight > 0
        return RenderedFeatures(spread or settings.depth_weight > 0, spread, settings.normal_weight > 0)


def features(parameters: Parameters, camera: TensorCamera, wanted: RenderedFeatures) -> Tensor | None:
    """One row [N, F] for each Gaussian, in this order: depth, squared depth, normal."""
    columns = []
    if wanted.depth:
        depth = camera.depth(parameters["means"])[:, None]
        columns += [depth, depth * depth] if wanted.spread else [depth]
    if wanted.normals:
        columns.append(facing_normals(parameters, camera))
    return torch.cat(columns, dim=1) if columns else None


def compose(drawn: Drawn, behind: Tensor, wanted: RenderedFeatures) -> Composite:
    """Composite the drawn image over a colour [3] or an image [H, W, 3], and split the features."""
    rgb = drawn.rgb + (1.0 - drawn.alpha)[..., None] * behind
    depth = spread = normals = None
    if wanted.depth:
        total = drawn.features[..., 0]
        depth = total / drawn.alpha.clamp_min(NOTHING)
        spread = drawn.alpha * drawn.features[..., 1] - total * total if wanted.spread else None
    if wanted.normals:
        normals = drawn.features[..., -3:]
    return Composite(rgb, drawn.alpha, depth, spread, normals)
