"""What the built-in engine's steps are measured on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from engine.core.cameras.camera import Camera
from engine.core.splats.gaussians import Gaussians
from engine.training import schedule
from engine.training.backend import StepSettings, Target
from tests.scenes import look_at

RATES = {"means": 1.6e-6, "quats": 1e-4, "scales": 5e-5, "opacities": 5e-4, "sh0": 2.5e-5, "shN": 1e-6}
SETTINGS = StepSettings(RATES, 3, (0.0, 0.0, 0.0), 0.2, 0.0, 0.0, 0.0, 1, 0)
if hasattr(schedule, "SSIM_STRIDE"):  # versions before it compared every row
    SETTINGS = replace(SETTINGS, ssim_stride=schedule.SSIM_STRIDE)
VIEWS = 8


def sphere_and_ground(count: int) -> Gaussians:
    """Half of the Gaussians on a sphere, half on a disk below, sized by their spacing: heavy overlap, like a trained scene."""
    rng = np.random.default_rng(0)
    half = count // 2
    sphere = rng.standard_normal((half, 3))
    sphere *= 0.8 * (1 + 0.02 * rng.standard_normal((half, 1))) / np.linalg.norm(sphere, axis=1, keepdims=True)
    radius, angle = 2 * np.sqrt(rng.random(count - half)), 2 * np.pi * rng.random(count - half)
    disk = np.stack([radius * np.cos(angle), radius * np.sin(angle), -0.8 + 0.02 * rng.standard_normal(count - half)], axis=1)
    spacing = math.sqrt((4 * np.pi * 0.64 + np.pi * 4) / count)
    return Gaussians(
        means=np.concatenate([sphere, disk]).astype(np.float32),
        quats=rng.standard_normal((count, 4)).astype(np.float32),
        scales=(math.log(0.8 * spacing) + 0.4 * rng.standard_normal((count, 3))).astype(np.float32),
        opacities=(1.5 * rng.standard_normal(count)).astype(np.float32),
        sh0=(0.7 * rng.standard_normal((count, 1, 3))).astype(np.float32),
        shN=(0.1 * rng.standard_normal((count, 15, 3))).astype(np.float32),
    )


def cameras(size: int) -> list[Camera]:
    """Square cameras on a ring."""
    angles = np.linspace(0, 2 * np.pi, VIEWS, endpoint=False)
    return [Camera(size, size, 1.1 * size, 1.1 * size, size / 2, size / 2, look_at(np.array([3 * np.cos(a), 3 * np.sin(a), 1.2])))
            for a in angles]


def targets(size: int) -> list[Target]:
    """Images of noise, which cost as much as any."""
    rng = np.random.default_rng(1)
    return [Target(camera, rng.integers(0, 256, (size, size, 3), np.uint8)) for camera in cameras(size)]
