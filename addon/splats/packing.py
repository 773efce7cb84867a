"""Gaussians as the attributes of a splat object. Numpy alone: a thread may do it, while Blender answers."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import numpy as np

from ...engine.core.splats.gaussians import Gaussians, drawable
from .attributes import Layer

POSITION, ROTATION, SCALE, BASE = "position", "rotation", "scale", "radiance:base"
WIDTHS = {POSITION: 3, ROTATION: 4, SCALE: 3, BASE: 4}
LOGIT, LOG_SCALE, LENGTH = "splatwright:logit", "splatwright:log_scale", "splatwright:length"
REST = "splatwright:rest"
"""Positions of the points when rotations and scales were written: shows whether Blender has moved the points alone."""
BLURRED_LOG_SCALE = 0.1
"""Logarithms nearer to 0 lose more than a millionth of themselves in a float32 scale."""

HARMONIC = "radiance:sh_{}"
RADIUS = "radius"
TURN = "splatwright:turn"
"""The rotation for shaders: the quaternion's vector over 1 + its number. EEVEE reads no quaternions."""
LARGEST_LOG_SCALE = 80.0  # float32 ends at e^88
SMALLEST_ALPHA = 0.02
"""Where a Gaussian ends. Twice the cost at 1/255, for a difference that is hard to see."""

Layers = dict[str, Layer]


@dataclass(frozen=True)
class Drawing:
    """What the materials of Blender versions without splats of their own are to draw."""

    display: str
    spread: float
    """factor of the radii"""


@dataclass(frozen=True)
class Schema:
    """What this Blender and the scene decide about the attributes; known before a thread packs."""

    base: str
    """type of the attribute of colours and opacities"""
    drawing: Drawing | None
    """None where Blender draws splats itself"""


def pack(gaussians: Gaussians, schema: Schema) -> Layers:
    """Attributes [N] of the Gaussians that can be drawn; as many as there are rows of POSITION."""
    gaussians = drawable(gaussians)
    base = np.concatenate([gaussians.sh0[:, 0], sigmoid(gaussians.opacities)[:, None]], axis=1)
    layers = {
        POSITION: Layer("FLOAT_VECTOR", gaussians.means),
        REST: Layer("FLOAT_VECTOR", gaussians.means),
        ROTATION: Layer("QUATERNION", _normalised(gaussians.quats)),
        SCALE: Layer("FLOAT_VECTOR", _linear(gaussians.scales)),
        BASE: Layer(schema.base, base),
        LOGIT: Layer("FLOAT", gaussians.opacities),
    }
    harmonics = {HARMONIC.format(index): Layer("FLOAT_VECTOR", gaussians.shN[:, index])
                 for index in range(gaussians.shN.shape[1])}
    drawn = {} if schema.drawing is None else pack_drawing(layers[SCALE].rows, base, layers[ROTATION].rows, schema.drawing)
    return layers | harmonics | _digits(gaussians) | drawn


def degree_of(names: Container[str]) -> int:
    """The degree of harmonics of splats with attributes of these names."""
    return next((degree for degree in (3, 2, 1) if HARMONIC.format((degree + 1) ** 2 - 2) in names), 0)


def size_of(layers: Layers) -> int:
    """Bytes of all rows."""
    return sum(layer.rows.nbytes for layer in layers.values())


def pack_drawing(scales: np.ndarray, base: np.ndarray, quats: np.ndarray, drawing: Drawing) -> Layers:
    """The attributes that the materials need, from linear scales [N, 3], colours with opacities [N, 4] and unit quaternions [N, 4]."""
    return {RADIUS: Layer("FLOAT", radii(scales, base[:, 3], drawing.display) * np.float32(drawing.spread)),
            TURN: Layer("FLOAT_VECTOR", turns(quats))}


def radii(scales: np.ndarray, opacities: np.ndarray, display: str) -> np.ndarray:
    """Radius [N] of the spheres that carry the Gaussians, from linear scales [N, 3] and opacities [N].

    SPLATS: where alpha falls to SMALLEST_ALPHA along the longest axis. POINTS: the middle axis, thinner where they are transparent.
    """
    opacities = opacities.clip(SMALLEST_ALPHA, 1.0)
    if display == "POINTS":
        return np.median(scales, axis=1) * opacities
    return scales.max(axis=1, initial=0.0) * np.sqrt(2 * np.log(opacities / SMALLEST_ALPHA))


def turns(quats: np.ndarray) -> np.ndarray:
    """Rotations [N, 3] as shaders read them: u / (1 + w) of the quaternion (w, u) or its equal with w >= 0."""
    return quats[:, 1:] / (quats[:, :1] + np.copysign(np.float32(1.0), quats[:, :1]))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Opacities [N] in float32."""
    return (0.5 + 0.5 * np.tanh(0.5 * logits.astype(np.float64))).astype(np.float32)


def _digits(gaussians: Gaussians) -> Layers:
    """What scales and unit quaternions do not hold of these splats."""
    lengths = _lengths(gaussians.quats)
    scales = {LOG_SCALE: Layer("FLOAT_VECTOR", gaussians.scales)} if (np.abs(gaussians.scales) < BLURRED_LOG_SCALE).any() else {}
    return scales | ({LENGTH: Layer("FLOAT", lengths.astype(np.float32))} if (np.abs(lengths - 1) > 2e-7).any() else {})


def _lengths(quats: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("nk,nk->n", quats, quats, dtype=np.float64))


def _normalised(quats: np.ndarray) -> np.ndarray:
    normalised = np.empty(quats.shape, np.float32)  # the division in float64, its result never as a whole
    return np.divide(quats, _lengths(quats)[:, None], out=normalised, casting="same_kind")


def _linear(scales: np.ndarray) -> np.ndarray:
    linear = np.empty(scales.shape, np.float32)
    return np.exp(np.minimum(scales, LARGEST_LOG_SCALE), out=linear, dtype=np.float64, casting="same_kind")
