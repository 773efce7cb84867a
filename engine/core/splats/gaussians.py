"""The splats themselves, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

SH_C0 = 0.28209479177387814
"""The constant spherical harmonic: colour = 0.5 + SH_C0 * sh0."""

SMALLEST_LOG_SCALE = -30.0
LARGEST_LOG_SCALE = 80.0
"""Sizes whose squares and products arithmetic can still hold; float32 ends at e^88."""

FARTHEST = 1e30
"""Metres along an axis: what is farther away is damage, whose square 32 bits cannot hold."""

LARGEST_LOGIT = 30.0
"""What an infinite logit (opacity of exactly 1 or 0, as some converters write it) becomes."""


@dataclass(frozen=True)
class Gaussians:
    """N Gaussians in Blender's world (Z-up, metres), float32, stored as trainers store them.

    scales are natural logarithms, opacities are logits, quats are w x y z and need not be normalised,
    shN holds the coefficients of degree 1 and up (0, 3, 8 or 15 of them).
    """

    means: np.ndarray  # [N, 3]
    quats: np.ndarray  # [N, 4]
    scales: np.ndarray  # [N, 3]
    opacities: np.ndarray  # [N]
    sh0: np.ndarray  # [N, 1, 3]
    shN: np.ndarray  # [N, K-1, 3]

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        """Degree of the spherical harmonics, 0 to 3."""
        return round((1 + self.shN.shape[1]) ** 0.5) - 1

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array by its name, in the order of declaration."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def take(self, rows: np.ndarray | slice) -> Gaussians:
        """Some of the Gaussians: an index array, a mask or a slice."""
        return Gaussians(**{name: array[rows] for name, array in self.arrays().items()})

    def with_sh_degree(self, degree: int) -> Gaussians:
        """The same Gaussians with their harmonics cut off, or padded with zeros, to `degree`."""
        count = (degree + 1) ** 2 - 1
        shN = np.zeros((len(self), count, 3), np.float32)
        kept = min(count, self.shN.shape[1])
        shN[:, :kept] = self.shN[:, :kept]
        return Gaussians(**{**self.arrays(), "shN": shN})

    def finite_rows(self) -> np.ndarray:
        """Mask [N] of the rows without a NaN or an infinity, and not farther away than FARTHEST."""
        good = (np.abs(self.means) <= FARTHEST).all(axis=1)
        for array in self.arrays().values():
            good &= np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
        return good


def concatenate(parts: list[Gaussians]) -> Gaussians:
    """Join several sets into one, padding the harmonics to the highest degree among them."""
    degree = max(part.sh_degree for part in parts)
    padded = [part.with_sh_degree(degree).arrays() for part in parts]
    return Gaussians(**{name: np.concatenate([part[name] for part in padded]) for name in padded[0]})


def drawable(gaussians: Gaussians) -> Gaussians:
    """The rows that a viewer can draw, without NaN, infinities and absurd distances; the same object when nothing is wrong.

    An opacity of exactly 0 or 1 (infinite logit), a scale of 0 or beyond float's range and a quaternion of 0 are replaced by valid
    values; other rows are dropped.
    """
    mended = _mended(gaussians)
    good = mended.finite_rows()
    return mended if good.all() else mended.take(good)


def drawable_rows(gaussians: Gaussians) -> np.ndarray:
    """Mask [N] of the rows that `drawable` keeps."""
    return _mended(gaussians).finite_rows()


def _mended(gaussians: Gaussians) -> Gaussians:
    changed: dict[str, np.ndarray] = {}
    opacities, scales, quats = gaussians.opacities, gaussians.scales, gaussians.quats
    if np.isinf(opacities).any():
        changed["opacities"] = np.where(np.isinf(opacities), np.copysign(np.float32(LARGEST_LOGIT), opacities), opacities)
    if (scales < SMALLEST_LOG_SCALE).any() or (scales > LARGEST_LOG_SCALE).any():
        limited = scales.clip(SMALLEST_LOG_SCALE, LARGEST_LOG_SCALE)
        changed["scales"] = np.where(np.isposinf(scales), scales, limited).astype(np.float32)
    turned = np.asarray(quats.any(axis=1))
    if not turned.all():
        changed["quats"] = np.where(turned[:, None], quats, np.array([1, 0, 0, 0], np.float32))
    return replace(gaussians, **changed) if changed else gaussians


def rgb_to_sh0(rgb: np.ndarray) -> np.ndarray:
    """Display colours in [0, 1] -> constant harmonic."""
    return ((rgb - 0.5) / SH_C0).astype(np.float32)


def sh0_to_rgb(sh0: np.ndarray) -> np.ndarray:
    """Constant harmonic -> display colours, not clamped."""
    return (sh0 * SH_C0 + 0.5).astype(np.float32)
