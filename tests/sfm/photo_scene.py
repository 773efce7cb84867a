"""Photos of a scene made on the spot: a box on a floor before two walls, all covered with pictures, through a real lens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from engine.core.cameras.camera import FLIP_YZ, Camera
from engine.core.cameras.distortion import undistort
from tests.scenes import look_at

WIDTH, HEIGHT, FOCAL = 480, 360, 430.0
LENS = (-0.08,)
TEXELS = 512
SIDE = 3.0
"""Metres that one picture covers."""
BOX = 0.8
"""Half of the box's side."""


@dataclass(frozen=True)
class Plane:
    """Where `axis` is `offset`, between `low` and `high` on the other two axes."""

    axis: int
    offset: float
    low: tuple[float, float] = (-6.0, -6.0)
    high: tuple[float, float] = (6.0, 6.0)


ROOM = (Plane(2, 0.0), Plane(0, -4.0), Plane(1, 4.0),
        Plane(2, 2 * BOX, (-BOX, -BOX), (BOX, BOX)),
        *(Plane(axis, side * BOX, (-BOX, 0.0), (BOX, 2 * BOX)) for axis in (0, 1) for side in (-1, 1)))


def walk(count: int, width: int = WIDTH, height: int = HEIGHT) -> list[Camera]:
    """Cameras on an arc before the walls, from changing heights."""
    angles = np.linspace(-1.35, -0.25, count)
    places = [5.0 * np.array([np.cos(a), np.sin(a), 0.42 + 0.08 * np.sin(7 * a)]) for a in angles]
    scale = max(width, height) / WIDTH
    return [Camera(width, height, FOCAL * scale, FOCAL * scale, width / 2, height / 2, look_at(place, np.array([0.0, 0.0, 0.8])), LENS)
            for place in places]


def photograph(camera: Camera, seed: int = 0) -> np.ndarray:
    """What a camera sees of the scene, by its seed: uint8 [H, W, 3]."""
    v, u = np.mgrid[: camera.height, : camera.width]
    ideal = np.stack([(u.ravel() + 0.5 - camera.cx) / camera.fl_x, (v.ravel() + 0.5 - camera.cy) / camera.fl_y], axis=1)
    ideal = undistort(ideal, camera.distortion)
    turn = (camera.camera_to_world @ FLIP_YZ)[:3, :3]
    rays = np.column_stack([ideal, np.ones(len(ideal))]) @ turn.T  # [H * W, 3]
    return seen_along(camera.position, rays, seed).reshape(camera.height, camera.width, 3)


def seen_along(position: np.ndarray, rays: np.ndarray, seed: int = 0) -> np.ndarray:
    """What rays [N, 3] from a position [3] meet in the scene, by its seed: uint8 [N, 3]."""
    nearest, colors = np.full(len(rays), np.inf), np.full((len(rays), 3), 90.0)
    for number, plane in enumerate(ROOM):
        others = [axis for axis in range(3) if axis != plane.axis]
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = (plane.offset - position[plane.axis]) / rays[:, plane.axis]
            spots = position[others] + distance[:, None] * rays[:, others]
            hit = (distance > 0) & (distance < nearest) & ((spots >= plane.low) & (spots <= plane.high)).all(axis=1)
        nearest[hit] = distance[hit]
        colors[hit] = _looked_up(_picture(seed * 100 + number), spots[hit])
    return np.rint(colors).astype(np.uint8)


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    """Write a photo; its name says how."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)  # type: ignore[arg-type]
    return path


@cache
def shots(count: int = 8, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Photos of a walk past the scene of a seed, uint8 [H, W, 3] each."""
    return tuple(photograph(camera, seed) for camera in walk(count))


def take_photos(folder: Path, count: int = 8) -> list[Camera]:
    """photo_001.jpg and so on below a folder; returns their cameras."""
    for number, shot in enumerate(shots(count), 1):
        save(folder / f"photo_{number:03d}.jpg", shot, quality=95)
    return walk(count)


def portrait(camera: Camera) -> Camera:
    """The same lens turned by a quarter, from the same place."""
    turn = np.array([[0.0, -1.0, 0, 0], [1.0, 0.0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    return replace(camera, width=camera.height, height=camera.width, cx=camera.cy, cy=camera.cx,
                   camera_to_world=camera.camera_to_world @ turn)


@cache
def _picture(seed: int) -> np.ndarray:
    """Patches of all sizes: float [T, T, 3]."""
    rng = np.random.default_rng(seed)
    total = np.zeros((TEXELS, TEXELS, 3))
    for cells in (8, 16, 32, 64, 128):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8)).resize((TEXELS, TEXELS), Image.Resampling.BICUBIC)
        total += np.asarray(noise, np.float64) - 127.5
    return (127.5 + 0.7 * total).clip(0, 255)


def _looked_up(picture: np.ndarray, spots: np.ndarray) -> np.ndarray:
    """Bilinear colours [N, 3] of a picture that repeats every SIDE metres, at spots [N, 2]."""
    texels = spots / SIDE * TEXELS
    corner = np.floor(texels).astype(int)
    share = (texels - corner)[..., None]
    (a, b), (c, d) = ([picture[(corner[:, 1] + y) % TEXELS, (corner[:, 0] + x) % TEXELS] for x in (0, 1)] for y in (0, 1))
    upper, lower = (left + share[:, 0] * (right - left) for left, right in ((a, b), (c, d)))
    return upper + share[:, 1] * (lower - upper)
