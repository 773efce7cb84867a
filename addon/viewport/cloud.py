"""The Gaussians of a scene as textures of the graphics card."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import bpy
import gpu
import numpy as np

from ..splats.attributes import read_layer
from ..splats.splat_object import BASE, HARMONIC, POSITION, ROTATION, SCALE
from ..typed import untyped
from .shaders import WIDTH

MOST_SPLATS = 16_000_000
"""Rows are counted in float32, which is exact up to 2^24."""

CHUNK = 16_384


@dataclass(frozen=True)
class Source:
    """An object's splats. The key changes with whatever changes them."""

    key: Hashable
    target: bpy.types.Object  # evaluated


@dataclass(frozen=True)
class Block:
    """Where the splats of a source lie in the textures."""

    first_row: int
    means: np.ndarray  # [N, 3] float32, for sorting


@dataclass(frozen=True, eq=False)
class Cloud:
    """All Gaussians that can be drawn together; each is equal to itself alone."""

    keys: tuple[Hashable, ...]
    blocks: tuple[Block, ...]  # one for each source
    sh_degree: int
    shapes: gpu.types.GPUTexture  # three texels a splat: mean and opacity, quaternion w x y z, scale
    harmonics: gpu.types.GPUTexture  # (degree + 1)² texels a splat


@dataclass(frozen=True)
class Shown:
    """The points of a source that are drawn: every `step`-th."""

    geometry: Any  # Blender's GeometrySet, which owns the points
    step: int

    @property
    def points(self) -> bpy.types.PointCloud:
        return self.geometry.pointcloud

    @property
    def count(self) -> int:
        return len(range(0, _count(self.geometry), self.step))

    @property
    def sh_degree(self) -> int:
        names = self.points.attributes if self.count else ()
        return next((degree for degree in (3, 2, 1) if HARMONIC.format((degree + 1) ** 2 - 2) in names), 0)

    def layer(self, name: str, width: int) -> np.ndarray:
        """An attribute's rows [count, width]; zeros where it is missing or of another type."""
        rows = read_layer(self.points, name)
        return np.zeros((self.count, width), np.float32) if rows is None or rows.shape[1] != width else rows[:: self.step]


def upload(sources: Sequence[Source]) -> Cloud:
    """Read the objects' attributes and bring them to the graphics card. Needs a graphics context."""
    shown = [_shown(source, MOST_SPLATS // len(sources)) for source in sources]
    total = sum(part.count for part in shown)
    degree = _common_degree(shown, total)
    lines = -(-max(1, total) // WIDTH)  # whole lines of texels, which spares a copy
    shapes, harmonics = (np.zeros((lines * WIDTH, texels, 4), np.float32) for texels in (3, (degree + 1) ** 2))
    blocks, first = [], 0
    for part in shown:
        own = slice(first, first + part.count)
        if part.count:
            _read(part, shapes[own], harmonics[own])
        blocks.append(Block(first, shapes[own, 0, :3].copy()))
        first = own.stop
    return Cloud(tuple(source.key for source in sources), tuple(blocks), degree, texture(shapes, "RGBA32F"), texture(harmonics, "RGBA16F"))


def texture(numbers: np.ndarray, kind: str) -> gpu.types.GPUTexture:
    """A texture of WIDTH texels a line from float32 numbers [..., channels], filled up with zeros."""
    line = WIDTH * numbers.shape[-1]
    height = max(1, -(-numbers.size // line))
    flat = np.ascontiguousarray(numbers).ravel()
    if len(flat) != height * line:
        flat = np.concatenate([flat, np.zeros(height * line - len(flat), np.float32)])
    return untyped(gpu.types).GPUTexture((WIDTH, height), format=kind, data=untyped(gpu.types).Buffer("FLOAT", len(flat), flat))


def _shown(source: Source, most: int) -> Shown:
    geometry = source.target.evaluated_geometry()
    return Shown(geometry, max(1, -(-_count(geometry) // max(1, most))))


def _count(geometry: Any) -> int:
    """Modifiers may leave no points at all."""
    return 0 if geometry.pointcloud is None else len(geometry.pointcloud.points)


def _common_degree(shown: Sequence[Shown], total: int) -> int:
    """The highest degree of harmonics among them, as far as the largest texture reaches."""
    degree = max(part.sh_degree for part in shown)
    room = WIDTH * gpu.capabilities.max_texture_size_get()
    while degree and (degree + 1) ** 2 * total > room:
        degree -= 1
    return degree


def _read(part: Shown, shapes: np.ndarray, harmonics: np.ndarray) -> None:
    """Fill the rows of a source: shapes [N, 3, 4] and harmonics [N, K, 4]."""
    base = part.layer(BASE, 4)
    shapes[:, 0, :3] = part.layer(POSITION, 3)
    shapes[:, 0, 3] = base[:, 3]
    shapes[:, 1] = part.layer(ROTATION, 4)
    shapes[:, 2, :3] = part.layer(SCALE, 3)
    shapes[~np.isfinite(shapes).all(axis=(1, 2))] = 0.0  # invisible; modifiers may write anything
    harmonics[:, 0, :3] = base[:, :3]
    count = min((part.sh_degree + 1) ** 2, harmonics.shape[1])
    layers = [part.layer(HARMONIC.format(index), 3) for index in range(count - 1)]
    for start in range(0, len(harmonics), CHUNK):  # the whole once for each layer would leave the cache each time
        rows = slice(start, start + CHUNK)
        for index, layer in enumerate(layers, start=1):
            harmonics[rows, index, :3] = layer[rows]
