"""Loss terms: pure functions of images and parameters. Each is a mean, so that weights do not depend on the image size."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..backend import StepSettings
from .ssim import ssim
from .tensors import Composite, GroundTruth, Parameters

NEEDLE = 10.0
"""An axis this many times the next one makes a needle; edges and wires need up to so much."""

SMALLEST_DEPTH = 1e-6


def view_loss(seen: Composite, truth: GroundTruth, settings: StepSettings) -> Tensor:
    """Weighted sum of the terms between the rendering and the photo; terms of weight 0 are left out.

    Pixels that the mask leaves out have no gradient, exactly.
    """
    learned = None if truth.mask is None else truth.mask >= 0.5  # [H, W]
    loss = image_loss(seen.rgb, truth.image, learned, settings.ssim_lambda)
    for weight, term in _view_terms(seen, truth, learned, settings):
        loss = loss + weight * term
    return loss


def _view_terms(seen: Composite, truth: GroundTruth, learned: Tensor | None, settings: StepSettings) -> list[tuple[float, Tensor]]:
    """Weights and values of the terms beyond colour that are asked for and possible with this photo."""
    terms: list[tuple[float, Tensor]] = []
    if settings.alpha_weight and truth.alpha is not None:
        terms.append((settings.alpha_weight, alpha_loss(seen.alpha, truth.alpha, learned)))
    if settings.depth_weight and truth.depth is not None and seen.depth is not None:
        terms.append((settings.depth_weight, depth_loss(seen.depth, truth.depth, learned)))
    if settings.normal_weight and truth.normals is not None and seen.normals is not None:
        terms.append((settings.normal_weight, normal_loss(seen.normals, seen.alpha, truth.normals, learned)))
    if settings.distortion_weight and seen.spread is not None and seen.depth is not None:
        terms.append((settings.distortion_weight, distortion_loss(seen.spread, seen.depth, learned)))
    if settings.transmittance_weight:
        terms.append((settings.transmittance_weight, transmittance_loss(seen.alpha, learned)))
    return terms


def shape_loss(parameters: Parameters, settings: StepSettings) -> Tensor:
    """Regularisation of the Gaussians, independent of the photo."""
    loss = parameters["opacities"].new_zeros(())
    if settings.opacity_regularisation:
        loss = loss + settings.opacity_regularisation * opacity_loss(parameters["opacities"])
    if settings.scale_regularisation:
        loss = loss + settings.scale_regularisation * scale_loss(parameters["scales"])
    if settings.needle_weight:
        loss = loss + settings.needle_weight * needle_loss(parameters["scales"])
    return loss


def image_loss(image: Tensor, truth: Tensor, learned: Tensor | None, ssim_lambda: float) -> Tensor:
    """(1 - λ) L1 + λ (1 - SSIM) of images [H, W, 3] (3D Gaussian Splatting, equation 7).

    Where `learned` [H, W] is false both are what is drawn: windows of SSIM reach across the border and find no difference there.
    """
    if learned is not None:
        drawn = image.detach()
        image, truth = (torch.where(learned[..., None], values, drawn) for values in (image, truth))
    loss = (1 - ssim_lambda) * (image - truth).abs().mean()
    return loss + ssim_lambda * (1 - ssim(image, truth)) if ssim_lambda else loss


def alpha_loss(alpha: Tensor, truth: Tensor, learned: Tensor | None = None) -> Tensor:
    """L1 of coverage [H, W]."""
    return _mean((alpha - truth).abs(), learned)


def depth_loss(depth: Tensor, truth: Tensor, learned: Tensor | None = None) -> Tensor:
    """Relative L1 of expected depth [H, W], so the same in every unit, where the true one is known (not 0) and something is drawn."""
    known = (truth > 0) & (depth > 0)
    return _mean((depth - truth).abs() / truth.clamp_min(SMALLEST_DEPTH), _both(known, learned))


def normal_loss(normals: Tensor, alpha: Tensor, truth: Tensor, learned: Tensor | None = None) -> Tensor:
    """One minus the cosine between normals, where the true ones [H, W, 3] are known (not 0).

    `normals` is the sum of the Gaussians' unit normals along each ray, weighted like their colours, so each Gaussian turns its own
    shortest axis (the same as equation 14 of Huang et al., "2D Gaussian Splatting", 2024, with the true normal for the depth's).
    """
    known = (truth * truth).sum(dim=-1) > 0.25
    return _mean(alpha - (normals * truth).sum(dim=-1), _both(known, learned))


def distortion_loss(spread: Tensor, depth: Tensor, learned: Tensor | None = None) -> Tensor:
    """Variance of depth along each ray [H, W] over the squared depth: large where something floats before or behind the surface.

    The quadratic kin of the distortion of Barron et al., "Mip-NeRF 360", 2022, equation 15, which needs all pairs of samples.
    """
    return _mean(spread / depth.detach().clamp_min(SMALLEST_DEPTH) ** 2, _both(depth > 0, learned))


def transmittance_loss(alpha: Tensor, learned: Tensor | None = None) -> Tensor:
    """4 α (1 - α): 0 for pixels [H, W] that are covered or empty, 1 for those that are half of each."""
    return _mean(4 * alpha * (1 - alpha), learned)


def opacity_loss(logits: Tensor) -> Tensor:
    """Mean opacity, so that what no image needs fades (3DGS-MCMC, equation 10)."""
    return logits.sigmoid().mean()


def scale_loss(log_scales: Tensor) -> Tensor:
    """Mean length of the axes (3DGS-MCMC, equation 10)."""
    return log_scales.exp().mean()


def needle_loss(log_scales: Tensor) -> Tensor:
    """How far the largest axis is beyond NEEDLE times the middle one, as a logarithm; disks, which surfaces need, are free.

    After the anisotropy term of Xie et al., "PhysGaussian", 2024, equation 9, which compares with the smallest axis.
    """
    smallest_first = log_scales.sort(dim=1).values
    return (smallest_first[:, 2] - smallest_first[:, 1] - math.log(NEEDLE)).clamp_min(0).mean()


def _both(known: Tensor, learned: Tensor | None) -> Tensor:
    return known if learned is None else known & learned


def _mean(values: Tensor, chosen: Tensor | None) -> Tensor:
    """Mean over all pixels [H, W] of what the chosen ones hold: a photo of which little is known weighs little."""
    return values.mean() if chosen is None else torch.where(chosen, values, torch.zeros_like(values)).mean()
