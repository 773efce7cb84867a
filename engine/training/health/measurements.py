"""One measurement of a training: parameters, moments, a sample of the Gaussians, and a few views at a quarter of the size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.splats.gaussians import Gaussians
from ..backend import Model, ParameterHealth, StepSettings, Target
from ..data.image_store import Photos
from ..evaluate import BLACK, composed, psnr, ssim

REDUCTION = 4
SAMPLE = 10_000
"""Gaussians that a measurement reads."""

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Weights of red, green and blue in brightness (ITU-R BT.709)."""


@dataclass(frozen=True)
class ViewSample:
    """One view's rendering beside its photo, both over black; only what the mask leaves in."""

    render: np.ndarray  # [N, 3] float32, clamped to [0, 1]
    truth: np.ndarray  # [N, 3] float32
    similarity: float  # SSIM of the whole picture; NaN where it was not asked for
    alpha: float  # mean opacity of what is drawn

    @property
    def l1(self) -> float:
        """Mean absolute difference."""
        return float(np.abs(self.render - self.truth).mean())

    @property
    def psnr(self) -> float:
        """In dB."""
        return psnr(self.render, self.truth)

    @property
    def lumas(self) -> tuple[float, float]:
        """Mean brightness of the rendering and of the photo."""
        return float((self.render @ LUMA).mean()), float((self.truth @ LUMA).mean())


@dataclass(frozen=True)
class Measurements:
    """One measurement of a training."""

    step: int
    count: int
    parameter_health: dict[str, ParameterHealth]
    settings: StepSettings
    sample: Gaussians
    views: tuple[ViewSample, ...]

    @property
    def alpha(self) -> float:
        """Mean opacity of what is drawn."""
        return float(np.mean([view.alpha for view in self.views])) if self.views else math.nan


def sampled_targets(photos: Photos, most: int) -> tuple[Target, ...]:
    """The reduced targets of at most so many views, spread evenly, without those whose mask hides all."""
    rows = np.unique(np.linspace(0, len(photos) - 1, min(most, len(photos))).astype(int)) if len(photos) else []
    found = (photos.at(int(row), REDUCTION) for row in rows)
    return tuple(target for target in found if target.mask is None or (target.mask >= 128).any())


def sample_view(model: Model, target: Target, sh_degree: int, with_similarity: bool = False, reduction: int = REDUCTION) -> ViewSample:
    """Render a target's camera over black, beside its photo."""
    seen = model.render(target.camera, sh_degree, BLACK, reduction)
    render, truth = seen.rgb.clip(0.0, 1.0), composed(target.image, BLACK)
    similarity = ssim(render, truth) if with_similarity else math.nan
    kept = np.ones(render.shape[:2], bool) if target.mask is None else target.mask >= 128
    return ViewSample(render[kept], truth[kept], similarity, float(seen.alpha[kept].mean()))


def mean_psnr(views: Sequence[ViewSample]) -> float:
    """In dB; NaN without views."""
    return float(np.mean([view.psnr for view in views])) if views else math.nan


def measure_health(model: Model, targets: Sequence[Target], step: int, settings: StepSettings) -> Measurements:
    """Take one measurement. `step` steps are done, the last of them with `settings`."""
    views = tuple(sample_view(model, target, settings.sh_degree) for target in targets)
    return Measurements(step, model.count, model.parameter_health(), settings, model.sample(SAMPLE), views)
