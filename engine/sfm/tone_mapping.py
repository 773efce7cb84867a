"""HDR video (PQ or HLG in BT.2020) as sRGB images: values up to the knee are kept, highlights are compressed.

Steps: BT.2020's matrix (non-constant luminance) to R'G'B'; PQ's or HLG's curve to light on the display (SMPTE ST 2084; ITU-R BT.2100,
HLG at 1000 cd/m²); light relative to reference white, 203 cd/m² (ITU-R BT.2408); luminance above the knee bent so that 1000 cd/m²
becomes white; BT.709's primaries (ITU-R BT.2087), clipped; sRGB's curve (IEC 61966-2-1).
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np

Transfer = Literal["PQ", "HLG"]

WHITE, PEAK = 203.0, 1000.0  # cd/m²
KNEE = 0.5
"""Luminance, of reference white, up to which nothing changes."""

LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)  # of BT.2020
TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
BAND_ROWS = 128
"""Rows that are mapped at a time: what keeps memory small."""


def tone_mapped(yuv: np.ndarray, transfer: Transfer, full_range: bool) -> np.ndarray:
    """10-bit Y'CbCr [H, W, 3] uint16 of BT.2020 -> sRGB uint8 [H, W, 3]."""
    out = np.empty(yuv.shape, np.uint8)
    for row in range(0, len(yuv), BAND_ROWS):
        band = slice(row, row + BAND_ROWS)
        out[band] = _encoded(_rolled_off(_light(_rgb(yuv[band], full_range), transfer)) @ TO_BT709.T)
    return out


def _rgb(yuv: np.ndarray, full_range: bool) -> np.ndarray:
    """Non-linear R'G'B' [H, W, 3] float32 in 0 to 1 (ITU-R BT.2020, tables 4 and 5)."""
    dark, luma, chroma = (0, 1023, 1023) if full_range else (64, 876, 896)
    y = (yuv[..., 0].astype(np.float32) - dark) / luma
    cb, cr = ((yuv[..., channel].astype(np.float32) - 512) / chroma for channel in (1, 2))
    return np.stack([y + 1.4746 * cr, y - 0.16455 * cb - 0.57135 * cr, y + 1.8814 * cb], axis=2).clip(0, 1)


def _light(rgb: np.ndarray, transfer: Transfer) -> np.ndarray:
    """Light on the display relative to reference white, [H, W, 3] float32."""
    light = _curve(transfer)[(rgb * 4095 + 0.5).astype(np.uint16)]
    if transfer == "HLG":  # BT.2100's opto-optical transfer: the display's gamma of 1.2 acts on luminance
        light *= np.maximum(light @ LUMINANCE, 1e-6)[..., None] ** 0.2 * np.float32(PEAK / WHITE)
    return light


@cache
def _curve(transfer: Transfer) -> np.ndarray:
    """4096 values of PQ's curve, relative to reference white, or of HLG's, as scene light in 0 to 1."""
    signal = np.linspace(0, 1, 4096)
    if transfer == "HLG":
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12).astype(np.float32)
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = signal ** (1 / m2)
    return (10_000 / WHITE * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)).astype(np.float32)


def _rolled_off(light: np.ndarray) -> np.ndarray:
    """Colours [H, W, 3] with the luminance of highlights bent below 1; their hue stays."""
    luminance = np.maximum(light @ LUMINANCE, 1e-6)
    reach = (PEAK / WHITE - KNEE) / (1 - KNEE)
    above = np.maximum(luminance - KNEE, 0) / (PEAK / WHITE - KNEE)
    bent = KNEE + (1 - KNEE) * above * reach / (1 + above * (reach - 1))
    return light * np.where(luminance > KNEE, bent / luminance, 1)[..., None].astype(np.float32)


def _encoded(linear: np.ndarray) -> np.ndarray:
    """Linear values, 0 to 1, as sRGB bytes."""
    return _srgb()[(linear.clip(0, 1) * 65535).astype(np.uint16)]


@cache
def _srgb() -> np.ndarray:
    linear = np.linspace(0, 1, 65536)
    return np.rint(255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)).astype(np.uint8)
