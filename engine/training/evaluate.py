"""Quality on held-out views: PSNR and SSIM."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from .backend import Model, Target

BLACK = (0.0, 0.0, 0.0)
SSIM_RADIUS, SSIM_SIGMA = 5, 1.5


@dataclass(frozen=True)
class Score:
    """Means over the views that were measured."""

    psnr: float
    ssim: float
    views: int


@dataclass(frozen=True)
class ViewScore:
    """PSNR in dB and SSIM of one view."""

    name: str
    psnr: float
    ssim: float


def evaluate(model: Model, targets: Iterable[Target], sh_degree: int, tick: Callable[[], None] = lambda: None) -> Score | None:
    """Render every target's camera over black and compare what its mask leaves in. None without targets."""
    return mean_score(evaluate_each(model, (("", target) for target in targets), sh_degree, tick))


def evaluate_each(model: Model, named: Iterable[tuple[str, Target]], sh_degree: int,
                  tick: Callable[[], None] = lambda: None) -> list[ViewScore]:
    """The score of every target by the name of its view; those whose mask hides everything have none."""
    scores = []
    for name, target in named:
        tick()
        if target.mask is None or target.mask.any():
            scores.append(ViewScore(name, *model.score(target, sh_degree)))
    return scores


def exposure_corrected(model: Model, target: Target, sh_degree: int) -> float | None:
    """PSNR in dB of the right half of what a camera sees, after an affine map of its colours that is fitted on the left half alone.

    For trainings that gave each photo an exposure: a held-out photo has none. None where the mask leaves nothing of a half.
    """
    image, truth = compared(model, target, sh_degree)
    kept = np.ones(image.shape[:2], bool) if target.mask is None else target.mask >= 128
    half = image.shape[1] // 2
    left, right = (np.arange(image.shape[1]) < half) & kept, (np.arange(image.shape[1]) >= half) & kept
    if not (left.any() and right.any()):
        return None
    def affine(pixels: np.ndarray) -> np.ndarray:
        return np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)

    change, *_ = np.linalg.lstsq(affine(image[left].astype(float)), truth[left].astype(float), rcond=None)
    return psnr((affine(image[right].astype(float)) @ change).clip(0, 1), truth[right])


def mean_score(scores: list[ViewScore]) -> Score | None:
    """The mean of PSNR and of SSIM over the views; None without any."""
    if not scores:
        return None
    return Score(float(np.mean([score.psnr for score in scores])), float(np.mean([score.ssim for score in scores])), len(scores))


def compared(model: Model, target: Target, sh_degree: int) -> tuple[np.ndarray, np.ndarray]:
    """What a camera sees over black and the truth, float32 [H, W, 3] in [0, 1]; equal where the target's mask hides the image."""
    image = model.render(target.camera, sh_degree, BLACK).rgb.clip(0.0, 1.0)
    truth = composed(target.image, BLACK)
    return (image if target.mask is None else np.where(target.mask[..., None] >= 128, image, truth)), truth


def composed(image: np.ndarray, background: tuple[float, float, float]) -> np.ndarray:
    """uint8 [H, W, 3 or 4] with straight alpha -> float32 [H, W, 3] in [0, 1] over the background."""
    color = image[..., :3].astype(np.float32) / 255.0
    if image.shape[2] == 3:
        return color
    alpha = image[..., 3:].astype(np.float32) / 255.0
    return color * alpha + np.asarray(background, np.float32) * (1.0 - alpha)


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of images in [0, 1]; 100 for equal ones."""
    return decibels(float(np.mean((image.astype(np.float64) - truth) ** 2)))


def decibels(error: float) -> float:
    """PSNR in dB of a mean squared error of images in [0, 1]; at most 100, which stands for equal ones."""
    return min(100.0, -10.0 * math.log10(error)) if error > 0 else 100.0


def ssim(image: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity of images [H, W, 3] in [0, 1].

    Wang et al. 2004: Gaussian window of 11 px and sigma 1.5, K1 0.01, K2 0.03, zeros beyond the border, mean over channels.
    """
    a, b = image.astype(np.float64), truth.astype(np.float64)
    mean_a, mean_b = _blur(a), _blur(b)
    var_a, var_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    numerator = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float((numerator / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def masked_ssim(whole: float, share: float) -> float:
    """Similarity of the pixels that a mask keeps, a `share` of all, from that of the whole image with the others made equal."""
    return 1.0 - (1.0 - whole) / share


def _blur(x: np.ndarray) -> np.ndarray:
    """Separable Gaussian window over the first two axes."""
    offsets = np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1)
    weights = np.exp(-(offsets**2) / (2 * SSIM_SIGMA**2))
    weights /= weights.sum()
    for axis in (0, 1):
        padding = [(SSIM_RADIUS, SSIM_RADIUS) if i == axis else (0, 0) for i in range(x.ndim)]
        padded = np.pad(x, padding)
        length = x.shape[axis]
        x = np.sum([w * padded.take(range(i, i + length), axis) for i, w in enumerate(weights)], axis=0)
    return x
