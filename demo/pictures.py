"""Pictures of a training to look at: contact sheet, truth beside render, curves."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from engine.core.datasets.dataset import Dataset
from engine.core.protocol.events import Evaluated, Event, Progress
from engine.evaluation.held_out import held_out_for
from engine.evaluation.scene import opened
from engine.training.evaluate import composed, psnr

GREY = (0.5, 0.5, 0.5)
THUMBNAIL = 100
STRIPS = 4


def contact_sheet(dataset: Dataset, path: Path, columns: int = 10) -> Path:
    """Every image of a dataset, small; the held-out ones framed."""
    rows = math.ceil(len(dataset.views) / columns)
    sheet = Image.new("RGB", (columns * THUMBNAIL, rows * THUMBNAIL), (40, 40, 40))
    for index, view in enumerate(dataset.views):
        picture = Image.open(view.image).convert("RGBA")
        picture.thumbnail((THUMBNAIL - 6, THUMBNAIL - 6))
        frame = Image.new("RGBA", (picture.width + 4, picture.height + 4), (255, 170, 0, 255) if view.held_out else (90, 90, 90, 255))
        frame.paste(Image.new("RGBA", picture.size, (128, 128, 128, 255)), (2, 2))
        frame.alpha_composite(picture, (2, 2))
        sheet.paste(frame.convert("RGB"), (index % columns * THUMBNAIL + 1, index // columns * THUMBNAIL + 1))
    sheet.save(path)
    return path


def truth_beside_render(scene: Path, dataset: Path, path: Path) -> Path:
    """Held-out images, what the exported file shows from there, and where they differ."""
    targets = list(held_out_for(scene, dataset).targets())
    chosen = targets[:: max(1, len(targets) // STRIPS)][:STRIPS]
    figure, axes = plt.subplots(len(chosen), 3, figsize=(9, 3 * len(chosen)), squeeze=False)
    with opened(scene) as splats:
        for row, (name, target) in zip(axes, chosen, strict=True):
            truth = composed(target.image, GREY)
            image = splats.render(target.camera, GREY).rgb.clip(0, 1)
            difference = np.abs(image - truth).mean(axis=2)
            titles = (name, f"splats, {psnr(image, truth):.1f} dB", "difference")
            for cell, picture, title in zip(row, (truth, image, difference), titles, strict=True):
                cell.imshow(picture, vmin=0, vmax=0.3 if picture.ndim == 2 else None, cmap="magma")
                cell.set_title(title, fontsize=9)
                cell.axis("off")
    return _save(figure, path)


def training_curve(events: list[Event], path: Path) -> Path:
    """Loss, Gaussians and held-out PSNR over the steps."""
    progress = [event for event in events if isinstance(event, Progress)]
    scores = [event for event in events if isinstance(event, Evaluated)]
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.2))
    series = (("loss", progress, "loss"), ("Gaussians", progress, "gaussians"), ("held-out PSNR (dB)", scores, "psnr"))
    for axis, (title, found, field) in zip(axes, series, strict=True):
        axis.plot([event.step for event in found], [getattr(event, field) for event in found], marker="." if found is scores else "")
        axis.set_title(title)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    axes[0].set_yscale("log")
    return _save(figure, path)


def _save(figure: Figure, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return path
