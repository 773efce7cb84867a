"""Tiny scenes made on the spot: Gaussians, cameras around them, and datasets of their renderings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.core.cameras.camera import Camera
from engine.core.datasets.dataset import Dataset, PointCloud, View, held_out_names
from engine.core.datasets.transforms_json import write_transforms
from engine.core.images.png import write_png
from engine.core.splats.gaussians import Gaussians, rgb_to_sh0, sh0_to_rgb
from engine.training.cpu.model import CpuModel


def colored_ball(count: int = 400, seed: int = 0, sh_degree: int = 0) -> Gaussians:
    """Small opaque Gaussians on a sphere of radius 1, coloured by direction."""
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    colors = 0.5 + 0.4 * np.sign(np.sin(4 * directions))
    return Gaussians(
        means=directions.astype(np.float32),
        quats=rng.standard_normal((count, 4)).astype(np.float32),
        scales=np.log(rng.uniform(0.06, 0.16, (count, 3))).astype(np.float32),
        opacities=np.full(count, 3.0, np.float32),
        sh0=rgb_to_sh0(colors)[:, None],
        shN=(0.1 * rng.standard_normal((count, (sh_degree + 1) ** 2 - 1, 3))).astype(np.float32),
    )


def look_at(position: np.ndarray, target: np.ndarray = np.zeros(3)) -> np.ndarray:  # noqa: B008
    """camera_to_world [4, 4] in Blender's convention, Z up."""
    back = position - target
    back = back / np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
    matrix[:3, 3] = position
    return matrix


def ring_cameras(count: int, size: int = 64, distance: float = 4.0) -> list[Camera]:
    """Cameras around the origin at changing heights."""
    cameras = []
    for index in range(count):
        angle = 2 * np.pi * index / count
        position = distance * np.array([np.cos(angle), np.sin(angle), 0.4 * np.sin(3 * angle)])
        cameras.append(Camera(size, size, 1.4 * size, 1.4 * size, size / 2, size / 2, look_at(position)))
    return cameras


def speckled_ball(count: int = 3000, seed: int = 0) -> Gaussians:
    """A ball of small specks, finely patterned and the same from no two sides."""
    rng = np.random.default_rng(seed)
    ball = colored_ball(count, seed)
    pattern = np.sign(np.sin(5 * ball.means @ np.array([[1.0, 0.4, -0.3], [-0.2, 1.3, 0.5], [0.6, -0.1, 0.8]]) + [0.3, 1.1, 2.0]))
    colors = 0.5 + 0.25 * pattern + rng.uniform(-0.2, 0.2, (count, 3))
    scales = np.log(rng.uniform(0.015, 0.04, (count, 3))).astype(np.float32)
    return replace(ball, scales=scales, sh0=rgb_to_sh0(colors)[:, None])


def write_ball_dataset(folder: Path, views: int = 16, size: int = 64, alpha: bool = True, truth: Gaussians | None = None) -> Dataset:
    """Render the ball, or other Gaussians, from a ring of cameras into a dataset folder with start points."""
    truth = truth or colored_ball()
    model = CpuModel(truth, 1)
    names = [f"view_{index:03d}.png" for index in range(views)]
    held_out = held_out_names(names)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    made = []
    for name, camera in zip(names, ring_cameras(views, size), strict=True):
        write_png(folder / "images" / name, _picture(model, camera, alpha))
        made.append(View(name, folder / "images" / name, camera, name in held_out))
    model.close()
    colors = (sh0_to_rgb(truth.sh0[:, 0]).clip(0, 1) * 255).astype(np.uint8)
    points = PointCloud(truth.means + np.float32(0.02), colors)
    dataset = Dataset(folder, tuple(made), points)
    write_transforms(dataset)
    return dataset


def _picture(model: CpuModel, camera: Camera, alpha: bool) -> np.ndarray:
    """uint8 [H, W, 4 or 3]: what the camera sees, with straight alpha or over black."""
    seen = model.render(camera, 0, (0.0, 0.0, 0.0))
    if not alpha:
        return (seen.rgb.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    straight = seen.rgb / np.maximum(seen.alpha[..., None], 1e-6)
    return (np.concatenate([straight, seen.alpha[..., None]], axis=2).clip(0, 1) * 255 + 0.5).astype(np.uint8)
