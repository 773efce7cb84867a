"""Numbers in few bits, as compressed splat formats hold them."""

from __future__ import annotations

import numpy as np

SURE = 1e-6
"""Opacities in whole bytes are kept this far from 0 and 1, whose logits are infinite."""

OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
"""By the index of a quaternion's largest component: the three others, in order."""


def whole(values: np.ndarray, largest: int) -> np.ndarray:
    """Rounded to 0 ... largest, as uint32."""
    return np.rint(values).clip(0, largest).astype(np.uint32)


def opacity(logits: np.ndarray) -> np.ndarray:
    """Logits [N] -> opacities in [0, 1], float32."""
    return np.float32(0.5) + np.float32(0.5) * np.tanh(np.float32(0.5) * logits)


def logits_of_bytes(alphas: np.ndarray) -> np.ndarray:
    """Opacities as uint8 [N] -> logits [N], all finite."""
    levels = (np.arange(256) / 255).clip(SURE, 1 - SURE)
    return np.log(levels / (1 - levels)).astype(np.float32)[alphas]


def smallest_three(quats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the largest component [N], and the three others [N, 3] of the unit quaternion whose largest is positive."""
    unit = quats / np.sqrt(np.einsum("nk,nk->n", quats, quats))[:, None]
    largest = np.abs(unit).argmax(axis=1)
    negative = np.take_along_axis(unit, largest[:, None], 1) < 0
    return largest, np.take_along_axis(unit, OTHERS[largest], 1) * np.where(negative, np.float32(-1), np.float32(1))


def from_smallest_three(largest: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The inverse of smallest_three: unit quaternions [N, 4], float32."""
    quats = np.empty((len(others), 4), np.float32)
    np.put_along_axis(quats, OTHERS[largest], others.astype(np.float32), 1)
    missing = np.sqrt(np.maximum(0.0, 1.0 - np.einsum("nk,nk->n", others, others)))
    np.put_along_axis(quats, largest[:, None], missing.astype(np.float32)[:, None], 1)
    return quats


def pack_10_10_10_2(largest: np.ndarray, fields: np.ndarray) -> np.ndarray:
    """uint32 [N]: two bits for the index of the largest component, ten for each of `fields` [N, 3]."""
    first, second, third = fields.astype(np.uint32).T
    return largest.astype(np.uint32) << 30 | first << 20 | second << 10 | third


def unpack_10_10_10_2(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of pack_10_10_10_2: indices [N] and fields [N, 3]."""
    fields = np.stack([packed >> 20 & 1023, packed >> 10 & 1023, packed & 1023], axis=1)
    return (packed >> 30).astype(np.intp), fields
