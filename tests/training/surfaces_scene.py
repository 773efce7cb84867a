"""A dataset whose label, albedo and normal maps are known exactly: a ball of many colours, whose halves are two objects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.core.cameras.camera import Camera
from engine.core.datasets.dataset import Dataset
from engine.core.datasets.labels import Label, write_labels
from engine.core.datasets.transforms_json import write_transforms
from engine.core.images.png import write_png
from engine.core.images.srgb import display_from_linear
from engine.core.splats.gaussians import Gaussians, rgb_to_sh0
from engine.training.cpu.model import CpuModel
from tests.scenes import speckled_ball, write_ball_dataset

LEFT, RIGHT = 7, 300  # more than a byte holds
LABELS = (Label(LEFT, "Left"), Label(RIGHT, "Right", collection="Balls"))


def albedo_of(means: np.ndarray) -> np.ndarray:
    """Linear colours [N, 3] of places on the ball: patches with sharp borders."""
    return (0.3 + 0.25 * np.sign(np.sin(6 * means))).astype(np.float32)


def labels_of(means: np.ndarray) -> np.ndarray:
    """Numbers [N] of places on the ball."""
    return np.where(means[:, 0] < 0, LEFT, RIGHT)


def drawn(truth: Gaussians, camera: Camera, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values [N, 3], not negative, as the camera sees them on the ball: [H, W, 3], and its alpha [H, W]."""
    model = CpuModel(replace(truth, sh0=rgb_to_sh0(values)[:, None]), 1)
    seen = model.render(camera, 0, (0.0, 0.0, 0.0))
    model.close()
    return seen.rgb, seen.alpha


def write_surface_dataset(folder: Path, views: int = 16, size: int = 64) -> tuple[Dataset, Gaussians]:
    """A dataset with all maps, and the ball that it shows."""
    truth = replace(speckled_ball(4000), scales=np.full((4000, 3), np.log(0.04), np.float32))
    dataset = write_ball_dataset(folder, views, size, truth=truth)
    made = []
    for view in dataset.views:
        stem = view.image.stem
        paths = {kind: folder / kind / f"{stem}{'.npy' if kind == 'normals' else '.png'}" for kind in ("labels", "albedo", "normals")}
        for path in paths.values():
            path.parent.mkdir(exist_ok=True)
        left, alpha = drawn(truth, view.camera, np.repeat((labels_of(truth.means) == LEFT)[:, None], 3, axis=1).astype(np.float32))
        write_png(paths["labels"], np.where(alpha < 0.5, 0, np.where(left[..., 0] > 0.5 * alpha, LEFT, RIGHT)).astype(np.uint16))
        albedo, _ = drawn(truth, view.camera, albedo_of(truth.means))
        write_png(paths["albedo"], np.rint(65535 * display_from_linear(albedo)).astype(np.uint16))
        shifted, alpha = drawn(truth, view.camera, truth.means + 2)
        normals = shifted - 2 * alpha[..., None]
        np.save(paths["normals"], normals.astype(np.float32))
        made.append(replace(view, **paths))
    write_labels(folder / "labels.json", LABELS)
    dataset = replace(dataset, views=tuple(made), labels_file=folder / "labels.json")
    write_transforms(dataset)
    return dataset, truth
