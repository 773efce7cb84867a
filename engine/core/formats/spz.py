"""SPZ, Niantic's compressed splats: what the attributes mean. spz_container.py packs them into a file.

Places are fixed-point numbers of 24 bits, log scales sixteenths, opacities and colours bytes, quaternions three components of
9 bits and sign (in versions 1 and 2 of 8 bits, w left out), harmonics bytes of which the last bits are zero. Version 1, which was
never released, has places in half precision.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import UserError
from ..splats.axes import Axes, AxesOrAuto
from ..splats.gaussians import Gaussians
from .quantization import from_smallest_three, logits_of_bytes, opacity, pack_10_10_10_2, smallest_three, unpack_10_10_10_2, whole
from .splat_file import SplatFile, StoredSplats, from_blender, to_blender
from .spz_container import SpzStreams, pack_spz, unpack_spz
from .strange_values import ROUGH, far_lost, size_lost, spread_of, without_far

COLOR_STEP = 0.15
"""Colours beyond 0 ... 1 have room too: a byte is 255 · (0.15 · sh0 + 0.5)."""

HARMONIC_STEPS = (8, 16)
"""Steps between the bytes of degree 1 and of the degrees above, as other writers choose them: zero bits compress well."""

MOST_FRACTIONAL_BITS = 20
USUAL_FRACTIONAL_BITS = 12
LARGEST_FIXED = 2**23 - 1
FINE_REACH = 2.0 ** (22 - USUAL_FRACTIONAL_BITS)
"""Up to here places have their usual bits, whoever lies how far."""

LEAST_LOG_SCALE, MOST_LOG_SCALE = -10.0, -10 + 255 / 16
SHORT_WIDTH = np.float32(0.5**0.5 / 511)
XYZW, WXYZ = [1, 2, 3, 0], [3, 0, 1, 2]
OWN_AXES = "OPENGL"


def read_spz(path: Path, axes: AxesOrAuto = "AUTO") -> SplatFile:
    """Read SPZ version 1 to 4 into Blender's world.

    AUTO takes the axes that the file names (SPZ_ADOBE_coordinate_system), else the format's own, which are OpenGL's.
    UserError in one sentence when it is malformed.
    """
    streams = unpack_spz(Path(path))
    notes = ("The harmonics of degree 4 were left out.",) if streams.sh.shape[1] > 15 else ()
    stored = StoredSplats(
        _gaussians(streams), streams.axes or OWN_AXES, streams.antialiased, notes=notes, axes_guessed=not streams.axes,
    )
    return to_blender(stored, axes)


def write_spz(
    path: Path, gaussians: Gaussians, axes: Axes = "SUPERSPLAT", antialiased: bool = False, version: Literal[3, 4] = 4,
) -> None:
    """Write SPZ in one piece; the file names its axes. Row order is kept.

    Version 3 always has the format's own axes, for the readers that it is written for do not look at what a file says.
    The few splats far beyond all others are left out: all places share one grid. UserError when none lies within 24 bits.
    """
    axes = OWN_AXES if version == 3 else axes
    gaussians = _within_reach(from_blender(gaussians, axes))
    bits = _fractional_bits(gaussians.means)
    scales = (gaussians.scales.clip(LEAST_LOG_SCALE, MOST_LOG_SCALE) - LEAST_LOG_SCALE) * 16
    pack_spz(Path(path), SpzStreams(
        version, bits, antialiased, axes, positions=_fixed(gaussians.means, bits), alphas=_bytes(opacity(gaussians.opacities) * 255),
        colors=_bytes(gaussians.sh0[:, 0] * (COLOR_STEP * 255) + 127.5), scales=_bytes(scales),
        rotations=_packed_quats(gaussians.quats), sh=_harmonic_bytes(gaussians.shN),
    ))


def lost_in_spz(gaussians: Gaussians) -> tuple[str, ...]:
    """Sentences about what write_spz leaves out or changes."""
    kept = _reached(gaussians)
    far = far_lost("SPZ", gaussians) if len(kept) < len(gaussians) else ()
    sizes = size_lost("SPZ", gaussians.scales, LEAST_LOG_SCALE, MOST_LOG_SCALE)
    if not len(kept):
        return (*far, *sizes)
    return (*far, *sizes, *_rounding_lost(kept.means))


def _rounding_lost(means: np.ndarray) -> tuple[str, ...]:
    """A sentence where places are so far from the origin that too few bits are left for their differences."""
    bits = _fractional_bits(means)
    error = 2.0 ** -(bits + 1)
    if bits >= USUAL_FRACTIONAL_BITS or error <= 10 * ROUGH * spread_of(means).radius:
        return ()
    return (f"SPZ counts from the origin, from which these splats lie far: places were rounded by up to {1000 * error:.3g} mm "
            "(where a unit is a metre).",)


def _within_reach(gaussians: Gaussians) -> Gaussians:
    """The splats that the file will hold; UserError when that is none of them."""
    kept = _reached(gaussians)
    if len(gaussians) and not len(kept):
        largest = float(np.abs(gaussians.means).max())
        raise UserError(f"Splats lie {largest:.0f} m from the origin, further than SPZ can hold.", "Move them nearer, or export as PLY.",
                        "spz.far", largest=largest)
    return kept


def _reached(gaussians: Gaussians) -> Gaussians:
    """Without the few that would cost all others their precision, and without what 24 bits cannot hold at all."""
    if float(np.abs(gaussians.means).max(initial=0)) <= FINE_REACH:
        return gaussians
    gaussians = without_far(gaussians)
    reached = (np.abs(gaussians.means) < LARGEST_FIXED).all(axis=1)
    return gaussians if reached.all() else gaussians.take(reached)


def _gaussians(streams: SpzStreams) -> Gaussians:
    quats = _first_three(streams.rotations) if streams.version <= 2 else _quats(streams.rotations)
    means = _halves(streams.positions) if streams.version == 1 else _floating(streams.positions, streams.fractional_bits)
    return Gaussians(
        means=means, quats=quats, opacities=logits_of_bytes(streams.alphas),
        scales=streams.scales / np.float32(16) - 10, sh0=((streams.colors / np.float32(255) - 0.5) / COLOR_STEP)[:, None],
        shN=(streams.sh[:, :15].astype(np.float32) - 128) / 128,
    )


def _fractional_bits(means: np.ndarray) -> int:
    """12 bits (a quarter of a millimetre) for scenes of metres, more for smaller ones, fewer where places would not fit."""
    largest = float(np.abs(means).max(initial=0))
    size = int(np.ceil(np.log2(max(largest, 1e-6))))
    return max(0, min(22 - size, USUAL_FRACTIONAL_BITS + max(0, -size), MOST_FRACTIONAL_BITS))


def _fixed(means: np.ndarray, bits: int) -> np.ndarray:
    """Signed numbers of 24 bits, little-endian: uint8 [N, 3, 3]."""
    numbers = np.rint(means.astype(np.float64) * 2**bits).astype("<i4")
    return numbers.view(np.uint8).reshape(len(means), 3, 4)[:, :, :3]


def _floating(positions: np.ndarray, bits: int) -> np.ndarray:
    """The inverse of _fixed: float32 [N, 3]."""
    padded = np.zeros((len(positions), 3, 4), np.uint8)
    padded[:, :, 1:] = positions
    return (padded.view("<i4")[:, :, 0] >> 8).astype(np.float32) / np.float32(2**bits)


def _halves(positions: np.ndarray) -> np.ndarray:
    """Version 1: half-precision numbers in pairs of bytes [N, 3, 2] -> float32 [N, 3]."""
    return np.ascontiguousarray(positions).view("<f2")[:, :, 0].astype(np.float32)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _packed_quats(quats: np.ndarray) -> np.ndarray:
    """uint8 [N, 4]: the index of the largest component of x y z w, then sign and 9 bits of each other."""
    largest, others = smallest_three(quats[:, XYZW])
    fields = whole(np.abs(others) / SHORT_WIDTH, 511) | (others < 0).astype(np.uint32) << 9
    return pack_10_10_10_2(largest, fields).astype("<u4").view(np.uint8).reshape(-1, 4)


def _quats(rotations: np.ndarray) -> np.ndarray:
    """The inverse of _packed_quats: w x y z [N, 4]."""
    largest, fields = unpack_10_10_10_2(np.ascontiguousarray(rotations).view("<u4")[:, 0])
    others = (fields & 511).astype(np.float32) * np.where(fields >> 9, -SHORT_WIDTH, SHORT_WIDTH)
    return from_smallest_three(largest, others)[:, WXYZ]


def _first_three(rotations: np.ndarray) -> np.ndarray:
    """Version 2: x y z in bytes [N, 3], w positive -> w x y z [N, 4]."""
    xyz = rotations / np.float32(127.5) - 1
    w = np.sqrt(np.maximum(0, 1 - np.einsum("nk,nk->n", xyz, xyz)))
    return np.concatenate([w[:, None], xyz], axis=1)


def _harmonic_bytes(shN: np.ndarray) -> np.ndarray:
    """uint8 [N, K-1, 3], rounded to the steps of their degree; zero is one of them."""
    steps = np.where(np.arange(shN.shape[1]) < 3, *HARMONIC_STEPS)[:, None].astype(np.float32)
    return ((np.floor((np.rint(shN * 128) + 128 + steps // 2) / steps)) * steps).clip(0, 255).astype(np.uint8)
