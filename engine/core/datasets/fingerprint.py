"""By what a plan knows the dataset that it was made for."""

from __future__ import annotations

import hashlib

import numpy as np

from .dataset import Dataset


def fingerprint(dataset: Dataset) -> str:
    """The same for the same views, split, lenses, poses and start points, wherever the dataset lies; photos are not read."""
    digest = hashlib.sha256()
    for view in sorted(dataset.views, key=lambda view: view.name):
        camera = view.camera
        digest.update(f"{view.name} {view.held_out} {camera.width} {camera.height}\n".encode())
        digest.update(np.array([camera.fl_x, camera.fl_y, camera.cx, camera.cy, *camera.camera_to_world.ravel()], "<f8").tobytes())
    if dataset.points is not None:
        digest.update(np.asarray(dataset.points.positions, "<f4").tobytes())
    return digest.hexdigest()[:32]
