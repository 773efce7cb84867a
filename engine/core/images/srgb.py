"""sRGB's curve (IEC 61966-2-1): linear light and the values that displays take."""

from __future__ import annotations

import numpy as np


def linear_from_display(display: np.ndarray) -> np.ndarray:
    """Display values in 0 to 1, of any shape -> linear light, float32."""
    display = np.asarray(display, np.float32)
    return np.where(display <= 0.04045, display / 12.92, ((np.maximum(display, 0.04045) + 0.055) / 1.055) ** 2.4).astype(np.float32)


def display_from_linear(linear: np.ndarray) -> np.ndarray:
    """Linear light of any shape, cut to 0 to 1 -> display values, float32."""
    linear = np.asarray(linear, np.float32).clip(0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055).astype(np.float32)
